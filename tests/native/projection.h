// skinny_linear against plain loops in double: plain and quantised weights, every prologue and epilogue.
#pragma once

#include "arrays.h"

namespace {

// A weight [n, k] as the op takes it, and its values.
struct Weight {
  Array plain, scales, biases;
  std::vector<unsigned char> packed;  // numbers of `bits` bits along k, the lowest bits first
  std::vector<double> values;

  Weight(Index n, Index k, Index bits, Index group, Dtype dtype, Dtype scales_dtype)
      : plain(bits ? 0 : n * k, dtype),
        scales(bits ? n * k / group : 0, scales_dtype),
        biases(bits ? n * k / group : 0, scales_dtype),
        packed(std::size_t(n * k * bits / 8)) {
    // Near zero, so that no product is beyond half's range.
    for (Index g = 0; g < Index(scales.values.size()); ++g) {
      scales.set(g, (bits > 4 ? 1 : 1 + g % 3) / 16.0);
      biases.set(g, biases.values[std::size_t(g)] - scales.values[std::size_t(g)] * double(1 << (bits - 1)));
    }
    for (auto& byte : packed) byte = static_cast<unsigned char>(engine());
    for (Index i = 0; i < n * k; ++i) {
      Index number = 0;
      for (Index b = 0; b < bits; ++b)
        number |= Index(packed[std::size_t((i * bits + b) / 8)] >> (i * bits + b) % 8 & 1) << b;
      const std::size_t g = std::size_t(bits ? i / group : 0);
      values.push_back(bits ? scales.values[g] * double(number) + biases.values[g] : plain.values[std::size_t(i)]);
    }
  }

  void give(SkinnyLinearArgs& args, Index bits, Index group) {
    args.weight = bits ? static_cast<const void*>(packed.data()) : plain.data();
    if (bits) args.scales = scales.data(), args.biases = biases.data();
    args.bits = bits, args.group = bits ? group : 0, args.scales_dtype = scales.dtype;
  }
};

double silu(double g) { return g / (1 + std::exp(-g)); }

void expect_near(const char* what, Array& out, const std::vector<double>& truth) {
  double most = 1;
  for (double t : truth) most = std::max(most, std::abs(t));
  expect(what, out, truth, most);
}

// The rows that the weight meets: x + residual as stored, normed with a gain of each row's own.
std::vector<double> normed(Array& h, Array& norm, Array& scale, Index rows, Index k) {
  std::vector<double> found;
  for (Index r = 0; r < rows; ++r) {
    double squares = 0;
    for (Index d = 0; d < k; ++d) squares += std::pow(h.get(r * k + d), 2);
    for (Index d = 0; d < k; ++d) {
      const double gain = norm.values[std::size_t(d)] * (1 + scale.values[std::size_t(r * k + d)]);
      found.push_back(h.get(r * k + d) / std::sqrt(squares / double(k) + 1e-5) * gain);
    }
  }
  return found;
}

std::vector<double> product(const std::vector<double>& x, const Weight& weight, Array& bias, Index rows, Index k,
                            Index n) {
  std::vector<double> y;
  for (Index i = 0; i < rows * n; ++i) {
    double sum = bias.values[std::size_t(i % n)];
    for (Index d = 0; d < k; ++d) sum += x[std::size_t(i / n * k + d)] * weight.values[std::size_t(i % n * k + d)];
    y.push_back(sum);
  }
  return y;
}

// Norm, own scales, residual and bias before; behind, the gated product or what is added.
void projection(Index rows, Index k, Index n, Index bits, Index group, bool gated, Dtype dtype, Dtype scales_dtype) {
  Weight weight(n, k, bits, group, dtype, scales_dtype);
  Array x(rows * k, dtype), residual(rows * k, dtype), norm(k, dtype), scale(rows * k, Dtype::float32);
  Array bias(n, dtype), add(rows * n, dtype), h(rows * k, dtype, false), y(rows * n / (gated ? 2 : 1), dtype, false);
  for (Index d = 0; d < k; ++d) norm.set(d, norm.values[std::size_t(d)] / 8);
  SkinnyLinearArgs args{};
  weight.give(args, bits, group);
  args.x = x.data(), args.residual = residual.data(), args.norm = norm.data(), args.scale = scale.data();
  args.bias = bias.data(), args.add = gated ? nullptr : add.data(), args.y = y.data(), args.h = h.data();
  args.rows = rows, args.k = k, args.n = n, args.rows_per_scale = 1, args.eps = 1e-5f, args.gated = gated;
  args.dtype = dtype, args.scale_dtype = Dtype::float32;
  launch(args);
  const std::vector<double> all = product(normed(h, norm, scale, rows, k), weight, bias, rows, k, n);
  std::vector<double> truth;
  for (Index i = 0; i < rows * n; i += gated ? 2 : 1) {
    const std::size_t at = std::size_t(i);
    truth.push_back(gated ? silu(all[at]) * all[at + 1] : all[at] + add.values[at]);
  }
  expect_near("skinny_linear", y, truth);
}

// One batch, split into heads and turned, behind a tail; no norm, so that only rounding is between it and the truth.
void projection_to_heads(Index length, Index k, Index bits, Index heads, Index kv_heads, Index dim, Index tail,
                         Dtype dtype) {
  const Index n = (heads + 2 * kv_heads) * dim, total = tail + length;
  Weight weight(n, k, bits, 32, dtype, dtype);
  Array x(length * k, dtype), bias(n, dtype), angles(length * dim, Dtype::float32);
  Array tail_k(kv_heads * tail * dim, dtype), tail_v(kv_heads * tail * dim, dtype);
  Array q(heads * length * dim, dtype, false), new_k(kv_heads * total * dim, dtype, false), new_v = new_k;
  SkinnyLinearArgs args{};
  weight.give(args, bits, 32);
  args.x = x.data(), args.bias = bias.data(), args.rotation = reinterpret_cast<const float*>(angles.at(0));
  args.tail_k = tail ? tail_k.data() : nullptr, args.tail_v = tail ? tail_v.data() : nullptr;
  args.y = q.data(), args.out_k = new_k.data(), args.out_v = new_v.data();
  args.rows = args.turns = args.length = args.rows_per_scale = length, args.k = k, args.n = n;
  args.heads = heads, args.kv_heads = kv_heads, args.dim = dim, args.tail = tail;
  args.dtype = args.scale_dtype = dtype;
  launch(args);
  const std::vector<double> all = product(x.values, weight, bias, length, k, n);
  const auto at = [&](Index head, Index l, Index d) { return all[std::size_t(l * n + head * dim + d)]; };
  const auto turned = [&](Index head, Index l, Index d) {
    const double* angle = &angles.values[std::size_t(l * dim + d / 2 * 2)];
    return at(head, l, d) * angle[0] + (d % 2 ? at(head, l, d - 1) : -at(head, l, d + 1)) * angle[1];
  };
  std::vector<double> truth_q, truth_k, truth_v;
  for (Index i = 0; i < heads * length * dim; ++i) {
    truth_q.push_back(turned(i / dim / length, i / dim % length, i % dim));
  }
  for (Index i = 0; i < kv_heads * total * dim; ++i) {
    const Index head = i / dim / total, t = i / dim % total - tail, d = i % dim;
    const std::size_t held = std::size_t((head * tail + t + tail) * dim + d);
    truth_k.push_back(t < 0 ? tail_k.values[held] : turned(heads + head, t, d));
    truth_v.push_back(t < 0 ? tail_v.values[held] : at(heads + kv_heads + head, t, d));
  }
  expect_near("skinny_linear q", q, truth_q);
  expect_near("skinny_linear k", new_k, truth_k);
  expect_near("skinny_linear v", new_v, truth_v);
}

void projections(Dtype dtype) {
  projection(1, 3, 2, 0, 0, false, dtype, dtype);
  projection(16, 264, 50, 0, 0, true, dtype, dtype);
  projection(5, 2100, 33, 0, 0, false, dtype, dtype);   // two blocks along k
  projection(4, 1024, 700, 0, 0, false, dtype, dtype);  // several tasks
  projection_to_heads(3, 100, 0, 4, 2, 12, 5, dtype);
  for (const Index bits : {2, 3, 4, 5, 6, 8}) {
    projection(1, 32, 3, bits, 32, false, dtype, dtype);
    projection(7, 384, 38, bits, 128, true, dtype, Dtype::float32);
    projection_to_heads(2, 96, bits, 3, 1, 20, bits % 2, dtype);
  }
  projection(9, 512, 700, 4, 64, false, dtype, dtype);  // several tasks
}

}  // namespace

// Runs the CPU kernels of every instruction set and the thread pool without an interpreter, for the sanitizers.
//
// Buffers have exactly the size that a call needs, so that AddressSanitizer sees a read or write beyond them; results
// are held against plain loops in double. Built and run by tests/backends/test_native_driver.py.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

#include "arrays.h"
#include "cpu/launch.h"
#include "cpu/pool.h"
#include "projection.h"

using namespace voxtral::cpu;

namespace {

void norm(Index rows, Index dim, Dtype dtype) {
  Array x(rows * dim, dtype), weight(dim, dtype), scale(dim, Dtype::float32), residual(rows * dim, dtype);
  Array y(rows * dim, dtype, false), h(rows * dim, dtype, false);
  AdaRmsNormArgs args{};
  args.x = x.data(), args.weight = weight.data(), args.scale = scale.data(), args.residual = residual.data();
  args.y = y.data(), args.h = h.data();
  args.rows = args.rows_per_scale = rows, args.dim = dim, args.eps = 1e-5f;
  args.dtype = dtype, args.scale_dtype = Dtype::float32;
  launch(args);
  std::vector<double> truth;
  for (Index r = 0; r < rows; ++r) {
    double squares = 0;
    for (Index d = 0; d < dim; ++d) squares += std::pow(h.get(r * dim + d), 2);
    for (Index d = 0; d < dim; ++d) {
      const double gain = weight.values[std::size_t(d)] * (1 + scale.values[std::size_t(d)]);
      truth.push_back(h.get(r * dim + d) / std::sqrt(squares / double(dim) + 1e-5) * gain);
    }
  }
  expect("ada_rms_norm", y, truth);
}

void convolution(Index length, Index in, Index out, Index kernel, Index stride, Index context, Dtype dtype) {
  const Index frames = context + length + 1, out_length = (frames - kernel) / stride + 1;  // one zero before them
  Array x(length * in, dtype), held(context * in, dtype), weight(out * kernel * in, dtype), bias(out, dtype);
  Array y(out_length * out, dtype, false);
  CausalConv1dGeluArgs args{};
  args.x = x.data(), args.context = held.data(), args.weight = weight.data(), args.bias = bias.data(),
  args.y = y.data();
  args.batch = 1, args.length = length, args.in_channels = in, args.out_channels = out, args.kernel = kernel;
  args.stride = stride, args.pad_left = 1, args.context_length = context, args.out_length = out_length;
  args.x_time = args.context_time = in, args.gelu = true, args.dtype = dtype;
  launch(args);
  std::vector<double> truth;
  for (Index t = 0; t < out_length; ++t) {
    for (Index o = 0; o < out; ++o) {
      double sum = bias.values[std::size_t(o)];
      for (Index k = 0; k < kernel; ++k) {
        const Index f = t * stride + k - 1;
        for (Index c = 0; f >= 0 && c < in; ++c) {
          const double v =
              f < context ? held.values[std::size_t(f * in + c)] : x.values[std::size_t((f - context) * in + c)];
          sum += v * weight.values[std::size_t((o * kernel + k) * in + c)];
        }
      }
      truth.push_back(sum * 0.5 * std::erfc(-sum * M_SQRT1_2));
    }
  }
  expect("causal_conv1d_gelu", y, truth);
}

// A ring filled by commits of the given length, then a call with `queries` in the tail; `eight_bits`: of the ring. With
// slots the ring is the last of so many, and the tail stands behind all that was committed.
void attention(Index heads, Index kv_heads, Index dim, Index window, Index past, Index step, Index queries, Dtype dtype,
               bool eight_bits, Index slots = 0) {
  const Index rings = std::max<Index>(slots, 1), ring_heads = rings * kv_heads;
  const auto ring_head = [&](Index h) { return (h / kv_heads * rings + rings - 1) * kv_heads + h % kv_heads; };
  const Index all = past + queries, row = dim * (eight_bits ? 1 : item_size(dtype));
  Array q(heads * queries * dim, dtype), k(kv_heads * all * dim, dtype), v(kv_heads * all * dim, dtype);
  std::vector<char> ring(std::size_t(2 * ring_heads * window * row));
  std::vector<float> scales(std::size_t(eight_bits ? 2 * ring_heads * window : 0));
  Array out(heads * queries * dim, dtype, false);
  for (Index start = 0; start < past; start += step) {
    RingCommitArgs commit{};
    commit.ring = ring.data(), commit.k = k.at(start * dim), commit.v = v.at(start * dim);
    commit.heads = commit.kv_heads = kv_heads, commit.ring_heads = ring_heads, commit.capacity = window,
    commit.dim = dim;
    commit.start = start, commit.count = std::min(step, past - start);
    const std::int32_t where[] = {std::int32_t(rings - 1), std::int32_t(start), std::int32_t(start),
                                  std::int32_t(commit.count)};
    if (slots) commit.k = k.data(), commit.v = v.data(), commit.streams = where;
    commit.k_head = commit.v_head = all * dim, commit.k_row = commit.v_row = dim;
    commit.dtype = dtype, commit.scales = eight_bits ? scales.data() : nullptr;
    launch(commit);
  }
  // What the ring holds is the truth from here on, if it is near what was committed.
  for (Index h = 0; eight_bits && h < 2 * kv_heads; ++h) {
    for (Index p = std::max<Index>(0, past - window); p < past; ++p) {
      const char* from = ring.data() + (ring_head(h) * window + p % window) * row;
      double* to = &(h < kv_heads ? k : v).values[std::size_t((h % kv_heads * all + p) * dim)];
      const float scale = scales[std::size_t(ring_head(h) * window + p % window)];
      for (Index d = 0; d < dim; ++d) {
        const double value = double(scale) * static_cast<signed char>(from[d]);
        if (!(std::abs(value - to[d]) <= 0.501 * scale)) ++failures;
        to[d] = value;
      }
    }
  }
  SlidingWindowAttentionArgs args{};
  args.q = q.data(), args.out = out.data();
  args.ring_k = ring.data(), args.ring_v = ring.data() + ring_heads * window * row;
  args.tail_k = k.at(past * dim), args.tail_v = v.at(past * dim);
  args.q_head = args.out_head = queries * dim, args.q_row = args.out_row = dim;
  args.tail_k_head = args.tail_v_head = all * dim, args.tail_k_row = args.tail_v_row = dim;
  args.batch = 1, args.heads = heads, args.kv_heads = kv_heads, args.queries = args.tail = queries, args.dim = dim;
  args.capacity = window, args.ring_end = past, args.window = window, args.scale = 0.2f, args.dtype = dtype;
  if (eight_bits) args.ring_k_scales = scales.data(), args.ring_v_scales = scales.data() + ring_heads * window;
  const std::int32_t where[] = {std::int32_t(rings - 1), std::int32_t(past), std::int32_t(past), std::int32_t(queries)};
  if (slots) args.tail_k = k.data(), args.tail_v = v.data(), args.ring_end = args.tail = 0, args.streams = where;
  launch(args);
  std::vector<double> truth;
  for (Index h = 0; h < heads; ++h) {
    const Index base = h / (heads / kv_heads) * all;
    for (Index i = 0; i < queries; ++i) {
      const Index last = past + i, first = std::max<Index>(0, last - window + 1);
      std::vector<double> weights, result(std::size_t(dim), 0.0);
      double total = 0;
      for (Index p = first; p <= last; ++p) {
        double score = 0;
        for (Index d = 0; d < dim; ++d) {
          score += q.values[std::size_t((h * queries + i) * dim + d)] * k.values[std::size_t((base + p) * dim + d)];
        }
        weights.push_back(std::exp(score * 0.2f));
        total += weights.back();
        for (Index d = 0; d < dim; ++d)
          result[std::size_t(d)] += weights.back() * v.values[std::size_t((base + p) * dim + d)];
      }
      for (double value : result) truth.push_back(value / total);
    }
  }
  expect("sliding_window_attention", out, truth);
}

// Projections side by side in each row, behind a tail.
void rotation(Index heads, Index kv_heads, Index length, Index dim, Index tail, Dtype dtype) {
  const Index row = (heads + 2 * kv_heads) * dim, total = tail + length;
  Array rows(length * row, dtype), angles(length * dim, Dtype::float32);
  Array tail_k(kv_heads * tail * dim, dtype), tail_v(kv_heads * tail * dim, dtype);
  Array q(heads * length * dim, dtype, false), k(kv_heads * total * dim, dtype, false), v = k;
  RopeAppendArgs args{};
  args.q = rows.data(), args.k = rows.at(heads * dim), args.v = rows.at((heads + kv_heads) * dim);
  args.rotation = reinterpret_cast<const float*>(angles.at(0));
  args.tail_k = tail ? tail_k.data() : nullptr, args.tail_v = tail ? tail_v.data() : nullptr;
  args.out_q = q.data(), args.out_k = k.data(), args.out_v = v.data();
  args.q_row = args.k_row = args.v_row = row, args.batch = 1, args.heads = heads, args.kv_heads = kv_heads;
  args.length = length, args.dim = dim, args.tail = tail, args.dtype = dtype;
  launch(args);
  const auto turned = [&](Index head, Index l, Index d) {
    const auto at = [&](Index i) { return rows.values[std::size_t(l * row + head * dim + i)]; };
    const double cos = angles.values[std::size_t(l * dim + d / 2 * 2)],
                 sin = angles.values[std::size_t(l * dim + d / 2 * 2 + 1)];
    return d % 2 ? at(d) * cos + at(d - 1) * sin : at(d) * cos - at(d + 1) * sin;
  };
  std::vector<double> truth_q, truth_k, truth_v;
  for (Index h = 0; h < heads; ++h) {
    for (Index i = 0; i < length * dim; ++i) truth_q.push_back(turned(h, i / dim, i % dim));
  }
  for (Index h = 0; h < kv_heads; ++h) {
    for (Index i = 0; i < total * dim; ++i) {
      const Index t = i / dim - tail, d = i % dim, held = (h * tail + i / dim) * dim + d;
      truth_k.push_back(t < 0 ? tail_k.values[std::size_t(held)] : turned(heads + h, t, d));
      truth_v.push_back(t < 0 ? tail_v.values[std::size_t(held)]
                              : rows.values[std::size_t(t * row + (heads + kv_heads + h) * dim + d)]);
    }
  }
  expect("rope_append q", q, truth_q);
  expect("rope_append k", k, truth_k);
  expect("rope_append v", v, truth_v);
}

void gated(Index rows, Index dim, Dtype dtype) {
  Array x(rows * 2 * dim, dtype), y(rows * dim, dtype, false);
  SiluMulArgs args{};
  args.x = x.data(), args.y = y.data(), args.rows = rows, args.dim = dim, args.dtype = dtype;
  launch(args);
  std::vector<double> truth;
  for (Index i = 0; i < rows * dim; ++i) {
    const double gate = x.values[std::size_t(2 * i)];
    truth.push_back(gate / (1 + std::exp(-gate)) * x.values[std::size_t(2 * i + 1)]);
  }
  expect("silu_mul", y, truth);
}

void all_shapes(Dtype dtype) {
  projections(dtype);
  rotation(3, 1, 2, 10, 0, dtype);
  rotation(4, 2, 3, 48, 5, dtype);
  rotation(32, 32, 300, 64, 9, dtype);  // several tasks
  gated(3, 7, dtype);
  gated(400, 700, dtype);  // several tasks
  norm(1, 3, dtype);
  norm(5, 100, dtype);
  norm(300, 1000, dtype);  // several tasks
  convolution(7, 3, 5, 3, 1, 2, dtype);
  convolution(9, 40, 33, 3, 2, 1, dtype);
  convolution(70, 24, 67, 5, 2, 3, dtype);
  convolution(300, 32, 70, 3, 1, 0, dtype);  // several tasks
  for (const bool eight_bits : {false, true}) {
    attention(4, 1, 64, 40, 77, 1, 1, dtype, eight_bits);
    attention(2, 2, 24, 16, 33, 5, 9, dtype, eight_bits);
    attention(8, 2, 40, 50, 20, 7, 31, dtype, eight_bits);
    attention(3, 3, 64, 50, 121, 7, 6, dtype, eight_bits);  // rows for half a vector; odd runs of keys
    attention(2, 1, 20, 37, 90, 11, 4, dtype, eight_bits);
    attention(2, 2, 6, 37, 90, 11, 7, dtype, eight_bits);
    attention(8, 8, 64, 300, 700, 90, 70, dtype, eight_bits);  // several tasks
    attention(8, 2, 64, 50, 121, 7, 4, dtype, eight_bits, 3);  // a stream of three
    attention(2, 2, 24, 16, 33, 20, 9, dtype, eight_bits, 1);
  }
}

// Several threads launch at once: one has the workers, the others run alone.
void concurrently() {
  std::vector<std::thread> threads;
  std::vector<Array> results, inputs;
  for (int i = 0; i < 4; ++i) {
    inputs.emplace_back(400 * 700, Dtype::float32);
    results.emplace_back(400 * 700, Dtype::float32, false);
  }
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      AdaRmsNormArgs args{};
      args.x = inputs[std::size_t(i)].data(), args.y = results[std::size_t(i)].data();
      args.rows = args.rows_per_scale = 400, args.dim = 700, args.eps = 1e-5f;
      for (int repeat = 0; repeat < 20; ++repeat) launch(args);
    });
  }
  for (auto& thread : threads) thread.join();
}

void pool_counts() {
  Pool pool(4);
  for (int round = 0; round < 200; ++round) {
    std::vector<int> done(std::size_t(round % 17 + 1), 0);
    pool.run(
        [](const void* context, Index i, float* scratch) {
          scratch[i % 8] = 1;
          ++(*static_cast<std::vector<int>*>(const_cast<void*>(context)))[std::size_t(i)];
        },
        &done, Index(done.size()), 8);
    if (std::count(done.begin(), done.end(), 1) != std::ptrdiff_t(done.size())) ++failures;
  }
}

}  // namespace

int main() {
  for (const auto& name : available_isas()) {
    use_isa(name);
    for (Dtype dtype : {Dtype::float32, Dtype::float16, Dtype::bfloat16}) all_shapes(dtype);
  }
  concurrently();
  pool_counts();
  std::printf("%d failures\n", failures);
  return failures ? 1 : 0;
}

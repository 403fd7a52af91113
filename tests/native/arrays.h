// What the driver's checks are made of: arrays that know their values in double, and the comparison.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "cpu/launch.h"

namespace {

using namespace voxtral::cpu;

std::mt19937 engine(7);
int failures = 0;

// An array of one storage type, exactly as long as it must be, with its values in double.
struct Array {
  std::vector<double> values;
  std::vector<char> bytes;
  Dtype dtype;

  Array(Index n, Dtype dtype, bool random = true)
      : values(std::size_t(n)), bytes(std::size_t(n * item_size(dtype))), dtype(dtype) {
    std::normal_distribution<double> normal;
    for (Index i = 0; random && i < n; ++i) set(i, normal(engine));
  }

  void* data() { return bytes.data(); }
  char* at(Index i) { return bytes.data() + i * item_size(dtype); }

  // Values that every dtype holds exactly: multiples of 1/16.
  void set(Index i, double v) {
    values[std::size_t(i)] = std::clamp(std::round(v * 16) / 16, -7.0, 7.0);
    const float f = float(values[std::size_t(i)]);
    std::uint32_t word;
    std::memcpy(&word, &f, 4);
    std::uint16_t half = std::uint16_t(word >> 16);
    if (dtype == Dtype::float16)
      half = f == 0 ? 0 : std::uint16_t((word >> 16 & 0x8000) | (((word >> 13) - (112 << 10)) & 0x7fff));
    if (dtype == Dtype::float32) std::memcpy(at(i), &f, 4);
    if (dtype != Dtype::float32) std::memcpy(at(i), &half, 2);
  }

  double get(Index i) {
    if (dtype == Dtype::float32) {
      float f;
      std::memcpy(&f, at(i), 4);
      return f;
    }
    std::uint16_t half;
    std::memcpy(&half, at(i), 2);
    if (dtype == Dtype::bfloat16) {
      const std::uint32_t word = std::uint32_t(half) << 16;
      float f;
      std::memcpy(&f, &word, 4);
      return f;
    }
    const int exponent = half >> 10 & 31, mantissa = half & 1023;
    const double magnitude = exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24);
    return half & 0x8000 ? -magnitude : magnitude;
  }
};

// `least`: the smallest magnitude to which an error is held.
void expect(const char* what, Array& out, const std::vector<double>& truth, double least = 1.0) {
  const double tolerance = out.dtype == Dtype::float32 ? 2e-5 : out.dtype == Dtype::float16 ? 2e-3 : 1.6e-2;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double got = out.get(Index(i));
    if (!(std::abs(got - truth[i]) <= tolerance * std::max(least, std::abs(truth[i])))) {
      std::printf("%s (%s, dtype %d): element %zu is %g, not %g\n", what, isa().c_str(), int(out.dtype), i, got,
                  truth[i]);
      ++failures;
      return;
    }
  }
}

}  // namespace

// The sums of a product of 1 to 16 rows with a weight, for every entry point of skinny_linear: prologue, stages, bias.
#pragma once

constant constexpr int kUnit = 256;  // of K, that a simdgroup stages at once: two float4 a lane, 128 apart
// What `sizes[3]` says.
constant constexpr int kBias = 1;
constant constexpr int kNorm = 2;
constant constexpr int kScale = 4;
constant constexpr int kResidual = 8;
constant constexpr int kAdd = 16;
constant constexpr int kGated = 32;

// Staged are UNITS of K of all rows; where there are several, their common gain too, of this stage and of the next.
template <int ROWS>
struct Stage {
  static constexpr constant int UNITS = ROWS <= 2 ? 8 / ROWS : 16 / ROWS;
  static constexpr constant int ROW = UNITS * kUnit / 4;
  static constexpr constant int FLOAT4S = ROWS * ROW;
  static constexpr constant int GAINS = ROWS > 1 ? 2 * ROW : 1;
};

struct Eight {
  float4 v[2];
};

template <typename T, typename P>
METAL_FUNC Eight skinny_linear_eight(P p, uint k, uint dim) {
  Eight all;
  for (int i = 0; i < 2; ++i) {
    const Packed<T, 4> given = load_bounded<T, 4>(p, k + kUnit / 2 * i, dim);
    all.v[i] = float4(float(given.v[0]), float(given.v[1]), float(given.v[2]), float(given.v[3]));
  }
  return all;
}

// norm (1 + scale)
template <typename T, typename U, typename G, typename C>
METAL_FUNC Eight skinny_linear_gain(G norm, C scale, int options, uint k, uint dim) {
  Eight gain = skinny_linear_eight<T>(norm, k, dim);
  if (options & kScale) {
    const Eight condition = skinny_linear_eight<U>(scale, k, dim);
    gain.v[0] *= 1.0f + condition.v[0];
    gain.v[1] *= 1.0f + condition.v[1];
  }
  return gain;
}

// x, or x + residual, which is stored then.
template <typename T, typename X, typename A>
METAL_FUNC Eight skinny_linear_row(X x, A residual, device T* h, bool stores, int options, uint k, uint dim) {
  Eight row = skinny_linear_eight<T>(x, k, dim);
  if (options & kResidual) {
    const Eight added = skinny_linear_eight<T>(residual, k, dim);
    for (int i = 0; i < 2; ++i) {
      Packed<T, 4> rounded;
      for (int j = 0; j < 4; ++j) {
        rounded.v[j] = T(row.v[i][j] + added.v[i][j]);
        row.v[i][j] = float(rounded.v[j]);
      }
      if (stores) {
        store_bounded<T, 4>(h, k + kUnit / 2 * i, dim, rounded);
      }
    }
  }
  return row;
}

// Where float4 `j` of a lane's V numbers is staged: beside those of the other lanes, and no two that are written
// together in one bank.
template <int V>
METAL_FUNC uint skinny_linear_at(uint place, uint j) {
  return j * kLanes + (place ^ (j * (32 / V)));
}

// A unit to where the lanes of a column read it.
template <int V>
METAL_FUNC void skinny_linear_put(Eight all, threadgroup float4* staged, uint lane) {
  for (int i = 0; i < 2; ++i) {
    const uint at = 32 * i + lane;
    staged[at / (2 * V) * (2 * V) + skinny_linear_at<V>(at / (V / 4) % kLanes, at % (V / 4))] = all.v[i];
  }
}

// The next kLanes V numbers of this lane's columns, four columns apart. Affine: a lane holds the scales and biases of
// EACH groups, the lanes of a column those of kLanes EACH; its own group's come from the lane that holds them.
template <typename T, typename S, int BITS, int V, int COLUMNS>
struct WeightColumns {
  static constexpr constant int EACH = 16 / sizeof(S);
  WeightPiece<T, BITS, V> w[COLUMNS];
  Packed<S, EACH> scales[COLUMNS];
  Packed<S, EACH> biases[COLUMNS];

  template <typename W, typename P>
  METAL_FUNC void load(W weight, P all_scales, P all_biases, uint first, uint n, uint dim, uint k, uint group_size,
                       uint lane) {
    const uint of = k / group_size % (kLanes * EACH);
    for (uint c = 0; c < COLUMNS; ++c) {
      w[c].load(weight, first + 4 * c, n, dim, k, lane);
      if (BITS > 0) {
        if (of == 0) {
          const uint groups = dim / group_size;
          const uint at = k / group_size;
          scales[c] = load_runs<S, EACH>(all_scales, first + 4 * c, n, groups, at, groups, lane);
          biases[c] = load_runs<S, EACH>(all_biases, first + 4 * c, n, groups, at, groups, lane);
        }
        const uint own = of + place_of(lane) * V / group_size;
        const ushort from = ushort(lane / 16 * 16 + own / EACH * 2 + lane % 2);
        for (uint e = 0; e < EACH; ++e) {
          const float scale = simd_shuffle(float(scales[c].v[e]), from);
          const float bias = simd_shuffle(float(biases[c].v[e]), from);
          w[c].scale = own % EACH == e ? scale : w[c].scale;
          w[c].bias = own % EACH == e ? bias : w[c].bias;
        }
      }
    }
  }

  // Adds their products with the block at `staged` of the first of the rows, which are STRIDE apart.
  template <int ROWS, int STRIDE>
  METAL_FUNC void add(const threadgroup float4* staged, uint place, thread float (*sum)[COLUMNS]) const {
#pragma unroll
    for (int j = 0; j < V / 4; ++j) {
      float4 value[COLUMNS];
      for (int c = 0; c < COLUMNS; ++c) {
        value[c] = float4(w[c].value(4 * j), w[c].value(4 * j + 1), w[c].value(4 * j + 2), w[c].value(4 * j + 3));
      }
#pragma unroll
      for (int r = 0; r < ROWS; ++r) {
        const float4 x = staged[r * STRIDE + skinny_linear_at<V>(place, j)];
        for (int c = 0; c < COLUMNS; ++c) {
          sum[r][c] = fma(x.x, value[c].x, sum[r][c]);
          sum[r][c] = fma(x.y, value[c].y, sum[r][c]);
          sum[r][c] = fma(x.z, value[c].z, sum[r][c]);
          sum[r][c] = fma(x.w, value[c].w, sum[r][c]);
        }
      }
    }
  }
};

// The gains of a stage from `base` on, for all its rows.
template <typename T, typename U, int ROWS, typename G, typename C>
METAL_FUNC void skinny_linear_gains(G norm, C scale, int options, uint base, uint dim, threadgroup float4* gains,
                                    uint n_simds, uint lane, uint simd) {
  for (uint u = n_simds - 1 - simd; u < Stage<ROWS>::UNITS; u += n_simds) {
    const Eight gain = skinny_linear_gain<T, U>(norm, scale, options, base + u * kUnit + lane * 4, dim);
    gains[u * (kUnit / 4) + lane] = gain.v[0];
    gains[u * (kUnit / 4) + 32 + lane] = gain.v[1];
  }
}

// One unit of one row to its place; returns its sum of squares. gains: [2, 32] float4, null: from norm and scale.
template <typename T, typename U, int V, typename X, typename G, typename C, typename A>
METAL_FUNC float skinny_linear_stage(X x, G norm, C scale, A residual, device T* h, bool stores, int options, uint k,
                                     uint end, const threadgroup float4* gains, threadgroup float4* staged, uint lane) {
  Eight all = skinny_linear_row<T>(x, residual, h, stores, options, k, end);
  const float4 squares = fma(all.v[0], all.v[0], all.v[1] * all.v[1]);
  if (gains) {
    all.v[0] *= gains[lane];
    all.v[1] *= gains[32 + lane];
  } else if (options & kNorm) {
    const Eight gain = skinny_linear_gain<T, U>(norm, scale, options, k, end);
    all.v[0] *= gain.v[0];
    all.v[1] *= gain.v[1];
  }
  skinny_linear_put<V>(all, staged, lane);
  return simd_sum((squares.x + squares.y) + (squares.z + squares.w));
}

// The sums of a column's lanes to sums, [ROWS, columns].
template <int ROWS, int COLUMNS>
METAL_FUNC void skinny_linear_leave(const thread float (*sum)[COLUMNS], threadgroup float* sums, uint n_simds,
                                    uint lane, uint simd) {
  for (uint r = 0; r < ROWS; ++r) {
    for (uint c = 0; c < COLUMNS; ++c) {
      float whole = sum[r][c];
      for (ushort step = kLanes; step > 1; step /= 2) {
        whole += simd_shuffle_xor(whole, step);
      }
      if (place_of(lane) == 0) {
        sums[(r * n_simds + simd) * 4 * COLUMNS + 4 * c + run_of(lane)] = whole;
      }
    }
  }
}

// Leaves in `staged` the products of all rows with the threadgroup's columns, [ROWS, columns], and in `partial` the
// factors of the rows' norms.
template <typename T, typename U, typename S, int BITS, int V, int ROWS, int COLUMNS, typename X, typename W,
          typename P, typename G, typename C, typename A>
METAL_FUNC void skinny_linear(X x, W weight, P scales, P biases, G norm, C scale, A residual,
                              const constant int* sizes,  // {rows, K, N, options, rows_per_scale, group_size}
                              float eps, device T* h, threadgroup float4* staged, threadgroup float4* gains,
                              threadgroup float* partial,  // [16], sums of squares of what is staged
                              uint group, uint n_simds, uint lane, uint simd) {
  typedef Stage<ROWS> Shape;
  const uint rows = sizes[0];
  const uint dim = sizes[1];
  const bool shared = ROWS > 1 && sizes[3] & kNorm && uint(sizes[4]) >= rows;
  const uint first = (group * n_simds + simd) * 4 * COLUMNS;
  WeightColumns<T, S, BITS, V, COLUMNS> columns;
  columns.load(weight, scales, biases, first, sizes[2], dim, 0, sizes[5], lane);
  float sum[ROWS][COLUMNS] = {};
  float sum_sq = 0;  // of row `lane`
  uint now = 0;      // where this stage's gains stand
  if (shared) {
    skinny_linear_gains<T, U, ROWS>(norm, scale, sizes[3], 0, dim, gains, n_simds, lane, simd);
  }
  for (uint base = 0; base < dim; base += Shape::UNITS * kUnit) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = simd; i < ROWS * Shape::UNITS; i += n_simds) {
      const uint row = min(i / Shape::UNITS, rows - 1);
      const uint at = i % Shape::UNITS * kUnit;
      const float unit_sq = skinny_linear_stage<T, U, V>(
          x + size_t(row) * dim, norm, scale + size_t(row / sizes[4]) * dim, residual + size_t(row) * dim,
          h + size_t(row) * dim, group == 0, sizes[3], base + at + lane * 4, i / Shape::UNITS < rows ? dim : 0,
          shared ? gains + now + at / 4 : nullptr, staged + i * (kUnit / 4), lane);
      if (lane == 0) {
        partial[i] = unit_sq;
      }
    }
    if (shared) {
      now = Shape::ROW - now;
      skinny_linear_gains<T, U, ROWS>(norm, scale, sizes[3], base + Shape::UNITS * kUnit, dim, gains + now, n_simds,
                                      lane, simd);
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint u = 0; lane < ROWS && u < Shape::UNITS; ++u) {
      sum_sq += partial[lane * Shape::UNITS + u];
    }
    for (uint k = 0; k < Shape::UNITS * kUnit && base + k < dim; k += kLanes * V) {
      columns.template add<ROWS, Shape::ROW>(staged + k / 4, place_of(lane), sum);
      // Those of the next stage come in while it is staged.
      if (base + k + kLanes * V < dim) {
        columns.load(weight, scales, biases, first, sizes[2], dim, base + k + kLanes * V, sizes[5], lane);
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  skinny_linear_leave<ROWS>(sum, (threadgroup float*)staged, n_simds, lane, simd);
  if (simd == 0 && lane < ROWS) {
    partial[lane] = sizes[3] & kNorm ? precise::rsqrt(sum_sq / float(dim) + eps) : 1.0f;
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
}

// Of what the above left: pair `i` of row and columns, times the row's factor, bias included.
template <typename T, typename B>
METAL_FUNC float2 skinny_linear_pair(threadgroup float4* staged, threadgroup float* partial, B bias,
                                     const constant int* sizes, uint row, uint column, uint i) {
  const threadgroup float* sums = (const threadgroup float*)staged + 2 * i;
  float2 added = 0;
  if (sizes[3] & kBias) {
    const Packed<T, 2> both = load_bounded<T, 2>(bias, column, sizes[2]);
    added = float2(float(both.v[0]), float(both.v[1]));
  }
  // fma: else a compiler may join the two here and not for another ROWS.
  return fma(float2(sums[0], sums[1]), float2(partial[row]), added);
}

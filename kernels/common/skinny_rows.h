// The sums of a product of 1 to 16 rows with a weight, for every entry point of skinny_linear: prologue, stages, bias.
#pragma once

constant constexpr int kColumns = 4;  // of a simdgroup
// What `sizes[3]` says.
constant constexpr int kBias = 1;
constant constexpr int kNorm = 2;
constant constexpr int kScale = 4;
constant constexpr int kResidual = 8;
constant constexpr int kAdd = 16;
constant constexpr int kGated = 32;

// Blocks are what a simdgroup takes of K at once. Staged are PHASE rows of BLOCKS of them; the other rows of ROWS come
// in further phases, for which the weights stay in registers.
template <int ROWS, int V>
struct Stage {
  static constexpr constant int BLOCK = 32 * V;
  static constexpr constant int FLOATS = ROWS <= 2 ? 2048 : 4096;
  static constexpr constant int PHASE = ROWS * BLOCK <= FLOATS ? ROWS : FLOATS / BLOCK;
  static constexpr constant int BLOCKS = FLOATS / (PHASE * BLOCK);
  static constexpr constant int UNITS = FLOATS / 4;
};

// The prologue of one piece of a row, without the division by its norm; returns the block's sum of squares.
template <typename T, typename U, int V, typename X, typename G, typename C, typename A>
METAL_FUNC float skinny_linear_stage(X x, G norm, C scale, A residual, device T* h, bool stores, int options, uint k,
                                     uint dim, threadgroup float4* staged) {
  Packed<T, V> row = load_bounded<T, V>(x, k, dim);
  if (options & kResidual) {
    const Packed<T, V> added = load_bounded<T, V>(residual, k, dim);
    for (int j = 0; j < V; ++j) {
      row.v[j] = T(float(row.v[j]) + float(added.v[j]));
    }
    if (stores) {
      store_bounded<T, V>(h, k, dim, row);
    }
  }
  float value[V];
  float sum_sq = 0;
  for (int j = 0; j < V; ++j) {
    value[j] = float(row.v[j]);
    sum_sq = fma(value[j], value[j], sum_sq);
  }
  if (options & kNorm) {
    const Packed<T, V> gain = load_bounded<T, V>(norm, k, dim);
    for (int j = 0; j < V; ++j) {
      value[j] *= float(gain.v[j]);
    }
  }
  if (options & kScale) {
    const Packed<U, V> condition = load_bounded<U, V>(scale, k, dim);
    for (int j = 0; j < V; ++j) {
      value[j] *= 1.0f + float(condition.v[j]);
    }
  }
  // A lane reads its own piece back: four floats at a time, those of neighbouring lanes side by side.
  for (int j = 0; j < V / 4; ++j) {
    staged[32 * j] = float4(value[4 * j], value[4 * j + 1], value[4 * j + 2], value[4 * j + 3]);
  }
  return simd_sum(sum_sq);
}

// A block of the columns first .. first + kColumns of a weight. Affine: a lane brings the scale of one group, the lanes
// of the group take it from there; `held` keeps those of 32 groups.
template <typename T, int BITS, int V, typename W, typename S>
METAL_FUNC void skinny_linear_weights(thread WeightPiece<T, BITS, V>* w, thread float (*held)[2], W weight, S scales,
                                      S biases, uint first, uint n, uint dim, uint k, uint group_size, uint lane) {
  for (uint c = 0; c < kColumns; ++c) {
    const bool there = first + c < n;
    w[c].load(weight, first + c, dim, k + lane * V, there ? dim : 0);
    if (BITS > 0) {
      const uint groups = dim / group_size;
      const uint of = k / group_size;
      if (of % 32 == 0) {
        const size_t at = size_t(first + c) * groups + of + lane;
        const bool reads = there && of + lane < groups;
        held[c][0] = reads ? float(scales[at]) : 0.0f;
        held[c][1] = reads ? float(biases[at]) : 0.0f;
      }
      const ushort from = ushort(of % 32 + lane * V / group_size);
      w[c].scale = simd_shuffle(held[c][0], from);
      w[c].bias = simd_shuffle(held[c][1], from);
    }
  }
}

// Adds a block's products: `staged` is this lane's place in the block of the first of PHASE rows that are STRIDE apart.
template <typename T, int BITS, int V, int PHASE, int STRIDE>
METAL_FUNC void skinny_linear_add(const thread WeightPiece<T, BITS, V>* w, const threadgroup float4* staged,
                                  thread float (*sum)[kColumns]) {
#pragma unroll
  for (int j = 0; j < V / 4; ++j) {
    float4 value[kColumns];
    for (int c = 0; c < kColumns; ++c) {
      value[c] = float4(w[c].value(4 * j), w[c].value(4 * j + 1), w[c].value(4 * j + 2), w[c].value(4 * j + 3));
    }
#pragma unroll
    for (int r = 0; r < PHASE; ++r) {
      const float4 x = staged[r * STRIDE + 32 * j];
      for (int c = 0; c < kColumns; ++c) {
        sum[r][c] = fma(x.x, value[c].x, sum[r][c]);
        sum[r][c] = fma(x.y, value[c].y, sum[r][c]);
        sum[r][c] = fma(x.z, value[c].z, sum[r][c]);
        sum[r][c] = fma(x.w, value[c].w, sum[r][c]);
      }
    }
  }
}

// The lanes' sums of all columns of the threadgroup, then those of this thread's pair: row tid / pairs at the columns
// 2 (tid % pairs) and the next, pairs = 2 n_simds.
template <int ROWS>
METAL_FUNC float2 skinny_linear_pair(const thread float (*sum)[kColumns], threadgroup float* sums, uint tid,
                                     uint n_simds, uint lane, uint simd) {
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (uint r = 0; r < ROWS; ++r) {
    for (uint c = 0; c < kColumns; ++c) {
      const float whole = simd_sum(sum[r][c]);
      if (lane == 0) {
        sums[(r * n_simds + simd) * kColumns + c] = whole;
      }
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  return tid < 2 * n_simds * ROWS ? float2(sums[2 * tid], sums[2 * tid + 1]) : float2(0.0f);
}

// The products of row tid / pairs at the columns first + 2 (tid % pairs) and the next, bias included.
template <typename T, typename U, int BITS, int V, int ROWS, typename X, typename W, typename S, typename B, typename G,
          typename C, typename A>
METAL_FUNC float2 skinny_linear(X x, W weight, S scales, S biases, B bias, G norm, C scale, A residual,
                                const constant int* sizes,  // {rows, K, N, options, rows_per_scale, group_size}
                                float eps, device T* h, threadgroup float4* staged,
                                threadgroup float* partial,  // [32], sums of squares of what is staged
                                uint group, uint tid, uint n_simds, uint lane, uint simd) {
  typedef Stage<ROWS, V> Shape;
  const uint rows = sizes[0];
  const uint dim = sizes[1];
  const uint n = sizes[2];
  const uint first = (group * n_simds + simd) * kColumns;
  WeightPiece<T, BITS, V> w[kColumns];
  float held[kColumns][2];
  float sum[ROWS][kColumns] = {};
  float sum_sq = 0;  // of row `lane`
  for (uint base = 0; base < dim; base += Shape::BLOCKS * Shape::BLOCK) {
#pragma unroll
    for (int top = 0; top < ROWS; top += Shape::PHASE) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (uint i = simd; i < Shape::PHASE * Shape::BLOCKS; i += n_simds) {
        const uint row = min(top + i / Shape::BLOCKS, rows - 1);
        const bool there = row == top + i / Shape::BLOCKS;  // else zeros
        const float block_sq = skinny_linear_stage<T, U, V>(
            x + size_t(row) * dim, norm, scale + size_t(row / sizes[4]) * dim, residual + size_t(row) * dim,
            h + size_t(row) * dim, group == 0, sizes[3], base + i % Shape::BLOCKS * Shape::BLOCK + lane * V,
            there ? dim : 0, staged + i * Shape::BLOCK / 4 + lane);
        if (lane == 0) {
          partial[i] = block_sq;
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      if (int(lane) >= top && int(lane) < top + Shape::PHASE) {
        for (int b = 0; b < Shape::BLOCKS; ++b) {
          sum_sq += partial[(lane - top) * Shape::BLOCKS + b];
        }
      }
      for (int b = 0; b < Shape::BLOCKS && base + b * Shape::BLOCK < dim; ++b) {
        if (top == 0) {
          skinny_linear_weights<T, BITS, V>(w, held, weight, scales, biases, first, n, dim, base + b * Shape::BLOCK,
                                            sizes[5], lane);
        }
        skinny_linear_add<T, BITS, V, Shape::PHASE, Shape::BLOCKS * Shape::BLOCK / 4>(
            w, staged + b * Shape::BLOCK / 4 + lane, sum + top);
      }
    }
  }
  const float2 y = skinny_linear_pair<ROWS>(sum, (threadgroup float*)staged, tid, n_simds, lane, simd);
  float factor = sizes[3] & kNorm ? precise::rsqrt(sum_sq / float(dim) + eps) : 1.0f;
  factor = simd_shuffle(factor, ushort(tid / (2 * n_simds)));
  const uint column = group * n_simds * kColumns + tid % (2 * n_simds) * 2;
  float2 added = 0;
  if (sizes[3] & kBias && tid / (2 * n_simds) < rows) {
    const Packed<T, 2> both = load_bounded<T, 2>(bias, column, n);
    added = float2(float(both.v[0]), float(both.v[1]));
  }
  // fma: else a compiler may join the two here and not for another ROWS.
  return fma(y, float2(factor), added);
}

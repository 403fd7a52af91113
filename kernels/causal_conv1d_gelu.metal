// Formula   y[t, n] = gelu(bias[n] + sum_k sum_c weight[n, k, c] * frames[t * STRIDE + k, c])
// Layout    frames: pad_left zeros, context [B, S, c_in], x [B, T, c_in], zeros; weight [c_out, K, c_in]
// Grid      256 threads per (32 channels, F frames, batch); tiled: 128 threads per (BN channels, BM frames, batch)
// Numerics  products and sums in float32 (tiled: 8x8 matrices widened from T), erf GELU; rounded once, at the store
// Traffic   weight per F frames, frames per 32 channels; tiled: weight per BM frames, frames K times per BN channels
// Limits    vector: F <= 8; threadgroup memory ((F - 1) * STRIDE + K) * 256 bytes, or (BM + BN) * LD elements
// Source    Voxtral Realtime's conv stem (causal), Whisper's (symmetric); implicit GEMM
#include <metal_stdlib>

#include "common/packed.h"
#include "common/packed_threadgroup.h"
#include "common/fragment.h"
#include "common/erf_gelu.h"
#include "common/frames.h"

using namespace metal;

template <typename T, int F, int K, int STRIDE>
struct ConvVector {
  static constexpr constant int V = 8 / int(sizeof(T));
  static constexpr constant int SIMDS = 8;
  static constexpr constant int PER_SIMD = 4;  // output channels of a simdgroup
  static constexpr constant int CHANNELS = SIMDS * PER_SIMD;
  static constexpr constant int N_FRAMES = (F - 1) * STRIDE + K;
  static constexpr constant int CHUNK = 32 * V;     // input channels at a time: 256 bytes
  static constexpr constant int LD = CHANNELS + 4;  // of the results: 8 frames x 4 channels in 32 banks
};

template <bool GELU>
METAL_FUNC float conv_epilogue(float sum) {
  return GELU ? erf_gelu(sum) : sum;
}

// Few frames: the weights stream through the registers once, the frames wait in threadgroup memory.
template <typename T, int F, int K, int STRIDE, bool HAS_BIAS, bool GELU, typename X, typename S, typename W,
          typename P>
METAL_FUNC void causal_conv1d_gelu_vector(Frames<T, X, S> frames,
                                          W weight,     // [c_out, K, c_in]
                                          P bias,       // [c_out]
                                          device T* y,  // [n_out, c_out] of this batch
                                          uint c_out, uint n_out, uint block_t,
                                          threadgroup T* staged,       // [N_FRAMES * CHUNK]
                                          threadgroup float* results,  // [F * LD]
                                          uint block, uint tid, uint lane, uint simd) {
  using Conv = ConvVector<T, F, K, STRIDE>;
  constexpr int V = Conv::V;
  const uint first = block * Conv::CHANNELS + simd * Conv::PER_SIMD;
  const uint first_t = block_t * F;
  float sum[Conv::PER_SIMD][F];
#pragma unroll
  for (int o = 0; o < Conv::PER_SIMD; ++o) {
#pragma unroll
    for (int f = 0; f < F; ++f) {
      sum[o][f] = 0;
    }
  }
  for (uint c = 0; c < frames.c_in; c += Conv::CHUNK) {
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (uint i = tid; i < Conv::N_FRAMES * 32; i += Conv::SIMDS * 32) {
      store_packed<V>(staged + i * V, frames.template load<V>(int(first_t * STRIDE + i / 32), c + i % 32 * V));
    }
    threadgroup_barrier(mem_flags::mem_threadgroup);
    for (int k = 0; k < K; ++k) {
      Packed<T, V> w[Conv::PER_SIMD];
#pragma unroll
      for (uint o = 0; o < Conv::PER_SIMD; ++o) {
        // Channels beyond the last take its weights; their sums are not stored.
        const size_t row = size_t(min(first + o, c_out - 1)) * K + k;
        w[o] = load_bounded<T, V>(weight + row * frames.c_in, c + lane * V, frames.c_in);
      }
#pragma unroll
      for (int f = 0; f < F; ++f) {
        const Packed<T, V> x = load_packed<V>((const threadgroup T*)staged + (f * STRIDE + k) * Conv::CHUNK + lane * V);
#pragma unroll
        for (int o = 0; o < Conv::PER_SIMD; ++o) {
#pragma unroll
          for (int j = 0; j < V; ++j) {
            sum[o][f] = fma(float(w[o].v[j]), float(x.v[j]), sum[o][f]);
          }
        }
      }
    }
  }

  // One lane finishes each (channel, frame), then whole rows of channels are stored.
  float mine = 0;
#pragma unroll
  for (int o = 0; o < Conv::PER_SIMD; ++o) {
#pragma unroll
    for (int f = 0; f < F; ++f) {
      const float total = simd_sum(sum[o][f]);
      mine = int(lane) == f * Conv::PER_SIMD + o ? total : mine;
    }
  }
  if (lane < uint(F * Conv::PER_SIMD)) {
    const uint o = lane % Conv::PER_SIMD;
    mine += HAS_BIAS ? float(bias[min(first + o, c_out - 1)]) : 0.0f;
    results[lane / Conv::PER_SIMD * Conv::LD + simd * Conv::PER_SIMD + o] = conv_epilogue<GELU>(mine);
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  const uint frame = first_t + tid / Conv::CHANNELS;
  const uint channel = block * Conv::CHANNELS + tid % Conv::CHANNELS;
  if (frame < n_out && channel < c_out) {
    y[size_t(frame) * c_out + channel] = T(results[(frame - first_t) * Conv::LD + tid % Conv::CHANNELS]);
  }
}

template <typename T, int BM, int BN>
struct ConvTiles {
  static constexpr constant int V = 8 / int(sizeof(T));
  static constexpr constant int PIECES = 16;
  static constexpr constant int BK = PIECES * V;  // input channels at a time: 128 bytes
  // Row strides that spread the 8x8 reads over the banks: weights are read along columns, frames along rows.
  static constexpr constant int FRAME_LD = BK + 8;
  static constexpr constant int WEIGHT_LD = BK + 2 * V;
  static constexpr constant int OUT_LD = BN + 8;
  static constexpr constant int SIZE = (BM + BN) * FRAME_LD;  // holds the output's BM * OUT_LD too
};

// Many frames: implicit GEMM, four simdgroups of (BM / 2) x (BN / 2) outputs each.
template <typename T, int BM, int BN, int K, int STRIDE, bool HAS_BIAS, bool GELU, typename X, typename S, typename W,
          typename P>
METAL_FUNC void causal_conv1d_gelu_tiled(Frames<T, X, S> frames,
                                         W weight,     // [c_out, K, c_in]
                                         P bias,       // [c_out]
                                         device T* y,  // [n_out, c_out] of this batch
                                         int c_out, int n_out,
                                         threadgroup T* tiles,  // [SIZE]
                                         uint block_m, uint block_n, uint tid, uint lane, uint simd) {
  using Tiles = ConvTiles<T, BM, BN>;
  constexpr int V = Tiles::V;
  constexpr int M = BM / 16;  // 8x8 matrices of a simdgroup
  constexpr int N = BN / 16;
  const int first_t = int(block_m) * BM;
  const int first_n = int(block_n) * BN;
  const int simd_m = int(simd / 2) * (BM / 2);
  const int simd_n = int(simd % 2) * (BN / 2);
  const FragmentPlace at(lane);
  threadgroup T* frame_tile = tiles;                          // [BM][FRAME_LD]
  threadgroup T* weight_tile = tiles + BM * Tiles::FRAME_LD;  // [BN][WEIGHT_LD]

  Fragment sum[M][N];
#pragma unroll
  for (int m = 0; m < M; ++m) {
#pragma unroll
    for (int n = 0; n < N; ++n) {
      sum[m][n] = make_filled_simdgroup_matrix<float, 8, 8>(0.0f);
    }
  }
  for (int k = 0; k < K; ++k) {
    for (uint c = 0; c < frames.c_in; c += Tiles::BK) {
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (int i = int(tid); i < (BM + BN) * Tiles::PIECES; i += 128) {
        const int row = i / Tiles::PIECES;
        const uint piece = i % Tiles::PIECES * V;
        if (row < BM) {
          const int frame = (first_t + row) * STRIDE + k;
          store_packed<V>(frame_tile + row * Tiles::FRAME_LD + piece, frames.template load<V>(frame, c + piece));
        } else {
          const size_t from = size_t(min(first_n + row - BM, c_out - 1)) * K + k;
          store_packed<V>(weight_tile + (row - BM) * Tiles::WEIGHT_LD + piece,
                          load_bounded<T, V>(weight + from * frames.c_in, c + piece, frames.c_in));
        }
      }
      threadgroup_barrier(mem_flags::mem_threadgroup);
      for (int kk = 0; kk < Tiles::BK; kk += 8) {
        Fragment w[N];
#pragma unroll
        for (int n = 0; n < N; ++n) {
          w[n] = load_fragment_transposed(weight_tile + (simd_n + n * 8) * Tiles::WEIGHT_LD + kk, Tiles::WEIGHT_LD, at);
        }
#pragma unroll
        for (int m = 0; m < M; ++m) {
          const Fragment x = load_fragment(frame_tile + (simd_m + m * 8) * Tiles::FRAME_LD + kk, Tiles::FRAME_LD, at);
#pragma unroll
          for (int n = 0; n < N; ++n) {
            simdgroup_multiply_accumulate(sum[m][n], x, w[n], sum[m][n]);
          }
        }
      }
    }
  }

  // Through threadgroup memory, so that whole rows of channels are stored.
  threadgroup_barrier(mem_flags::mem_threadgroup);
#pragma unroll
  for (int n = 0; n < N; ++n) {
    const int column = simd_n + n * 8;
    const int channel = first_n + column + at.column;
    const float first_bias = HAS_BIAS ? float(bias[min(channel, c_out - 1)]) : 0.0f;
    const float second_bias = HAS_BIAS ? float(bias[min(channel + 1, c_out - 1)]) : 0.0f;
#pragma unroll
    for (int m = 0; m < M; ++m) {
      const float first = conv_epilogue<GELU>(sum[m][n].thread_elements()[0] + first_bias);
      const float second = conv_epilogue<GELU>(sum[m][n].thread_elements()[1] + second_bias);
      store_fragment(tiles + (simd_m + m * 8) * Tiles::OUT_LD + column, Tiles::OUT_LD, at, first, second);
    }
  }
  threadgroup_barrier(mem_flags::mem_threadgroup);
  for (int i = int(tid); i < BM * BN / V; i += 128) {
    const int t = first_t + i / (BN / V);
    const uint column = i % (BN / V) * V;
    if (t < n_out && first_n + int(column) < c_out) {
      const auto piece = load_packed<V>((const threadgroup T*)tiles + i / (BN / V) * Tiles::OUT_LD + column);
      store_bounded<T, V>(y + size_t(t) * c_out, first_n + column, c_out, piece);
    }
  }
}

// Entry points: whole for the extension; between BODY and END for mx.fast.metal_kernel, which writes the signature.
// state = {pad_left, n_context, n_out, n_new}; x stands in for an absent context, the context for an x without frames.
template <typename T, int K, int STRIDE, int F, bool HAS_BIAS, bool GELU>
[[kernel]] void causal_conv1d_gelu_vector_kernel(
    const device T* x [[buffer(0)]], const constant int* x_shape [[buffer(1)]], const device T* context [[buffer(2)]],
    const device T* weight [[buffer(3)]], const constant int* weight_shape [[buffer(4)]],
    const device T* bias [[buffer(5)]], const constant int* state [[buffer(6)]], device T* y [[buffer(7)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY causal_conv1d_gelu_vector
  using Conv = ConvVector<T, F, K, STRIDE>;
  threadgroup T staged[Conv::N_FRAMES * Conv::CHUNK];
  threadgroup float results[F * Conv::LD];
  const uint b = threadgroup_position_in_grid.z;
  const auto frames = frames_of_batch<T>(x, context, b, state[0], state[1], state[3], x_shape[2]);
  causal_conv1d_gelu_vector<T, F, K, STRIDE, HAS_BIAS, GELU>(
      frames, weight, bias, y + size_t(b) * state[2] * weight_shape[0], uint(weight_shape[0]), uint(state[2]),
      threadgroup_position_in_grid.y, staged, results, threadgroup_position_in_grid.x, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}

template <typename T, int K, int STRIDE, int BM, int BN, bool HAS_BIAS, bool GELU>
[[kernel]] void causal_conv1d_gelu_tiled_kernel(
    const device T* x [[buffer(0)]], const constant int* x_shape [[buffer(1)]], const device T* context [[buffer(2)]],
    const device T* weight [[buffer(3)]], const constant int* weight_shape [[buffer(4)]],
    const device T* bias [[buffer(5)]], const constant int* state [[buffer(6)]], device T* y [[buffer(7)]],
    uint3 threadgroup_position_in_grid [[threadgroup_position_in_grid]],
    uint3 thread_position_in_threadgroup [[thread_position_in_threadgroup]],
    uint thread_index_in_simdgroup [[thread_index_in_simdgroup]],
    uint simdgroup_index_in_threadgroup [[simdgroup_index_in_threadgroup]]) {
  // BODY causal_conv1d_gelu_tiled
  using Tiles = ConvTiles<T, BM, BN>;
  threadgroup T tiles[Tiles::SIZE];
  const uint b = threadgroup_position_in_grid.z;
  const auto frames = frames_of_batch<T>(x, context, b, state[0], state[1], state[3], x_shape[2]);
  causal_conv1d_gelu_tiled<T, BM, BN, K, STRIDE, HAS_BIAS, GELU>(
      frames, weight, bias, y + size_t(b) * state[2] * weight_shape[0], weight_shape[0], state[2], tiles,
      threadgroup_position_in_grid.y, threadgroup_position_in_grid.x, thread_position_in_threadgroup.x,
      thread_index_in_simdgroup, simdgroup_index_in_threadgroup);
  // END
}

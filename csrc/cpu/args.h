// What the graph ops hand to the CPU code: plain structs, no MLX, so that the sanitizer driver builds without it.
#pragma once

#include <cstdint>

namespace voxtral::cpu {

using Index = std::int64_t;

enum class Dtype { float32, float16, bfloat16 };

inline Index item_size(Dtype dtype) { return dtype == Dtype::float32 ? 4 : 2; }

// Strides count elements throughout.
struct AdaRmsNormArgs {
  const void* x;         // [rows, dim]
  const void* weight;    // [dim] or null
  const void* scale;     // [rows / rows_per_scale, dim] or null
  const void* residual;  // [rows, dim] or null
  void* y;               // [rows, dim]
  void* h;               // [rows, dim]: x + residual; null without one
  Index rows, dim, rows_per_scale;
  float eps;
  Dtype dtype, scale_dtype;
  Index rows_per_task;
};

struct CausalConv1dGeluArgs {
  const void* x;        // [batch, length, in_channels], channels contiguous
  const void* context;  // [batch, context_length, in_channels] before x, or null
  const void* weight;   // [out_channels, kernel, in_channels]
  const void* bias;     // [out_channels] or null
  void* y;              // [batch, out_length, out_channels]
  Index batch, length, in_channels, out_channels, kernel, stride, pad_left, context_length, out_length;
  Index x_batch, x_time, context_batch, context_time;  // strides
  bool gelu;
  Dtype dtype;
  Index frames_per_task, channels_per_task;
};

struct SlidingWindowAttentionArgs {
  const void* q;       // [batch, heads, queries, dim]
  const void* ring_k;  // [batch, kv_heads, capacity, dim], slot = position % capacity; null: nothing committed
  const void* ring_v;  // same
  const float*
      ring_k_scales;  // [batch, kv_heads, capacity]: the ring is signed bytes, each row times its scale; or null
  const float* ring_v_scales;  // same
  const void* tail_k;          // [batch, kv_heads, tail, dim], positions [ring_end, ring_end + tail)
  const void* tail_v;          // same
  // null, or [batch, 4]: each of the batch is a stream of its own, with a slot of the ring (which is then of as many
  // slots as there are), a ring_end, a first position in the one tail [kv_heads, all tails, dim], and so many there.
  const std::int32_t* streams;
  void* out;                     // [batch, heads, queries, dim]
  Index q_batch, q_head, q_row;  // strides; dim is contiguous everywhere
  Index tail_k_batch, tail_k_head, tail_k_row;
  Index tail_v_batch, tail_v_head, tail_v_row;
  Index out_batch, out_head, out_row;
  Index batch, heads, kv_heads, queries, dim, capacity, ring_end, tail, window;  // ring_end, tail: not of streams
  float scale;
  Dtype dtype;
  Index rows_per_task;  // rows: (query, head of the group) pairs, query-major
};

struct RopeAppendArgs {
  const void* q;          // batch x length rows, q_row apart, of heads x dim
  const void* k;          // the same of kv_heads x dim
  const void* v;          // same
  const float* rotation;  // [length, dim]: cosine and sine of each pair's angle
  const void* tail_k;     // [batch, kv_heads, tail, dim] or null
  const void* tail_v;     // same
  void* out_q;            // [batch, heads, length, dim]
  void* out_k;            // [batch, kv_heads, tail + length, dim]
  void* out_v;            // same
  Index q_row, k_row, v_row;
  Index batch, heads, kv_heads, length, dim, tail;
  Dtype dtype;
  Index heads_per_task;
};

struct RingCommitArgs {
  void* ring;     // [2, ring_heads, capacity, dim]
  float* scales;  // [2, ring_heads, capacity]: the ring is signed bytes, each row times its scale; or null
  const void* k;  // [batch, kv_heads, count, dim], heads = batch x kv_heads
  const void* v;  // same
  // null: then heads is ring_heads. Or [batch, 4], as in SlidingWindowAttentionArgs; count: of all streams.
  const std::int32_t* streams;
  Index k_batch, k_head, k_row, v_batch, v_head, v_row;  // strides
  Index heads, ring_heads, kv_heads, capacity, dim, start, count;
  Dtype dtype;
  Index heads_per_task;
};

struct SiluMulArgs {
  const void* x;  // [rows, dim, 2]: a gate and what it is multiplied with
  void* y;        // [rows, dim]
  Index rows, dim;
  Dtype dtype;
  Index rows_per_task;
};

struct SkinnyLinearArgs {
  const void* x;          // [rows, k]
  const void* weight;     // [n, k], or k numbers of `bits` bits a row, [n, k * bits / 8] bytes
  const void* scales;     // [n, k / group] or null
  const void* biases;     // same
  const void* bias;       // [n] or null
  const void* norm;       // [k] or null
  const void* scale;      // [rows / rows_per_scale, k] or null
  const void* residual;   // [rows, k] or null
  const void* add;        // [rows, n] or null
  const float* rotation;  // [turns, dim]: cosine and sine of each pair's angle, or null
  const void* tail_k;     // [rows / length, kv_heads, tail, dim] or null
  const void* tail_v;     // same
  void* y;                // [rows, n]; gated [rows, n / 2]; with a rotation q, [rows / length, heads, length, dim]
  void* out_k;            // [rows / length, kv_heads, tail + length, dim]; null without a rotation
  void* out_v;            // same
  void* h;                // [rows, k]: x + residual; null without one
  Index rows, k, n, bits, group, rows_per_scale;
  Index turns, heads, kv_heads, dim, length, tail;
  float eps;
  bool gated;
  Dtype dtype, scales_dtype, scale_dtype;  // scales_dtype: of the weight's scales and biases
  Index rows_per_task, columns_per_task;
};

// Every op with its arguments: kernels.h and launch.cpp make their tables of this list.
#define VOXTRAL_OPS(OP, isa)                        \
  OP(ada_rms_norm, AdaRmsNormArgs, isa)             \
  OP(causal_conv1d_gelu, CausalConv1dGeluArgs, isa) \
  OP(ring_commit, RingCommitArgs, isa)              \
  OP(rope_append, RopeAppendArgs, isa)              \
  OP(silu_mul, SiluMulArgs, isa)                    \
  OP(skinny_linear, SkinnyLinearArgs, isa)          \
  OP(sliding_window_attention, SlidingWindowAttentionArgs, isa)

}  // namespace voxtral::cpu

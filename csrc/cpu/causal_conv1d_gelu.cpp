// y[t, o] = gelu(bias[o] + sum_{k, c} frame[t * stride + k, c] * weight[o, k, c]), frames = zeros, context, x, zeros.
//
// An implicit GEMM: an output frame's operand is K contiguous input frames, an output channel's is its weight row, so
// neither is unfolded. Few frames: lanes along the summed axis, weights read once. More: lanes along frames, a block of
// input packed once for all channels.
#include "kernels.h"
#include "tile.h"

namespace voxtral::cpu {
namespace {

constexpr int kAhead = 512;
// Input frames, of which each output is summed in one order whatever their number: what a stream's chunk has.
constexpr Index kFewFrames = 32;
constexpr Index kBlockWords = 256;  // a packed tile of this length and kTileRows frames stays in the first cache

template <class T>
struct Input {
  const CausalConv1dGeluArgs& args;
  Index batch;

  // Frame `index` of the padded input; null where that is a zero.
  const T* frame(Index index) const {
    index -= args.pad_left;
    if (index < 0 || index >= args.context_length + args.length) return nullptr;
    if (index < args.context_length) {
      return static_cast<const T*>(args.context) + batch * args.context_batch + index * args.context_time;
    }
    return static_cast<const T*>(args.x) + batch * args.x_batch + (index - args.context_length) * args.x_time;
  }
};

template <class T>
void load_weight_rows(const CausalConv1dGeluArgs& args, Index first, Index count, Index offset, Index length, float* to,
                      Index to_row) {
  const Index row = args.kernel * args.in_channels;
  to_float_rows(static_cast<const T*>(args.weight) + first * row + offset, row, count, length, to, to_row);
}

template <class T>
Vec finish(const CausalConv1dGeluArgs& args, Vec sum, Index channel, int part) {
  if (args.bias) sum = sum + load_part(static_cast<const T*>(args.bias) + channel, part);
  return args.gelu ? gelu(sum) : sum;
}

template <class T>
void store_frame(const CausalConv1dGeluArgs& args, Index batch, Index t, Index channel, Vec value, int part) {
  T* y = static_cast<T*>(args.y) + (batch * args.out_length + t) * args.out_channels + channel;
  store_part(y, value, part);
}

// Few frames.

// The operands of `frames` output frames side by side: floats, or bfloat16 values for Bfloat16Pairs.
template <class T, class Mac>
void unfold(const CausalConv1dGeluArgs& args, const Input<T>& input, Index first, Index frames, float* to,
            Index to_row) {
  const Index channels = args.in_channels;
  for (Index m = 0; m < frames; ++m) {
    for (Index k = 0; k < args.kernel; ++k) {
      const T* frame = input.frame((first + m) * args.stride + k);
      if constexpr (Mac::kPairs) {
        char* at = reinterpret_cast<char*>(to + m * to_row) + k * channels * sizeof(T);
        frame ? __builtin_memcpy(at, frame, channels * sizeof(T)) : __builtin_memset(at, 0, channels * sizeof(T));
      } else {
        float* at = to + m * to_row + k * channels;
        for (Index c = 0; c < channels; c += kLanes) {
          const int part = int(least(kLanes, channels - c));
          store_part(at + c, frame ? load_part(frame + c, part) : Vec{}, part);
        }
      }
    }
  }
}

template <class T, class Mac>
void few_frames(const CausalConv1dGeluArgs& args, Index batch, Index first, Index frames, Index channel,
                Index channel_end, float* scratch) {
  const Index length = args.kernel * args.in_channels, words = Mac::kPairs ? length / 2 : length;
  const Index row = round_up(length, kLanes);
  float* operands = scratch;
  float* sums = operands + frames * row;  // [frames, kLanes]
  const auto* weights = static_cast<const T*>(args.weight);
  unfold<T, Mac>(args, Input<T>{args, batch}, first, frames, operands, row);
  for (; channel < channel_end; channel += kLanes) {
    const Index width = least(kLanes, channel_end - channel);
    for (Index j = 0; j < width; j += kDotColumns) {
      decltype(words_of<Mac>(weights)) columns[kDotColumns];
      for (Index c = 0; c < kDotColumns; ++c) {
        columns[c] = words_of<Mac>(weights + (channel + least(j + c, width - 1)) * length);
      }
      Index m = 0;
      for (; m + 1 < frames; m += kDotRows) {
        const float* rows[kDotRows];
        float tile[kDotRows * kDotColumns];
        for (Index i = 0; i < kDotRows; ++i) rows[i] = operands + least(m + i, frames - 1) * row;
        dot_tile<Mac, kDotRows, kDotColumns, kAhead>(rows, columns, words, tile, kDotColumns);
        for (Index i = 0; i < kDotRows && m + i < frames; ++i) {
          __builtin_memcpy(sums + (m + i) * kLanes + j, tile + i * kDotColumns, kDotColumns * 4);
        }
      }
      if (m < frames) {
        const float* rows = operands + m * row;
        dot_tile<Mac, 1, kDotColumns, kAhead>(&rows, columns, words, sums + m * kLanes + j, kDotColumns);
      }
    }
    for (Index m = 0; m < frames; ++m) {
      const Vec value = finish<T>(args, load(sums + m * kLanes), channel, int(width));
      store_frame<T>(args, batch, first + m, channel, value, int(width));
    }
  }
}

// Many frames.

// Frames [first, first + frames) at tap k, words [offset, offset + words), as tiles of [words, kTileRows].
template <class T, class Mac>
void pack_frames(const CausalConv1dGeluArgs& args, const Input<T>& input, Index first, Index frames, Index k,
                 Index offset, Index words, float* packed) {
  using Word = std::conditional_t<Mac::kPairs, float, T>;
  for (Index m = 0; m < frames; m += kLanes) {
    const Word* rows[kLanes] = {};
    for (Index i = 0; i < kLanes && m + i < frames; ++i) {
      const T* frame = input.frame((first + m + i) * args.stride + k);
      if (frame) rows[i] = reinterpret_cast<const Word*>(frame) + offset;
    }
    pack_rows(rows, words, packed + m / kTileRows * kTileRows * kBlockWords + m % kTileRows, kTileRows);
  }
}

// sums: [channels, sums_row]; adds the block of words to every channel of the task.
template <class T, class Mac>
void add_block(const CausalConv1dGeluArgs& args, Index channel, Index channel_end, Index frames, Index offset,
               Index words, const float* packed, float* weights, float* sums, Index sums_row, bool first) {
  const Index length = args.kernel * args.in_channels;
  const auto* stored = static_cast<const T*>(args.weight);
  for (Index n = channel; n < channel_end; n += kColumns) {
    const Index width = least(kColumns, channel_end - n);
    const float* columns[kColumns];
    if constexpr (sizeof(T) == 4 || Mac::kPairs) {
      for (Index c = 0; c < kColumns; ++c) {
        columns[c] = reinterpret_cast<const float*>(stored + (n + least(c, width - 1)) * length + offset);
      }
    } else {
      load_weight_rows<T>(args, n, width, offset, words, weights, kBlockWords);
      for (Index c = 0; c < kColumns; ++c) columns[c] = weights + least(c, width - 1) * kBlockWords;
    }
    float* to = sums + (n - channel) * sums_row;
    for (Index m = 0; m < frames; m += kTileRows) {
      const float* tile = packed + m * kBlockWords;
      if (frames - m > (kRowVecs - 1) * kLanes) {
        rows_tile<Mac, kRowVecs, kColumns, kBlockWords>(tile, kTileRows, columns, words, to + m, sums_row, !first);
      } else {
        for (Index i = 0; i < frames - m; i += kLanes) {
          rows_tile<Mac, 1, kColumns, kBlockWords>(tile + i, kTileRows, columns, words, to + m + i, sums_row, !first);
        }
      }
    }
  }
}

template <class T, class Mac>
void many_frames(const CausalConv1dGeluArgs& args, Index batch, Index first, Index frames, Index channel,
                 Index channel_end, float* scratch) {
  const Index sums_row = round_up(frames, kTileRows), elements = Mac::kPairs ? 2 : 1;
  float* packed = scratch;
  float* weights = packed + sums_row * kBlockWords;
  float* sums = weights + kColumns * kBlockWords;  // [channels rounded up to kColumns and kLanes, sums_row]
  const Input<T> input{args, batch};
  for (Index k = 0; k < args.kernel; ++k) {
    const Index tap_words = args.in_channels / elements;
    for (Index offset = 0; offset < tap_words; offset += kBlockWords) {
      const Index words = least(kBlockWords, tap_words - offset);
      pack_frames<T, Mac>(args, input, first, frames, k, offset, words, packed);
      add_block<T, Mac>(args, channel, channel_end, frames, k * args.in_channels + offset * elements, words, packed,
                        weights, sums, sums_row, k == 0 && offset == 0);
    }
  }
  for (Index n = channel; n < channel_end; n += kLanes) {
    const int width = int(least(kLanes, channel_end - n));
    for (Index m = 0; m < frames; m += kLanes) {
      Vec tile[kLanes];
      for (int i = 0; i < kLanes; ++i) tile[i] = load(sums + (n - channel + i) * sums_row + m);
      transpose(tile);
      for (Index i = 0; i < kLanes && m + i < frames; ++i) {
        store_frame<T>(args, batch, first + m + i, n, finish<T>(args, tile[i], n, width), width);
      }
    }
  }
}

template <class T, class Mac>
void convolve(const CausalConv1dGeluArgs& args, Index task, float* scratch) {
  const Index frame_blocks = (args.out_length + args.frames_per_task - 1) / args.frames_per_task;
  const Index channel_blocks = (args.out_channels + args.channels_per_task - 1) / args.channels_per_task;
  const Index first = task % frame_blocks * args.frames_per_task;
  const Index channel = task / frame_blocks % channel_blocks * args.channels_per_task;
  const Index batch = task / (frame_blocks * channel_blocks);
  const Index frames = least(args.frames_per_task, args.out_length - first);
  const Index channel_end = least(channel + args.channels_per_task, args.out_channels);
  const bool few = args.out_length * args.stride <= kFewFrames || frames <= kLanes / 2;
  const auto body = few ? few_frames<T, Mac> : many_frames<T, Mac>;
  body(args, batch, first, frames, channel, channel_end, scratch);
}

void task(const CausalConv1dGeluArgs& args, Index task, float* scratch) {
  switch (args.dtype) {
    case Dtype::float32:
      return convolve<float, Floats>(args, task, scratch);
    case Dtype::float16:
      return convolve<Half, Floats>(args, task, scratch);
    case Dtype::bfloat16:
      if (kHasPairs && args.in_channels % 2 == 0) return convolve<Bfloat, Bfloat16Pairs>(args, task, scratch);
      return convolve<Bfloat, Floats>(args, task, scratch);
  }
}

Index work(const CausalConv1dGeluArgs& args) {
  return args.batch * args.out_length * args.out_channels * most(args.kernel * args.in_channels, 1);
}

Tasks cut(CausalConv1dGeluArgs& args, Index threads) {
  const Index length = args.kernel * args.in_channels;
  constexpr Index kFrames = 128;  // the block's packed input and sums stay in the second cache
  args.frames_per_task = least(args.out_length, kFrames);
  const Index frame_tasks = args.batch * divide_up(args.out_length, args.frames_per_task);
  // Channels are cut only as far as the threads need it: each cut packs the input again.
  const Index cuts = frame_tasks % threads == 0 ? 1 : 4 * threads;
  args.channels_per_task = round_up(divide_up(args.out_channels, cuts), 16);
  const Index few = args.frames_per_task * (round_up(length, 16) + 16);
  const Index row = round_up(args.frames_per_task, 32);
  const Index many = (row + 8) * 256 + round_up(args.channels_per_task, 16) * row;
  return {frame_tasks * divide_up(args.out_channels, args.channels_per_task),
          args.out_length * args.stride <= kFewFrames ? few : most(few * (args.out_length % kFrames <= 8), many)};
}

}  // namespace

extern const Kernel<CausalConv1dGeluArgs> VOXTRAL_KERNEL(causal_conv1d_gelu){work, cut, task};

}  // namespace voxtral::cpu

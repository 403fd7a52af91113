// The frames a convolution runs over: pad_left zero frames, the n_context frames of the state, the n_new frames of x,
// zeros.
#pragma once

template <typename T, typename X, typename S>
struct Frames {
  X x;        // [n_new, c_in] of this batch; X, S: pointers to T, device or constant
  S context;  // [n_context, c_in] of this batch
  int pad_left;
  int n_context;
  int n_new;
  uint c_in;

  // Channels c .. c + V of a frame, zeros outside.
  template <int V>
  METAL_FUNC Packed<T, V> load(int frame, uint c) const {
    frame -= pad_left;
    if (frame >= n_context && frame - n_context < n_new) {
      return load_bounded<T, V>(x + size_t(frame - n_context) * c_in, c, c_in);
    }
    if (frame >= 0 && frame < n_context) {
      return load_bounded<T, V>(context + size_t(frame) * c_in, c, c_in);
    }
    Packed<T, V> zeros;
    for (int j = 0; j < V; ++j) {
      zeros.v[j] = T(0);
    }
    return zeros;
  }
};

// Batch b of x [B, n_new, c_in] and context [B, n_context, c_in].
template <typename T, typename X, typename S>
METAL_FUNC Frames<T, X, S> frames_of_batch(X x, S context, uint b, int pad_left, int n_context, int n_new, int c_in) {
  Frames<T, X, S> frames;
  frames.x = x + size_t(b) * n_new * c_in;
  frames.context = context + size_t(b) * n_context * c_in;
  frames.pad_left = pad_left;
  frames.n_context = n_context;
  frames.n_new = n_new;
  frames.c_in = uint(c_in);
  return frames;
}

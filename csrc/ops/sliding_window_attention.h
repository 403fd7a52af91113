// Attention over [position - window + 1, position], straight out of a ring and a tail, and the ring's in-place commit.
#pragma once

#include <optional>

#include "metal/launch.h"
#include "ops/primitive.h"

namespace voxtral {

// q: [B, Hq, L, D]; ring: [2, B, Hkv, C, D], keys then values, slot = position % C, holding the positions
// [max(0, ring_end - C), ring_end); tail_k, tail_v: [B, Hkv, T, D], positions [ring_end, ring_end + T), T >= L; the
// queries are the last L positions. window: visible keys including the query's own, or none for all. One dtype.
mx::array sliding_window_attention(const mx::array& q, const std::optional<mx::array>& ring, int64_t ring_end,
                                   const mx::array& tail_k, const mx::array& tail_v, std::optional<int64_t> window,
                                   float scale, mx::StreamOrDevice stream, const MetalLaunches& launches = {});

// The ring with positions [start, start + T) written: k, v: [B, Hkv, T, D]. It takes over the ring's memory, so the
// caller must let nothing read the ring given after `after` is computed, which this waits for.
mx::array ring_commit(const mx::array& ring, int64_t start, const mx::array& k, const mx::array& v,
                      const mx::array& after, mx::StreamOrDevice stream, const MetalLaunches& launches = {});

// Memory in the order [B, L, H, D] behind the shape [B, H, L, D]: the transpose that follows in a model costs nothing.
void allocate_by_query(mx::array& out);

// Bytes that all ring commits have written so far, and bytes of rings that could not be written in place.
struct CommitBytes {
  uint64_t rows, rings;
};
CommitBytes commit_bytes();

class SlidingWindowAttention : public Differentiable {
 public:
  struct Options {
    int64_t ring_end, window;
    float scale;
    bool ring;  // inputs: q, tail_k, tail_v and, where present, the ring
    MetalLaunches launches;
    bool operator==(const Options&) const = default;
  };

  SlidingWindowAttention(mx::Stream stream, const Options& options);

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralSlidingWindowAttention"; }
  bool is_equivalent(const mx::Primitive& other) const override;
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override { return {inputs[0].shape()}; }

 private:
  Options options_;
};

class RingCommit : public mx::Primitive {
 public:
  RingCommit(mx::Stream stream, int64_t start, const MetalLaunches& launches)
      : mx::Primitive(stream), start_(start), launches_(launches) {}

  void eval_cpu(const Arrays& inputs, Arrays& outputs) override;
  void eval_gpu(const Arrays& inputs, Arrays& outputs) override;
  const char* name() const override { return "VoxtralRingCommit"; }
  std::vector<mx::Shape> output_shapes(const Arrays& inputs) override { return {inputs[0].shape()}; }

 private:
  int64_t start_;
  MetalLaunches launches_;
};

}  // namespace voxtral

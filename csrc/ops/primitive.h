// What the graph ops share: derivatives through a composed form, and inputs in a layout that the kernels read.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "cpu/args.h"
#include "mlx/array.h"
#include "mlx/primitives.h"
#include "mlx/utils.h"

namespace voxtral {
namespace mx = mlx::core;

using Arrays = std::vector<mx::array>;

// A primitive whose vjp, jvp and vmap go through stock MLX ops, as MLX's own fast ops do.
class Differentiable : public mx::Primitive {
 public:
  using Composed = std::function<Arrays(const Arrays&)>;

  Differentiable(mx::Stream stream, Composed composed) : mx::Primitive(stream), composed_(std::move(composed)) {}

  Arrays vjp(const Arrays& primals, const Arrays& cotangents, const std::vector<int>& argnums,
             const Arrays& outputs) override;
  Arrays jvp(const Arrays& primals, const Arrays& tangents, const std::vector<int>& argnums) override;
  std::pair<Arrays, std::vector<int>> vmap(const Arrays& inputs, const std::vector<int>& axes) override;

 private:
  Composed composed_;
};

// An op that is what its options say: two of equal options do the same.
template <class Options>
class Op : public Differentiable {
 public:
  using Composed = Arrays (*)(const Arrays& inputs, const Options& options, mx::Stream stream);

  Op(mx::Stream stream, const Options& options, Composed composed)
      : Differentiable(stream, [=](const Arrays& inputs) { return composed(inputs, options, stream); }),
        options_(options) {}

  bool is_equivalent(const mx::Primitive& other) const override {
    return options_ == static_cast<const Op&>(other).options_;
  }

 protected:
  Options options_;
};

// The array itself where its last axis is contiguous (and, with `rows`, all axes), else a copy made on the stream.
mx::array readable(const mx::array& a, mx::Stream stream, bool rows);

// The arrays themselves on a CPU; on a GPU row-contiguous, as the shaders read them.
Arrays contiguous_on_gpu(Arrays arrays, mx::Stream stream);

// float32, float16 or bfloat16; throws std::invalid_argument otherwise.
cpu::Dtype kernel_dtype(const char* op, const mx::array& a);

// A ring, [2, B, Hkv, C, D], holds rows of `a`. In 8 bits it is int8 [2, B, Hkv, C, D + 4], in memory the bytes of all
// rows, then a float32 scale for each.
bool has_rows_of(const mx::array& ring, const mx::array& a);

inline std::size_t ring_rows(const mx::array& ring) { return ring.size() / ring.shape(4); }

// Who is where in a call of several streams: int32 [B, 4], each a slot of the ring, the ring's end, the first position in
// the tail of all, the number of positions there. The values are the caller's: they are read when the call is computed.
void require_streams(const char* op, const mx::array& streams);

// Throws std::invalid_argument "[op] text" unless `holds`: the last line of defence before pointers are used; callers
// with better words check first.
void require(bool holds, const char* op, const char* text);

}  // namespace voxtral

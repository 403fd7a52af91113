#include "ops/primitive.h"

#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>

#include "mlx/allocator.h"
#include "mlx/backend/cpu/encoder.h"
#include "mlx/ops.h"
#include "mlx/transforms.h"

namespace voxtral {

Arrays Differentiable::vjp(const Arrays& primals, const Arrays& cotangents, const std::vector<int>& argnums,
                           const Arrays&) {
  const auto gradients = mx::vjp(composed_, primals, cotangents).second;
  Arrays wanted;
  for (int i : argnums) wanted.push_back(gradients[i]);
  return wanted;
}

Arrays Differentiable::jvp(const Arrays& primals, const Arrays& tangents, const std::vector<int>& argnums) {
  Arrays all;
  for (const auto& primal : primals) all.push_back(mx::zeros_like(primal, stream()));
  for (std::size_t i = 0; i < argnums.size(); ++i) all[argnums[i]] = tangents[i];
  return mx::jvp(composed_, primals, all).second;
}

std::pair<Arrays, std::vector<int>> Differentiable::vmap(const Arrays& inputs, const std::vector<int>& axes) {
  Arrays outputs = mx::vmap(composed_, axes)(inputs);
  std::vector<int> out_axes(outputs.size(), 0);
  return {std::move(outputs), std::move(out_axes)};
}

namespace {

void copy_strided(const char* from, char* to, const mx::Shape& shape, const mx::Strides& strides, std::size_t item) {
  const int axes = int(shape.size());
  std::vector<int> index(axes, 0);
  const std::int64_t rows = shape[axes - 1];
  for (;;) {
    std::int64_t offset = 0;
    for (int a = 0; a + 1 < axes; ++a) offset += index[a] * strides[a];
    for (std::int64_t i = 0; i < rows; ++i, to += item) {
      std::memcpy(to, from + (offset + i * strides[axes - 1]) * std::int64_t(item), item);
    }
    int a = axes - 2;
    while (a >= 0 && ++index[a] == shape[a]) index[a--] = 0;
    if (a < 0) return;
  }
}

}  // namespace

mx::array readable(const mx::array& a, mx::Stream stream, bool rows) {
  if (a.flags().row_contiguous || a.size() == 0) return a;
  if (!rows && a.strides(-1) == 1) return a;
  mx::array copy(a.shape(), a.dtype(), nullptr, {});
  copy.set_data(mx::allocator::malloc(copy.nbytes()));
  auto& encoder = mx::cpu::get_command_encoder(stream);
  encoder.dispatch([from = a.data<char>(), to = copy.data<char>(), shape = a.shape(), strides = a.strides(),
                    item = a.itemsize()] { copy_strided(from, to, shape, strides, item); });
  encoder.add_temporary(copy);
  return copy;
}

namespace {

// Computed already, or by what always writes whole rows: then a copy would be one more node that copies nothing.
bool is_whole(const mx::array& a) {
  if (a.is_available()) return a.flags().row_contiguous;
  if (!a.has_primitive()) return false;
  const std::string_view name = a.primitive().name();
  return name == "Matmul" || name == "AddMM" || name == "QuantizedMatmul" || name == "VoxtralAdaRmsNorm" ||
         name == "VoxtralRopeAppend" || name == "VoxtralSiluMul" || name == "VoxtralRingCommit";
}

}  // namespace

Arrays contiguous_on_gpu(Arrays arrays, mx::Stream stream) {
  if (stream.device == mx::Device::gpu) {
    for (auto& a : arrays) {
      if (!is_whole(a)) a = mx::contiguous(a, false, stream);
    }
  }
  return arrays;
}

cpu::Dtype kernel_dtype(const char* op, const mx::array& a) {
  if (a.dtype() == mx::float32) return cpu::Dtype::float32;
  if (a.dtype() == mx::float16) return cpu::Dtype::float16;
  require(a.dtype() == mx::bfloat16, op, "dtype: expected float32, float16 or bfloat16.");
  return cpu::Dtype::bfloat16;
}

bool has_rows_of(const mx::array& ring, const mx::array& a) {
  const int dim = a.shape(-1), width = ring.shape(-1);
  return ring.dtype() == mx::int8 ? width == dim + int(sizeof(float)) : width == dim && ring.dtype() == a.dtype();
}

void require_streams(const char* op, const mx::array& streams) {
  require(streams.ndim() == 2 && streams.shape(0) >= 1 && streams.shape(1) == 4 && streams.dtype() == mx::int32, op,
          "streams: expected int32 [B, 4].");
}

void require(bool holds, const char* op, const char* text) {
  if (!holds) throw std::invalid_argument("[" + std::string(op) + "] " + text);
}

}  // namespace voxtral

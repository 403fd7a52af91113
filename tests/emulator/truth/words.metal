//= refused a_variable_called_new
// source: gfx-rs/naga#264
// says: expected unqualified-id; 'new' is not supported in Metal
kernel void a_variable_called_new(device float* out) {
  float new = 1.0f;
  out[0] = new;
}

//= refused a_variable_called_half
// source: gfx-rs/wgpu#5072
// says: half is a type
kernel void a_variable_called_half(device float* out) {
  float half = 0.5f;
  out[0] = half;
}

//= refused a_member_called_vertex
// source: gfx-rs/wgpu#4904
// says: 'user' attribute cannot be applied to types
struct Mesh {
  float2 position;
  float2 vertex;
};
kernel void a_member_called_vertex(device float* out, device const Mesh* meshes) { out[0] = meshes[0].vertex.x; }

//= refused a_variable_called_fragment
// source: gfx-rs/wgpu#5588
// says: the name of a stage is a keyword
kernel void a_variable_called_fragment(device float* out) {
  float fragment = 1.0f;
  out[0] = fragment;
}

//= refused a_parameter_called_kernel
// source: gfx-rs/wgpu#4904
// says: the name of a stage is a keyword
inline float weighted(device const float* kernel, uint i) { return kernel[i]; }
kernel void a_parameter_called_kernel(device float* out) { out[0] = weighted(out, 0); }

//= refused a_function_called_assert
// source: gfx-rs/wgpu#5347
// says: assert is a macro of the standard library
void assert(bool a, bool b) {}
kernel void a_function_called_assert(device float* out) {
  assert(out[0] > 0, true);
  out[0] = 1.0f;
}

//= refused a_lambda_before_3_2
// source: Blaizzy/mlx-vlm#469, go-gui-org/go-gui#126
// says: lambda expressions are not supported in Metal
kernel void a_lambda_before_3_2(device float* out) {
  auto cubic = [](float x) -> float { return x * x * x; };
  out[0] = cubic(out[0]);
}

//= refused doubles
// source: apache/tvm#7118, JuliaGPU/Metal.jl#84
// says: 'double' is not supported in Metal
kernel void doubles(device float* out) {
  double sum = 0;
  sum += out[0];
  out[0] = sum;
}

//= refused long_longs
// source: JuliaGPU/Metal.jl#84 (quotes MSL 2.1)
// says: Metal does not support the double, long long, unsigned long long, and long double data types
kernel void long_longs(device float* out) {
  unsigned long long n = 1;
  out[0] = n;
}

//= refused jumps
// source: MSL 1.5.4
// says: 'goto' is not supported
kernel void jumps(device float* out) {
  if (out[0] > 1.0f) goto done;
  out[0] = 1.0f;
done:
  return;
}

//= refused virtual_methods
// source: MSL 1.5.4
// says: virtual functions are not supported
struct Shape {
  virtual float area() const { return 1.0f; }
};
kernel void virtual_methods(device float* out) {
  Shape shape;
  out[0] = shape.area();
}

//= refused thrown_exceptions
// source: MSL 1.5.4
// says: exceptions are not supported
kernel void thrown_exceptions(device float* out) {
  if (out[0] < 0) throw 1;
  out[0] = 1.0f;
}

//= refused dynamic_casts
// source: MSL 1.5.4
// says: dynamic_cast is not supported
struct Base {};
struct Derived : Base {};
kernel void dynamic_casts(device float* out) {
  Derived d;
  thread Base* b = &d;
  out[0] = dynamic_cast<thread Derived*>(b) == &d;
}

//= refused type_ids
// source: MSL 1.5.4
// says: run-time type information is not supported
kernel void type_ids(device float* out) { out[0] = typeid(out[0]) == typeid(float); }

//= refused register_variables
// source: MSL 1.5.4
// says: register is not supported
kernel void register_variables(device float* out) {
  register float x = 1.0f;
  out[0] = x;
}

//= refused thread_local_variables
// source: MSL 1.5.4
// says: thread_local is not supported
kernel void thread_local_variables(device float* out) {
  thread_local float x = 1.0f;
  out[0] = x;
}

//= refused the_standard_library_of_cpp
// source: MSL 1.5.4
// says: the C++ standard library must not be used
kernel void the_standard_library_of_cpp(device float* out) { out[0] = std::max(out[0], 1.0f); }

//= refused headers_of_cpp
// source: MSL 1.5.4
// says: 'cmath' file not found
#include <cmath>
kernel void headers_of_cpp(device float* out) { out[0] = 1.0f; }

//= refused variables_that_point_to_functions
// source: MSL 1.5.4
// says: function pointers are not supported
inline float same(float x) { return x; }
kernel void variables_that_point_to_functions(device float* out) {
  float (*f)(float) = same;
  out[0] = f(out[0]);
}

//= refused recursion_before_2_4
// source: MSL 1.5.4 (since Metal 2.4)
// says: recursive function calls are not supported
// version: 2.3
inline uint factorial(uint n) { return n < 2 ? 1 : n * factorial(n - 1); }
kernel void recursion_before_2_4(device uint* out) { out[0] = factorial(out[0]); }

//= accepted a_lambda_since_3_2
// source: MSL 1.5.4, Blaizzy/mlx-vlm#469
// version: 3.2
// out: 8
kernel void a_lambda_since_3_2(device float* out) {
  auto cubic = [](float x) -> float { return x * x * x; };
  out[0] = cubic(2.0f);
}

//= accepted words_of_opencl
// source: MSL 1.5 (C++ with Metal's own keywords: these are none)
// out: 15
kernel void words_of_opencl(device float* out) {
  int global = 1, local = 2, generic = 4, pipe = 8;
  out[0] = global + local + generic + pipe;
}

//= accepted names_near_a_stage
// source: gfx-rs/wgpu#5588 (my_vertex works)
// out: 3
struct Outline {
  float my_vertex;
  float vertices;
};
kernel void names_near_a_stage(device float* out) {
  Outline o = {1.0f, 2.0f};
  float kernel_size = o.my_vertex + o.vertices;
  out[0] = kernel_size;
}

//= accepted unions
// source: ml-explore/mlx random.metal (union rbits)
// out: 1065353216
union Bits {
  float f;
  uint u;
};
kernel void unions(device float* out) {
  Bits bits;
  bits.f = 1.0f;
  out[0] = bits.u;
}

//= accepted sixty_four_bits
// source: MSL 2.1 (long and ulong)
// out: 8 32 1
kernel void sixty_four_bits(device float* out) {
  ulong big = 1ul << 37;
  long small = -32;
  out[0] = sizeof(long);
  out[1] = big >> 32;
  out[2] = small < 0 && int64_t(big) > 0;
}

//= accepted asserted
// source: gfx-rs/wgpu#5347 (assert is a macro of the standard library)
// out: 2
kernel void asserted(device float* out) {
  float x = 2.0f;
  assert(x > 0);
  out[0] = x;
}

//= accepted headers_of_metal
// source: gfx-rs/naga#1339 (#include <simd/simd.h>), shader-slang/slang#11837 (<metal_texture>)
// out: 1
#include <metal_stdlib>
#include <metal_atomic>
#include <metal_math>
#include <metal_texture>
#include <simd/simd.h>
using namespace metal;
kernel void headers_of_metal(device float* out) { out[0] = cos(0.0f); }

//= accepted recursion
// source: MSL 1.5.4 (since Metal 2.4)
// out: 120
inline uint product_to(uint n) { return n < 2 ? 1 : n * product_to(n - 1); }
kernel void recursion(device float* out) { out[0] = product_to(5); }

//= accepted variables_of_an_if
// source: ml-explore/mlx (if constexpr in its headers), MSL 1.5
// out: 4 8
template <typename T>
float bytes_of() {
  if constexpr (sizeof(T) == 8) {
    return 8;
  } else {
    return sizeof(T);
  }
}
kernel void variables_of_an_if(device float* out) {
  out[0] = bytes_of<float>();
  out[1] = bytes_of<long>();
}

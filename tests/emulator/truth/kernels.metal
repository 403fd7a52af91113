//= refused two_names_of_the_simdgroup_width
// source: larsgeb/m1-gpu-cpp#4
// says: kernel function cannot have input declarations with 'thread_execution_width' and 'threads_per_simdgroup'
kernel void two_names_of_the_simdgroup_width(device uint* out, uint width [[thread_execution_width]],
                                             uint lanes [[threads_per_simdgroup]]) {
  out[0] = width + lanes;
}

//= refused scalar_and_vector_positions
// source: bledden/triton-msl#10
// says: expecting input declarations with either all scalar types or all vector types with the same number of elements
kernel void scalar_and_vector_positions(device uint* out, uint group [[threadgroup_position_in_grid]],
                                        uint3 thread_of_group [[thread_position_in_threadgroup]]) {
  out[group] = thread_of_group.x;
}

//= refused positions_of_two_and_three
// source: bledden/triton-msl#10
// says: expecting input declarations with either all scalar types or all vector types with the same number of elements
kernel void positions_of_two_and_three(device uint* out, uint2 i [[thread_position_in_grid]],
                                       uint3 size [[threads_per_threadgroup]]) {
  out[i.x] = size.x;
}

//= refused array_bound_from_a_function_constant
// source: KhronosGroup/MoltenVK#1106
// says: variable length arrays are not supported in Metal
constant uint block [[function_constant(0)]];
kernel void array_bound_from_a_function_constant(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[block];
  shared[i] = 1.0f;
  out[i] = shared[i];
}

//= refused template_argument_from_a_function_constant
// source: KhronosGroup/MoltenVK#2585
// says: non-type template argument is not a constant expression
constant uint tile [[function_constant(0)]];
template <uint N>
float sum_of(device const float* x) {
  float sum = 0;
  for (uint i = 0; i < N; ++i) sum += x[i];
  return sum;
}
kernel void template_argument_from_a_function_constant(device float* out) { out[0] = sum_of<tile>(out); }

//= refused array_bound_from_an_argument
// source: ggml-org/llama.cpp#12612
// says: variable length arrays are not supported in Metal
kernel void array_bound_from_an_argument(device float* out, constant uint& n) {
  float values[n];
  for (uint i = 0; i < n; ++i) values[i] = out[i];
  out[0] = values[n - 1];
}

//= refused array_without_elements
// source: ggml-org/llama.cpp#10208
// says: zero-length arrays are not permitted in C++
template <int D, int N>
float first_of(device const float* x) {
  float4x4 rows[D / N];
  return x[0] + sizeof(rows);
}
kernel void array_without_elements(device float* out) { out[0] = first_of<4, 8>(out); }

//= refused a_thirty_second_buffer
// source: Metal Feature Set Tables (31 buffers), MSL 5.2.1
// says: 'buffer' attribute parameter is out of bounds: must be between 0 and 30
kernel void a_thirty_second_buffer(device float* out [[buffer(31)]]) { out[0] = 1.0f; }

//= refused an_index_twice
// source: MSL 5.2.1
// says: the index of a buffer must be unique
kernel void an_index_twice(device float* out [[buffer(0)]], device const float* x [[buffer(0)]]) { out[0] = x[0]; }

//= refused a_thirty_second_threadgroup_argument
// source: Metal Feature Set Tables (31 threadgroup arguments), MSL 5.2.1
// says: 'threadgroup' attribute parameter is out of bounds: must be between 0 and 30
kernel void a_thirty_second_threadgroup_argument(device float* out, threadgroup float* shared [[threadgroup(31)]]) {
  shared[0] = 1.0f;
  out[0] = shared[0];
}

//= refused a_buffer_by_value
// source: MSL 5.2
// says: arguments of a kernel are pointers or references to device or constant memory
kernel void a_buffer_by_value(device float* out [[buffer(0)]], float scale [[buffer(1)]]) { out[0] = scale; }

//= refused a_size_without_attribute
// source: MSL 5.2
// says: an argument by value needs an attribute
kernel void a_size_without_attribute(device float* out, uint n) { out[0] = n; }

//= refused a_signed_position
// source: MSL table 5.8
// says: thread_position_in_grid is ushort or uint, or a vector of them
kernel void a_signed_position(device float* out, int i [[thread_position_in_grid]]) { out[i] = 1.0f; }

//= refused a_vector_lane
// source: MSL table 5.8
// says: thread_index_in_simdgroup is ushort or uint
kernel void a_vector_lane(device float* out, uint2 lane [[thread_index_in_simdgroup]]) { out[lane.x] = 1.0f; }

//= refused a_kernel_with_a_result
// source: MSL 5.1.3
// says: the return type of a kernel is void
kernel float a_kernel_with_a_result(device float* out) { return out[0]; }

//= refused a_kernel_calls_another
// source: MSL 5.1
// says: a kernel function cannot call another one
kernel void fills(device float* out) { out[0] = 1.0f; }
kernel void a_kernel_calls_another(device float* out) { fills(out); }

//= refused a_kernel_overloaded
// source: MSL 1.5.1
// says: kernel functions cannot be overloaded
kernel void a_kernel_overloaded(device float* out) { out[0] = 1.0f; }
kernel void a_kernel_overloaded(device half* out) { out[0] = 1.0h; }

//= refused a_kernel_called_main
// source: MSL 1.5.4
// says: a Metal function cannot be called main
kernel void main(device float* out) { out[0] = 1.0f; }

//= refused an_attribute_that_is_none
// source: MSL table 5.8
// says: unknown attribute
kernel void an_attribute_that_is_none(device float* out, uint i [[global_thread_id]]) { out[i] = 1.0f; }

//= refused a_pointer_to_thread_memory
// source: MSL 5.2
// says: arguments of a kernel are pointers or references to device, constant or threadgroup memory
kernel void a_pointer_to_thread_memory(device float* out, thread float* x [[buffer(1)]]) { out[0] = x[0]; }

//= refused exact_threads_before_4_0
// source: MSL 5.1.3 (required_threads_per_threadgroup: Metal 4)
// says: unknown attribute
[[required_threads_per_threadgroup(32, 1, 1)]] kernel void exact_threads_before_4_0(device float* out) {
  out[0] = 1.0f;
}

//= accepted exact_threads_since_4_0
// source: MSL 5.1.3 (required_threads_per_threadgroup: Metal 4)
// version: 4.0
// out: 1
[[required_threads_per_threadgroup(1, 1, 1)]] kernel void exact_threads_since_4_0(device float* out) { out[0] = 1.0f; }

//= accepted most_threads
// source: MSL 5.1.3 (max_total_threads_per_threadgroup)
// out: 1
[[kernel, max_total_threads_per_threadgroup(64)]] void most_threads(device float* out) { out[0] = 1.0f; }

//= accepted positions_of_one_kind
// source: MSL table 5.8
// threads: 4
// out: 0 11 22 33
kernel void positions_of_one_kind(device float* out, uint3 i [[thread_position_in_grid]],
                                  uint3 t [[thread_position_in_threadgroup]], uint lane [[thread_index_in_simdgroup]],
                                  ushort first [[simdgroup_index_in_threadgroup]]) {
  out[i.x] = 10 * t.x + lane + first;
}

//= accepted scalar_indices_beside_vector_positions
// source: ml-explore/mlx steel/attn/kernels/steel_attention.h (uint lanes beside uint3 positions)
// threads: 2
// out: 0 2
kernel void scalar_indices_beside_vector_positions(device float* out, uint3 i [[thread_position_in_grid]],
                                                   uint t [[thread_index_in_threadgroup]],
                                                   uint width [[threads_per_simdgroup]]) {
  out[i.x] = t + (width == 32 ? i.x : 100);
}

//= accepted both_spellings_of_a_kernel
// source: MSL 5.1 (kernel and [[kernel]])
// out: 2
[[kernel]] void both_spellings_of_a_kernel(device float* out [[buffer(0)]]) { out[0] = 2.0f; }

//= accepted a_kernel_after_void
// source: ggml-org/llama.cpp ggml-metal.metal (void kernel f())
// out: 2
void kernel a_kernel_after_void(device float* out) { out[0] = 2.0f; }

//= accepted buffers_by_reference
// source: MSL 5.2
// in: 4
// out: 4
kernel void buffers_by_reference(device float& out, constant float& x [[buffer(1)]]) { out = x; }

//= accepted a_threadgroup_reference
// source: MSL 5.2 (an argument in threadgroup memory; its index is optional)
// threadgroup: 16
// out: 3
kernel void a_threadgroup_reference(device float* out, threadgroup float& shared) {
  shared = 3.0f;
  out[0] = shared;
}

//= accepted a_kernel_in_a_namespace
// source: MSL 5.1 (functions of a namespace)
// entry: tools::a_kernel_in_a_namespace
// out: 6
namespace tools {
constant float factor = 2.0f;
inline float scaled(float x) { return factor * x; }
kernel void a_kernel_in_a_namespace(device float* out) { out[0] = scaled(3.0f); }
}  // namespace tools

//= accepted positions_at_program_scope
// source: MSL 5.9
// version: 3.1
// threads: 3
// out: 0 10 20
uint gid [[thread_position_in_grid]];
inline float tenfold() { return 10.0f * gid; }
kernel void positions_at_program_scope(device float* out) { out[gid] = tenfold(); }

//= accepted a_loop_to_a_function_constant
// source: MSL 5.8
// constant 0: 3
// out: 6 1
constant uint rounds [[function_constant(0)]];
constant bool has_rounds = is_function_constant_defined(rounds);
kernel void a_loop_to_a_function_constant(device float* out) {
  float sum = 0;
  for (uint i = 1; i <= rounds; ++i) sum += i;
  out[0] = sum;
  out[1] = has_rounds;
}

//= accepted instances_by_name
// source: ggml-org/llama.cpp ggml-metal.metal (template [[host_name(...)]])
// entry: instances_by_name_4
// out: 4
template <typename T, int N>
kernel void sized(device T* out [[buffer(0)]]) {
  out[0] = N;
}
typedef decltype(sized<float, 4>) sized_t;
template [[host_name("instances_by_name_4")]] kernel sized_t sized<float, 4>;

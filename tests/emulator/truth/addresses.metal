//= refused parameter_without_space
// source: ggml-org/llama.cpp#3898
// says: pointer type must have explicit address space qualifier
static void rotate(float* cosine, float* sine) {
  *cosine = 1.0f;
  *sine = 0.0f;
}
kernel void parameter_without_space(device float* out) {
  float c, s;
  rotate(&c, &s);
  out[0] = c + s;
}

//= refused const_parameter_without_space
// source: hashcat/hashcat#4302
// says: pointer type must have explicit address space qualifier
inline uint first_word(const uint* in) { return in[0]; }
kernel void const_parameter_without_space(device uint* out) {
  uint words[2] = {1, 2};
  out[0] = first_word(words);
}

//= refused local_pointer_without_space
// source: shader-slang/slang#4129
// says: pointer type must have explicit address space qualifier
kernel void local_pointer_without_space(device float* out) {
  float* p = out + 0u;
  *p = *p + 1.0f;
}

//= refused threadgroup_as_thread
// source: hashcat/hashcat#4764
// says: cannot pass pointer to address space 'threadgroup' as a pointer to default address space
inline void clear(thread uint* words) { words[0] = 0; }
kernel void threadgroup_as_thread(device uint* out) {
  threadgroup uint shared[4];
  clear(&shared[1]);
  out[0] = shared[1];
}

//= refused constexpr_at_program_scope
// source: AdaptiveCpp/AdaptiveCpp#864
// says: program scope variable must reside in constant address space
constexpr uint sizes[4] = {0, 10, 16, 19};
kernel void constexpr_at_program_scope(device uint* out, uint i [[thread_position_in_grid]]) { out[i] = sizes[i & 3]; }

//= refused const_at_program_scope
// source: AliceO2Group/AliceO2#15802
// says: MSL requires namespace-scope constexpr to live in the constant address space
namespace tpc {
static const float pitch = 0.5f;
}
kernel void const_at_program_scope(device float* out) { out[0] = tpc::pitch; }

//= refused counter_at_program_scope
// source: MSL 4.2
// says: variables at program scope are declared in the constant address space
uint counter = 0;
kernel void counter_at_program_scope(device uint* out) { out[0] = ++counter; }

//= refused constant_without_a_value
// source: MSL 4.2
// says: variables in program scope must be initialized during declaration
constant float limit;
kernel void constant_without_a_value(device float* out) { out[0] = limit; }

//= refused constant_is_written
// source: MSL 4.2
// says: writing to variables declared in the constant address space is a compile-time error
constant float table[2] = {1.0f, 2.0f};
kernel void constant_is_written(device float* out) {
  table[0] = 3.0f;
  out[0] = table[0];
}

//= refused constant_argument_is_written
// source: MSL 4.2
// says: writing to variables declared in the constant address space is a compile-time error
kernel void constant_argument_is_written(device float* out, constant float& scale) {
  scale = 2.0f;
  out[0] = scale;
}

//= refused constant_pointer_as_device
// source: MSL 4
// says: a pointer to one address space cannot be assigned to a pointer to another
kernel void constant_pointer_as_device(device float* out, constant float* table) {
  device const float* p = table;
  out[0] = p[0];
}

//= refused device_pointer_cast_to_threadgroup
// source: MSL 4
// says: it is illegal to cast a pointer from one address space to another
kernel void device_pointer_cast_to_threadgroup(device float* out) {
  threadgroup float* p = (threadgroup float*)out;
  out[0] = p[0];
}

//= refused constant_object_as_device_reference
// source: MSL 4
// says: it is illegal to cast a pointer from one address space to another
struct Parameters {
  float scale;
};
kernel void constant_object_as_device_reference(device float* out, constant Parameters& parameters) {
  device const Parameters& p = (device const Parameters&)parameters;
  out[0] = p.scale;
}

//= refused device_object_bound_to_thread_reference
// source: MSL 4
// says: a reference to one address space cannot be bound to an object of another
inline void increment(thread float& x) { x += 1.0f; }
kernel void device_object_bound_to_thread_reference(device float* out) { increment(out[0]); }

//= refused threadgroup_variable_of_a_function
// source: MSL 4.4
// says: threadgroup variables are declared in a kernel or passed to it
inline float through_shared(float x, uint i) {
  threadgroup float shared[32];
  shared[i] = x;
  return shared[i];
}
kernel void threadgroup_variable_of_a_function(device float* out, uint i [[thread_position_in_threadgroup]]) {
  out[i] = through_shared(out[i], i);
}

//= refused threadgroup_at_program_scope
// source: MSL 4.4, 4.2 (program scope is constant)
// says: program scope variable must reside in constant address space
threadgroup float shared_by_all[32];
kernel void threadgroup_at_program_scope(device float* out, uint i [[thread_position_in_threadgroup]]) {
  shared_by_all[i] = out[i];
  out[i] = shared_by_all[i];
}

//= refused matrices_in_threadgroup_memory
// source: ggml-org/llama.cpp#26646
// says: no matching constructor for initialization of 'threadgroup half4x4'
kernel void matrices_in_threadgroup_memory(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup half4x4 tiles[32];
  tiles[i] = half4x4(1.0h);
  out[i] = tiles[i][0][0];
}

//= refused static_of_a_function
// source: gpuweb/WSL#105
// says: it doesn't permit statically declared variables in local scope
kernel void static_of_a_function(device uint* out) {
  static uint calls = 0;
  out[0] = ++calls;
}

//= refused atomics_of_a_thread
// source: gfx-rs/gfx#2114
// says: no matching function for call to 'atomic_fetch_add_explicit'
kernel void atomics_of_a_thread(device uint* out) {
  uint mine = 0;
  out[0] = atomic_fetch_add_explicit((volatile thread atomic_uint*)&mine, 1u, memory_order_relaxed);
}

//= accepted constexpr_of_a_function
// source: AliceO2Group/AliceO2#15802 (they work fine inside a function)
// out: 8
kernel void constexpr_of_a_function(device float* out) {
  constexpr int n = 8;
  const int unchanged = n;
  float values[n];
  for (int i = 0; i < n; ++i) values[i] = 1.0f;
  float sum = 0;
  for (int i = 0; i < unchanged; ++i) sum += values[i];
  out[0] = sum;
}

//= accepted constant_table
// source: MSL 4.2 (its example)
// out: 3 4
constant float samples[] = {1.0f, 2.0f, 3.0f, 4.0f};
kernel void constant_table(device float* out) {
  constant float* last = &samples[3];
  out[0] = samples[2];
  out[1] = *last;
}

//= accepted matrix_view_of_threadgroup_memory
// source: ggml-org/llama.cpp#26646 (its correction)
// threads: 2
// out: 1 1
kernel void matrix_view_of_threadgroup_memory(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup half memory[2 * 16];
  threadgroup half4x4* tiles = (threadgroup half4x4*)memory;
  tiles[i] = half4x4(1.0h);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = tiles[1 - i][2][2];
}

//= accepted threadgroup_initialiser_is_ignored
// source: ml-explore/mlx layer_norm.metal (threadgroup float local_buffer[N] = {0})
// threads: 2
// out: 5 5
kernel void threadgroup_initialiser_is_ignored(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup uint flag = 7u;
  threadgroup float sums[2] = {0};
  if (i == 0) {
    flag = 5u;
  }
  sums[i] = 0;
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = flag + sums[i];
}

//= accepted overloads_by_address_space
// source: MSL 4 (address spaces are part of the type)
// out: 1 2 3
inline float where(device const float*) { return 1; }
inline float where(constant const float*) { return 2; }
inline float where(thread const float*) { return 3; }
constant float one_value[1] = {0.0f};
kernel void overloads_by_address_space(device float* out) {
  float mine[1] = {0.0f};
  out[0] = where(out);
  out[1] = where(one_value);
  out[2] = where(mine);
}

//= accepted reinterpreted_in_its_space
// source: dougallj/applegpu#25 (reinterpret_cast<device atomic_ulong*>), MSL 4
// in: 1
// out: 1065353216
kernel void reinterpreted_in_its_space(device float* out, device const float* x) {
  device const uint* bits = reinterpret_cast<device const uint*>(x);
  out[0] = *bits;
}

//= accepted space_after_the_type
// source: shader-slang/slang#11837 (uint device* p)
// in: 6
// out: 6
kernel void space_after_the_type(float device* out [[buffer(0)]], float const device* x [[buffer(1)]]) {
  *(out + int(0)) = x[0];
}

//= accepted references_to_arguments
// source: MSL 5.2 (a buffer may be passed by reference)
// in: 2.5
// out: 5
struct Settings {
  float scale;
};
inline float doubled(constant Settings& settings) { return 2.0f * settings.scale; }
kernel void references_to_arguments(device float& out, constant Settings& settings [[buffer(1)]]) {
  out = doubled(settings);
}

//= accepted methods_by_address_space
// source: MSL 4 (a method's object may be in any address space that it names)
// in: 3
// out: 3 6
struct Value {
  float x;
  float get() const device { return x; }
  float get() const { return 2.0f * x; }
};
kernel void methods_by_address_space(device float* out, device const Value* values) {
  Value copy = values[0];
  out[0] = values[0].get();
  out[1] = copy.get();
}

//= refused an_atomic_as_a_number
// source: MSL 2.6 (atomic types have no operators)
// says: invalid operands to binary expression
kernel void an_atomic_as_a_number(device atomic_uint* out) { out[0] += 1u; }

//= refused a_number_as_an_atomic
// source: MSL 6.15.4 (the functions take atomic types)
// says: no matching function for call to 'atomic_fetch_add_explicit'
kernel void a_number_as_an_atomic(device uint* out) { atomic_fetch_add_explicit(out, 1u, memory_order_relaxed); }

//= refused acquire_before_3_2
// source: MSL 6.15.1 (memory_order_relaxed alone for atomic operations)
// says: no matching function for call; the order must be relaxed
kernel void acquire_before_3_2(device atomic_uint* out) { atomic_fetch_add_explicit(out, 1u, memory_order_acquire); }

//= refused maximum_of_atomic_floats
// source: MSL 6.15.4.5 (fetch add and sub alone for atomic_float)
// says: no matching function for call to 'atomic_fetch_max_explicit'
kernel void maximum_of_atomic_floats(device atomic_float* out) {
  atomic_fetch_max_explicit(out, 1.0f, memory_order_relaxed);
}

//= refused atomic_floats_in_threadgroup_memory
// source: JuliaGPU/Metal.jl#636, MSL 2.6 (atomic_float in device memory)
// says: no matching function for call to 'atomic_fetch_add_explicit'
kernel void atomic_floats_in_threadgroup_memory(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup atomic_float sum;
  atomic_fetch_add_explicit(&sum, 1.0f, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = atomic_load_explicit(&sum, memory_order_relaxed);
}

//= refused addition_to_atomic_ulong
// source: gogpu/naga#79
// says: 64-bit atomics are min and max without a result
kernel void addition_to_atomic_ulong(device atomic_ulong* out) {
  atomic_fetch_add_explicit(out, 1ul, memory_order_relaxed);
}

//= refused exchange_of_atomic_ulong
// source: gogpu/naga#79
// says: no matching function for call to 'atomic_compare_exchange_weak_explicit'
kernel void exchange_of_atomic_ulong(device atomic_ulong* out) {
  ulong expected = 0;
  atomic_compare_exchange_weak_explicit(out, &expected, 1ul, memory_order_relaxed, memory_order_relaxed);
}

//= refused old_maximum_of_atomic_ulong
// source: KhronosGroup/MoltenVK#1692
// says: atomic_fetch_max_explicit() does not support 64-bit values
kernel void old_maximum_of_atomic_ulong(device atomic_ulong* out, device ulong* old) {
  old[0] = atomic_fetch_max_explicit(out, 1ul, memory_order_relaxed);
}

//= refused load_of_atomic_ulong
// source: gogpu/naga#82
// says: loads, stores and arithmetic of 64-bit atomics do not exist
kernel void load_of_atomic_ulong(device atomic_ulong* x, device ulong* out) {
  out[0] = atomic_load_explicit(x, memory_order_relaxed);
}

//= accepted maximum_of_atomic_ulong
// source: dougallj/applegpu#25, KhronosGroup/MoltenVK#1692
// filled: 0
// out: 1 0
kernel void maximum_of_atomic_ulong(device atomic_ulong* out) {
  atomic_max_explicit(out, 0x3f800000, memory_order_relaxed);
}

//= accepted sum_in_an_atomic_float
// source: dougallj/applegpu#25 (atomic_fetch_add_explicit of atomic_float), MSL 6.15.4.5
// threads: 4
// filled: 0
// out: 8
kernel void sum_in_an_atomic_float(device atomic_float* out) {
  atomic_fetch_add_explicit(out, 2.0f, memory_order_relaxed);
}

//= accepted atomics_in_threadgroup_memory
// source: MSL 6.15.4
// threads: 4
// out: 4 4 4 4
kernel void atomics_in_threadgroup_memory(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup atomic_uint count;
  if (i == 0) atomic_store_explicit(&count, 0u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  atomic_fetch_add_explicit(&count, 1u, memory_order_relaxed);
  threadgroup_barrier(mem_flags::mem_threadgroup);
  out[i] = atomic_load_explicit(&count, memory_order_relaxed);
}

// Barriers and fences.
#pragma once

namespace metal {

enum class mem_flags : uint {
  mem_none = 0,
  mem_device = 1,
  mem_threadgroup = 2,
  mem_texture = 4,
  mem_threadgroup_imageblock = 8,
  mem_object_data = 16,
  mem_device_and_threadgroup = 3,
};
MSL_FN constexpr mem_flags operator|(mem_flags a, mem_flags b) { return mem_flags(uint(a) | uint(b)); }
MSL_FN constexpr mem_flags operator&(mem_flags a, mem_flags b) { return mem_flags(uint(a) & uint(b)); }

enum memory_order {
  memory_order_relaxed = 0,
  memory_order_acquire = 2,
  memory_order_release = 3,
  memory_order_acq_rel = 4,
  memory_order_seq_cst = 5,
};
enum thread_scope {
  thread_scope_thread,
  thread_scope_simdgroup,
  thread_scope_threadgroup,
  thread_scope_device,
};

MSL_FN void threadgroup_barrier(mem_flags flags) { msl_threadgroup_barrier(uint(flags)); }
MSL_FN void threadgroup_barrier(mem_flags flags, thread_scope) { msl_threadgroup_barrier(uint(flags)); }
MSL_FN void simdgroup_barrier(mem_flags flags) { msl_simdgroup_barrier(uint(flags)); }
MSL_FN void simdgroup_barrier(mem_flags flags, thread_scope) { msl_simdgroup_barrier(uint(flags)); }
MSL_FN void atomic_thread_fence(mem_flags flags, memory_order order, thread_scope scope = thread_scope_device) {
  msl_fence(order >= memory_order_release && scope == thread_scope_device ? uint(flags) : 0);
}

}  // namespace metal

// metal_atomic. Lanes never run at the same instant here, so plain operations are atomic; msl_atomic tells the checks.
#pragma once

namespace metal {

template <typename T>
struct _atomic {
  T value;
};
template <typename T>
using atomic = _atomic<T>;
typedef atomic<int> atomic_int;
typedef atomic<uint> atomic_uint;
typedef atomic<bool> atomic_bool;
typedef atomic<float> atomic_float;
typedef atomic<ulong> atomic_ulong;

// What exists, 6.15.4: int and uint everywhere; bool without arithmetic; float in device memory, to add and subtract;
// ulong in device memory, its minimum and maximum without a result.
template <typename T>
using msl_atomic_integer = enable_if_t<__is_same(T, int) || __is_same(T, uint), int>;
template <typename T, bool IsDevice>
using msl_atomic_value =
    enable_if_t<__is_same(T, int) || __is_same(T, uint) || __is_same(T, bool) || (IsDevice && __is_same(T, float)),
                int>;
template <typename T, bool IsDevice>
using msl_atomic_sum = enable_if_t<__is_same(T, int) || __is_same(T, uint) || (IsDevice && __is_same(T, float)), int>;
#define MSL_RELAXED(order)                                                     \
  __attribute__((diagnose_if(order != memory_order_relaxed,                    \
                             "an atomic operation takes memory_order_relaxed " \
                             "alone [atomic-order, MSL 6.15.1]",               \
                             "error")))

#define MSL_ATOMIC_ACCESS(space, is_device)                                                                          \
  template <typename T>                                                                                              \
  MSL_HIDDEN T msl_exchange_value(volatile space T* at, T next) {                                                    \
    T before = *at;                                                                                                  \
    *at = next;                                                                                                      \
    return before;                                                                                                   \
  }                                                                                                                  \
  template <typename T>                                                                                              \
  MSL_HIDDEN T msl_value(const volatile space T* at) {                                                               \
    return *at;                                                                                                      \
  }                                                                                                                  \
  template <typename T, msl_atomic_value<T, is_device> = 0>                                                          \
  MSL_FN T atomic_load_explicit(const volatile space atomic<T>* object, memory_order order) MSL_RELAXED(order) {     \
    msl_atomic((const space void*)&object->value, sizeof(T), 0);                                                     \
    return msl_value(&object->value);                                                                                \
  }                                                                                                                  \
  template <typename T, typename U, msl_atomic_value<T, is_device> = 0>                                              \
  MSL_FN void atomic_store_explicit(volatile space atomic<T>* object, U desired, memory_order order)                 \
      MSL_RELAXED(order) {                                                                                           \
    msl_atomic((const space void*)&object->value, sizeof(T), 1);                                                     \
    msl_exchange_value(&object->value, T(desired));                                                                  \
  }                                                                                                                  \
  template <typename T, typename U, msl_atomic_value<T, is_device> = 0>                                              \
  MSL_FN T atomic_exchange_explicit(volatile space atomic<T>* object, U desired, memory_order order)                 \
      MSL_RELAXED(order) {                                                                                           \
    msl_atomic((const space void*)&object->value, sizeof(T), 2);                                                     \
    return msl_exchange_value(&object->value, T(desired));                                                           \
  }                                                                                                                  \
  template <typename T, typename U, msl_atomic_value<T, is_device> = 0>                                              \
  MSL_FN bool atomic_compare_exchange_weak_explicit(volatile space atomic<T>* object, thread T* expected, U desired, \
                                                    memory_order order, memory_order failure) MSL_RELAXED(order)     \
      MSL_RELAXED(failure) {                                                                                         \
    msl_atomic((const space void*)&object->value, sizeof(T), 2);                                                     \
    T now = msl_value(&object->value);                                                                               \
    if (__builtin_memcmp(&now, expected, sizeof(T)) != 0) return *expected = now, false;                             \
    msl_exchange_value(&object->value, T(desired));                                                                  \
    return true;                                                                                                     \
  }
MSL_ATOMIC_ACCESS(device, true)
MSL_ATOMIC_ACCESS(threadgroup, false)
#undef MSL_ATOMIC_ACCESS

#define MSL_ATOMIC_FETCH_IN(space, allowed, name, expression)                                              \
  template <typename T, typename U, allowed = 0>                                                           \
  MSL_FN T atomic_fetch_##name##_explicit(volatile space atomic<T>* object, U operand, memory_order order) \
      MSL_RELAXED(order) {                                                                                 \
    msl_atomic((const space void*)&object->value, sizeof(T), 2);                                           \
    T x = msl_value(&object->value), y = T(operand);                                                       \
    return msl_exchange_value(&object->value, T(expression));                                              \
  }
template <typename T>
using msl_sum_in_device = msl_atomic_sum<T, true>;
template <typename T>
using msl_sum_in_threadgroup = msl_atomic_sum<T, false>;
#define MSL_ATOMIC_SUM(name, expression)                              \
  MSL_ATOMIC_FETCH_IN(device, msl_sum_in_device<T>, name, expression) \
  MSL_ATOMIC_FETCH_IN(threadgroup, msl_sum_in_threadgroup<T>, name, expression)
#define MSL_ATOMIC_FETCH(name, expression)                             \
  MSL_ATOMIC_FETCH_IN(device, msl_atomic_integer<T>, name, expression) \
  MSL_ATOMIC_FETCH_IN(threadgroup, msl_atomic_integer<T>, name, expression)
MSL_ATOMIC_SUM(add, x + y)
MSL_ATOMIC_SUM(sub, x - y)
MSL_ATOMIC_FETCH(min, y < x ? y : x)
MSL_ATOMIC_FETCH(max, x < y ? y : x)
MSL_ATOMIC_FETCH(and, x& y)
MSL_ATOMIC_FETCH(or, x | y)
MSL_ATOMIC_FETCH(xor, x ^ y)
#undef MSL_ATOMIC_SUM
#undef MSL_ATOMIC_FETCH
#undef MSL_ATOMIC_FETCH_IN

#define MSL_ATOMIC_EXTREME(name, expression)                                                               \
  MSL_FN void atomic_##name##_explicit(volatile device atomic<ulong>* object, ulong y, memory_order order) \
      MSL_RELAXED(order) {                                                                                 \
    msl_atomic((const device void*)&object->value, sizeof(ulong), 2);                                      \
    ulong x = msl_value(&object->value);                                                                   \
    msl_exchange_value(&object->value, expression);                                                        \
  }
MSL_ATOMIC_EXTREME(min, y < x ? y : x)
MSL_ATOMIC_EXTREME(max, x < y ? y : x)
#undef MSL_ATOMIC_EXTREME
#undef MSL_RELAXED

}  // namespace metal

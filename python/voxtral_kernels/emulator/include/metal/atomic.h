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

#define MSL_ATOMIC_ACCESS(space)                                                                                     \
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
  template <typename T>                                                                                              \
  MSL_FN T atomic_load_explicit(const volatile space atomic<T>* object, memory_order) {                              \
    msl_atomic((const space void*)&object->value, sizeof(T), 0);                                                     \
    return msl_value(&object->value);                                                                                \
  }                                                                                                                  \
  template <typename T, typename U>                                                                                  \
  MSL_FN void atomic_store_explicit(volatile space atomic<T>* object, U desired, memory_order) {                     \
    msl_atomic((const space void*)&object->value, sizeof(T), 1);                                                     \
    msl_exchange_value(&object->value, T(desired));                                                                  \
  }                                                                                                                  \
  template <typename T, typename U>                                                                                  \
  MSL_FN T atomic_exchange_explicit(volatile space atomic<T>* object, U desired, memory_order) {                     \
    msl_atomic((const space void*)&object->value, sizeof(T), 1);                                                     \
    return msl_exchange_value(&object->value, T(desired));                                                           \
  }                                                                                                                  \
  template <typename T, typename U>                                                                                  \
  MSL_FN bool atomic_compare_exchange_weak_explicit(volatile space atomic<T>* object, thread T* expected, U desired, \
                                                    memory_order, memory_order) {                                    \
    msl_atomic((const space void*)&object->value, sizeof(T), 1);                                                     \
    T now = msl_value(&object->value);                                                                               \
    if (__builtin_memcmp(&now, expected, sizeof(T)) != 0) return *expected = now, false;                             \
    msl_exchange_value(&object->value, T(desired));                                                                  \
    return true;                                                                                                     \
  }
MSL_ATOMIC_ACCESS(device)
MSL_ATOMIC_ACCESS(threadgroup)
#undef MSL_ATOMIC_ACCESS

#define MSL_ATOMIC_FETCH_IN(space, name, expression)                                                   \
  template <typename T, typename U>                                                                    \
  MSL_FN T atomic_fetch_##name##_explicit(volatile space atomic<T>* object, U operand, memory_order) { \
    msl_atomic((const space void*)&object->value, sizeof(T), 1);                                       \
    T x = msl_value(&object->value), y = T(operand);                                                   \
    return msl_exchange_value(&object->value, T(expression));                                          \
  }
#define MSL_ATOMIC_FETCH(name, expression)      \
  MSL_ATOMIC_FETCH_IN(device, name, expression) \
  MSL_ATOMIC_FETCH_IN(threadgroup, name, expression)
MSL_ATOMIC_FETCH(add, x + y)
MSL_ATOMIC_FETCH(sub, x - y)
MSL_ATOMIC_FETCH(min, y < x ? y : x)
MSL_ATOMIC_FETCH(max, x < y ? y : x)
MSL_ATOMIC_FETCH(and, x& y)
MSL_ATOMIC_FETCH(or, x | y)
MSL_ATOMIC_FETCH(xor, x ^ y)
#undef MSL_ATOMIC_FETCH
#undef MSL_ATOMIC_FETCH_IN

// 64-bit minimum and maximum without a result.
template <typename U>
MSL_FN void atomic_min_explicit(volatile device atomic<ulong>* object, U operand, memory_order order) {
  atomic_fetch_min_explicit(object, operand, order);
}
template <typename U>
MSL_FN void atomic_max_explicit(volatile device atomic<ulong>* object, U operand, memory_order order) {
  atomic_fetch_max_explicit(object, operand, order);
}

}  // namespace metal

// What the generated entry points pass to a kernel: values that convert to whatever type the parameter has.
#pragma once

namespace metal {

// A buffer or threadgroup argument: pointer or reference, in any address space.
struct msl_memory {
  uintptr_t address;
  MSL_FN explicit msl_memory(const __generic void* p) : address((uintptr_t)p) {}
  template <typename T>
  MSL_FN operator device T*() const {
    return (device T*)address;
  }
  template <typename T>
  MSL_FN operator constant T*() const {
    return (constant T*)address;
  }
  template <typename T>
  MSL_FN operator threadgroup T*() const {
    return (threadgroup T*)address;
  }
};
struct msl_object {
  uintptr_t address;
  MSL_FN explicit msl_object(const __generic void* p) : address((uintptr_t)p) {}
  template <typename T>
  MSL_FN operator device T&() const {
    return *(device T*)address;
  }
  template <typename T>
  MSL_FN operator constant T&() const {
    return *(constant T*)address;
  }
  template <typename T>
  MSL_FN operator threadgroup T&() const {
    return *(threadgroup T*)address;
  }
};

// A built-in such as thread_position_in_grid: uint or ushort, scalar, 2 or 3 components.
struct msl_position {
  uint x, y, z;
  MSL_FN explicit msl_position(uint x_) : x(x_), y(0), z(0) {}
  MSL_FN explicit msl_position(const __generic unsigned* p) : x(p[0]), y(p[1]), z(p[2]) {}
  MSL_FN operator uint() const { return x; }
  MSL_FN operator ushort() const { return ushort(x); }
  MSL_FN operator uint2() const { return uint2{x, y}; }
  MSL_FN operator ushort2() const { return ushort2{ushort(x), ushort(y)}; }
  MSL_FN operator uint3() const { return uint3{x, y, z}; }
  MSL_FN operator ushort3() const { return ushort3{ushort(x), ushort(y), ushort(z)}; }
};

}  // namespace metal

// pointer += object that converts to an integer: clang's own operators do not look into address spaces there.
#define MSL_POINTER_STEP(op, sign)                                                                                 \
  template <typename P, typename I>                                                                                \
  MSL_FN metal::enable_if_t<__is_pointer(P) && __is_class(I) && __is_convertible(I, long), thread P&> operator op( \
      thread P& p, I by) {                                                                                         \
    return p = p sign long(by);                                                                                    \
  }
MSL_POINTER_STEP(+=, +)
MSL_POINTER_STEP(-=, -)
#undef MSL_POINTER_STEP

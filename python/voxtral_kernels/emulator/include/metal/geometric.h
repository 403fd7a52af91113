// metal_geometric
#pragma once

namespace metal {

template <typename T, int N>
MSL_FN T dot(msl_vec<T, N> a, msl_vec<T, N> b) {
  T sum = T(0);
  for (int i = 0; i < N; ++i) sum += a[i] * b[i];
  return sum;
}
template <typename T, int N>
MSL_FN T length_squared(msl_vec<T, N> a) {
  return dot(a, a);
}
template <typename T, int N>
MSL_FN T length(msl_vec<T, N> a) {
  return T(sqrt(dot(a, a)));
}
template <typename T, int N>
MSL_FN T distance_squared(msl_vec<T, N> a, msl_vec<T, N> b) {
  return length_squared(a - b);
}
template <typename T, int N>
MSL_FN T distance(msl_vec<T, N> a, msl_vec<T, N> b) {
  return length(a - b);
}
template <typename T, int N>
MSL_FN msl_vec<T, N> normalize(msl_vec<T, N> a) {
  return a * T(rsqrt(dot(a, a)));
}
template <typename T>
MSL_FN msl_vec<T, 3> cross(msl_vec<T, 3> a, msl_vec<T, 3> b) {
  return a.yzx * b.zxy - a.zxy * b.yzx;
}
template <typename T, int N>
MSL_FN msl_vec<T, N> reflect(msl_vec<T, N> incident, msl_vec<T, N> normal) {
  return incident - T(2) * dot(normal, incident) * normal;
}
template <typename T, int N>
MSL_FN msl_vec<T, N> refract(msl_vec<T, N> incident, msl_vec<T, N> normal, T eta) {
  T along = dot(normal, incident);
  T k = T(1) - eta * eta * (T(1) - along * along);
  return k < T(0) ? msl_vec<T, N>(T(0)) : eta * incident - (eta * along + T(sqrt(k))) * normal;
}
template <typename T, int N, typename S, typename = enable_if_t<is_arithmetic_v<S> && !is_same_v<S, T>>>
MSL_FN msl_vec<T, N> refract(msl_vec<T, N> incident, msl_vec<T, N> normal, S eta) {
  return refract(incident, normal, T(eta));
}
template <typename T, int N>
MSL_FN msl_vec<T, N> faceforward(msl_vec<T, N> normal, msl_vec<T, N> incident, msl_vec<T, N> reference) {
  return dot(reference, incident) < T(0) ? normal : -normal;
}

// One element and a packed vector are like a vector.
#define MSL_GEOMETRIC(name, R)        \
  template <typename T, int N>        \
  MSL_FN R name(packed_vec<T, N> a) { \
    return name(msl_vec<T, N>(a));    \
  }
MSL_GEOMETRIC(length, T)
MSL_GEOMETRIC(length_squared, T)
#undef MSL_GEOMETRIC
template <typename T, int N>
MSL_FN msl_vec<T, N> normalize(packed_vec<T, N> a) {
  return normalize(msl_vec<T, N>(a));
}
#define MSL_GEOMETRIC(name)                               \
  template <typename T, int N>                            \
  MSL_FN T name(packed_vec<T, N> a, packed_vec<T, N> b) { \
    return name(msl_vec<T, N>(a), msl_vec<T, N>(b));      \
  }                                                       \
  template <typename T, int N>                            \
  MSL_FN T name(packed_vec<T, N> a, msl_vec<T, N> b) {    \
    return name(msl_vec<T, N>(a), b);                     \
  }                                                       \
  template <typename T, int N>                            \
  MSL_FN T name(msl_vec<T, N> a, packed_vec<T, N> b) {    \
    return name(a, msl_vec<T, N>(b));                     \
  }
MSL_GEOMETRIC(dot)
MSL_GEOMETRIC(distance)
MSL_GEOMETRIC(distance_squared)
#undef MSL_GEOMETRIC

namespace fast {
using metal::distance;
using metal::distance_squared;
using metal::length;
using metal::length_squared;
using metal::normalize;
}  // namespace fast
namespace precise {
using metal::distance;
using metal::distance_squared;
using metal::length;
using metal::length_squared;
using metal::normalize;
}  // namespace precise

}  // namespace metal

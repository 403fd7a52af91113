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
MSL_FN msl_vec<T, N> faceforward(msl_vec<T, N> normal, msl_vec<T, N> incident, msl_vec<T, N> reference) {
  return dot(reference, incident) < T(0) ? normal : -normal;
}

}  // namespace metal

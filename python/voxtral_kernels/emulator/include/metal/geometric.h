// metal_geometric
#pragma once

namespace metal {

template <typename T, int N>
MSL_FN T dot(vec<T, N> a, vec<T, N> b) {
  T sum = T(0);
  for (int i = 0; i < N; ++i) sum += a[i] * b[i];
  return sum;
}
template <typename T, int N>
MSL_FN T length_squared(vec<T, N> a) {
  return dot(a, a);
}
template <typename T, int N>
MSL_FN T length(vec<T, N> a) {
  return T(sqrt(dot(a, a)));
}
template <typename T, int N>
MSL_FN T distance_squared(vec<T, N> a, vec<T, N> b) {
  return length_squared(a - b);
}
template <typename T, int N>
MSL_FN T distance(vec<T, N> a, vec<T, N> b) {
  return length(a - b);
}
template <typename T, int N>
MSL_FN vec<T, N> normalize(vec<T, N> a) {
  return a * T(rsqrt(dot(a, a)));
}
template <typename T>
MSL_FN vec<T, 3> cross(vec<T, 3> a, vec<T, 3> b) {
  return a.yzx * b.zxy - a.zxy * b.yzx;
}
template <typename T, int N>
MSL_FN vec<T, N> reflect(vec<T, N> incident, vec<T, N> normal) {
  return incident - T(2) * dot(normal, incident) * normal;
}
template <typename T, int N>
MSL_FN vec<T, N> faceforward(vec<T, N> normal, vec<T, N> incident, vec<T, N> reference) {
  return dot(reference, incident) < T(0) ? normal : -normal;
}

}  // namespace metal

// metal_integer: the integer functions for vectors; min, max, clamp ... of any vector are in math.h.
#pragma once

namespace metal {

MSL_VECTOR_1(popcount)
MSL_VECTOR_1(clz)
MSL_VECTOR_1(ctz)
MSL_VECTOR_1(reverse_bits)
MSL_VECTOR_2(rotate)
MSL_VECTOR_2(mulhi)
MSL_VECTOR_2(mul24)
MSL_VECTOR_2(hadd)
MSL_VECTOR_2(rhadd)
MSL_VECTOR_2(addsat)
MSL_VECTOR_2(subsat)
MSL_VECTOR_3(madhi)
MSL_VECTOR_3(madsat)
MSL_VECTOR_3(mad24)
#undef MSL_VECTOR_1
#undef MSL_VECTOR_2
#undef MSL_VECTOR_3

template <typename T, int N>
MSL_FN msl_vec<make_unsigned_t<T>, N> absdiff(msl_vec<T, N> a, msl_vec<T, N> b) {
  msl_vec<make_unsigned_t<T>, N> r;
  for (int i = 0; i < N; ++i) r[i] = absdiff(T(a[i]), T(b[i]));
  return r;
}
template <typename T, int N>
MSL_FN msl_vec<T, N> extract_bits(msl_vec<T, N> a, uint offset, uint bits) {
  for (int i = 0; i < N; ++i) a[i] = extract_bits(T(a[i]), offset, bits);
  return a;
}
template <typename T, int N>
MSL_FN msl_vec<T, N> insert_bits(msl_vec<T, N> base, msl_vec<T, N> insert, uint offset, uint bits) {
  for (int i = 0; i < N; ++i) base[i] = insert_bits(T(base[i]), T(insert[i]), offset, bits);
  return base;
}

}  // namespace metal

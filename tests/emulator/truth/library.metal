//= refused a_long_literal_and_an_int
// source: tinygrad/tinygrad#5838
// says: call to 'max' is ambiguous
kernel void a_long_literal_and_an_int(device int* out) { out[0] = max((-2147483648), ((int)(out[0] != 3)) * 2); }

//= refused an_int_and_a_uchar
// source: tinygrad/tinygrad#7036
// says: call to 'max' is ambiguous
kernel void an_int_and_a_uchar(device uchar* out, device const uchar* x) {
  uchar best = out[0];
  out[0] = max(x[0] * x[0], best);
}

//= refused an_int_and_a_uint
// source: gfx-rs/wgpu#3212
// says: call to 'min' is ambiguous
kernel void an_int_and_a_uint(device uint* out, constant int& n, uint i [[thread_position_in_grid]]) {
  out[0] = min(i, n);
}

//= refused power_of_integers
// source: taichi-dev/taichi#632
// says: Metal's pow doesn't support integral types
kernel void power_of_integers(device int* out, device const int* x) { out[0] = pow(x[0], x[1]); }

//= refused error_function
// source: MSL 6.5 (no erf there), pytorch/pytorch (c10/metal/special_math.h has its own)
// says: use of undeclared identifier 'erf'
kernel void error_function(device float* out) { out[0] = erf(out[0]); }

//= refused exponential_minus_one
// source: MSL 6.5 (no expm1 there), ml-explore/mlx expm1f.h (has its own)
// says: use of undeclared identifier 'expm1'
kernel void exponential_minus_one(device float* out) { out[0] = expm1(out[0]); }

//= refused printing
// source: MSL 1.5.4 (no C library)
// says: use of undeclared identifier 'printf'
kernel void printing(device float* out) {
  printf("%f", out[0]);
  out[0] = 1.0f;
}

//= refused copying_memory
// source: MSL 1.5.4 (no C library)
// says: use of undeclared identifier 'memcpy'
kernel void copying_memory(device float* out) {
  float x = 1.0f;
  memcpy(&out[0], &x, sizeof(float));
}

//= refused sum_of_longs_in_a_simdgroup
// source: pytorch/pytorch#150566
// says: none of the SIMDgroup operations are available for 64-bit integers
kernel void sum_of_longs_in_a_simdgroup(device long* out, uint lane [[thread_index_in_simdgroup]]) {
  out[lane] = simd_sum(out[lane]);
}

//= refused shuffled_ulongs
// source: pytorch/pytorch#150566
// says: none of the SIMDgroup operations are available for 64-bit integers
kernel void shuffled_ulongs(device ulong* out, uint lane [[thread_index_in_simdgroup]]) {
  out[lane] = simd_shuffle_down(out[lane], 16);
}

//= refused bits_of_floats_in_a_simdgroup
// source: MSL 6.9.2 (simd_and takes integers)
// says: no matching function for call to 'simd_and'
kernel void bits_of_floats_in_a_simdgroup(device float* out, uint lane [[thread_index_in_simdgroup]]) {
  out[lane] = simd_and(out[lane]);
}

//= refused votes_as_a_number
// source: MSL 6.9.2 (simd_vote converts explicitly to vote_t)
// says: no viable conversion from 'simd_vote' to 'uint'
kernel void votes_as_a_number(device uint* out, uint lane [[thread_index_in_simdgroup]]) {
  uint votes = simd_ballot(lane < 3);
  out[lane] = votes;
}

//= refused a_barrier_without_flags
// source: MSL 6.9.1
// says: too few arguments to function call
kernel void a_barrier_without_flags(device float* out) {
  threadgroup_barrier();
  out[0] = 1.0f;
}

//= refused a_barrier_with_a_number
// source: MSL 6.9.1 (mem_flags is an enum class)
// says: no matching function for call to 'threadgroup_barrier'
kernel void a_barrier_with_a_number(device float* out) {
  threadgroup_barrier(1);
  out[0] = 1.0f;
}

//= refused a_simdgroup_matrix_of_sixteen
// source: MSL 2.4 (simdgroup_float8x8 and its like are the only ones)
// says: simdgroup_matrix is 8 x 8
kernel void a_simdgroup_matrix_of_sixteen(device float* out) {
  simdgroup_matrix<float, 16, 16> m;
  simdgroup_load(m, out);
  simdgroup_store(m, out);
}

//= refused a_simdgroup_matrix_of_ints
// source: MSL 2.4 (half, bfloat and float)
// says: simdgroup_matrix of int
kernel void a_simdgroup_matrix_of_ints(device int* out) {
  simdgroup_matrix<int, 8, 8> m;
  simdgroup_load(m, out);
  simdgroup_store(m, out);
}

//= accepted votes_of_a_simdgroup
// source: MSL 6.9.2
// threads: 32
// out: 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7 7
kernel void votes_of_a_simdgroup(device float* out, uint lane [[thread_index_in_simdgroup]]) {
  simd_vote votes = simd_ballot(lane < 3);
  out[lane] = static_cast<ulong>(static_cast<simd_vote::vote_t>(votes)) & 0xff;
}

//= accepted two_halves_of_a_long
// source: pytorch/pytorch#150566 (64-bit values as int2)
// threads: 32
// in: 1
// out: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31
kernel void two_halves_of_a_long(device float* out, uint lane [[thread_index_in_simdgroup]]) {
  long value = lane;
  int2 moved = simd_shuffle_xor(as_type<int2>(value), 1);
  out[lane] = as_type<long>(simd_shuffle_xor(moved, 1));
}

//= accepted geometry
// source: MSL 6.8
// out: 5 1 0 1 0 -1 5
kernel void geometry(device float* out) {
  out[0] = length(float2(3, 4));
  out[1] = cross(float3(1, 0, 0), float3(0, 1, 0)).z;
  out[2] = refract(float2(0, -1), float2(0, 1), 1.0f).x;
  out[3] = -refract(float2(0, -1), float2(0, 1), 1.0f).y;
  out[4] = reflect(float2(1, -1), float2(0, 1)).y - 1;
  out[5] = faceforward(float2(0, 1), float2(0, 1), float2(0, 1)).y;
  out[6] = fast::length(float2(3, 4));
}

//= accepted determinants
// source: MSL 6.6 (matrix functions)
// out: -2 24
kernel void determinants(device float* out) {
  out[0] = determinant(float2x2(float2(1, 2), float2(3, 4)));
  out[1] = determinant(float3x3(float3(2, 0, 0), float3(0, 3, 0), float3(0, 0, 4)));
}

//= accepted saturated_integers
// source: MSL 6.3 (integer functions)
// out: 127 -128 2147483647 3 65535
kernel void saturated_integers(device float* out) {
  out[0] = addsat(char(100), char(100));
  out[1] = subsat(char(-100), char(100));
  out[2] = madsat(65536, 65536, 1);
  out[3] = absdiff(2, 5);
  out[4] = mulhi(0xffffffffu, 0x10000u);
}

//= accepted packing
// source: MSL 6.14 (pack and unpack functions)
// out: 4294967295 1 0 1 -1 255
kernel void packing(device float* out) {
  out[0] = pack_float_to_unorm4x8(float4(1.0f));
  out[1] = unpack_unorm4x8_to_float(0x000000ff).x;
  out[2] = unpack_unorm4x8_to_float(0x000000ff).w;
  out[3] = unpack_snorm2x16_to_float(0x80007fff).x;
  out[4] = unpack_snorm2x16_to_float(0x80007fff).y;
  out[5] = pack_half_to_unorm4x8(half4(1, 0, 0, 0));
}

//= accepted vectors_with_two_results
// source: MSL 6.5 (modf, frexp, sincos, ldexp, nextafter of vectors)
// out: 1 0.5 0.75 2 0 1 12 1
kernel void vectors_with_two_results(device float* out) {
  float2 whole;
  float2 fraction = modf(float2(1.5f, 2.25f), whole);
  int2 exponent;
  float2 mantissa = frexp(float2(3.0f, 1.0f), exponent);
  float2 cosine;
  float2 sine = sincos(float2(0.0f, 0.0f), cosine);
  out[0] = whole.x;
  out[1] = fraction.x;
  out[2] = mantissa.x;
  out[3] = exponent.x;
  out[4] = sine.y;
  out[5] = cosine.y;
  out[6] = ldexp(float2(3.0f, 1.0f), int2(2, 1)).x;
  out[7] = nextafter(float2(1.0f, 1.0f), float2(1.0f, 2.0f)).x;
}

//= accepted constants_of_half
// source: MSL 6.5 (its constants, M_PI_H and the like)
// out: 3.140625 0.318359375 0.693359375 6.103515625e-05 65504
kernel void constants_of_half(device float* out) {
  out[0] = M_PI_H;
  out[1] = M_1_PI_H;
  out[2] = M_LN2_H;
  out[3] = HALF_MIN;
  out[4] = MAXHALF;
}

//= accepted common_functions
// source: MSL 6.2 (common functions)
// out: 0.5 1 2 0.5 1 -1
kernel void common_functions(device float* out) {
  out[0] = saturate(0.5f);
  out[1] = clamp(3.0f, 0.0f, 1.0f);
  out[2] = mix(1.0f, 3.0f, 0.5f);
  out[3] = smoothstep(0.0f, 1.0f, 0.5f);
  out[4] = step(0.5f, 0.75f);
  out[5] = sign(-3.0f);
}

//= accepted selected_by_vectors
// source: MSL 6.4 (relational functions), gfx-rs/naga#1468 (select with a comparison)
// out: 1 20 1 0
kernel void selected_by_vectors(device float* out) {
  float2 low = float2(1, 2), high = float2(10, 20);
  float2 chosen = select(low, high, low > 1.5f);
  out[0] = chosen.x;
  out[1] = chosen.y;
  out[2] = any(isnan(float2(NAN, 0.0f)));
  out[3] = all(isfinite(float2(INFINITY, 0.0f)));
}

//= accepted the_larger_of_equal_types
// source: tinygrad/tinygrad#5838 (max of two ints)
// out: 4 2.5 7
kernel void the_larger_of_equal_types(device float* out) {
  int val = 4;
  out[0] = max(val, 0);
  out[1] = max(2.5f, 0.5f);
  out[2] = max(uint(7), 3u);
}

//= accepted coherent_buffers
// source: MSL 4.8 (coherent(device), Metal 3.2)
// version: 3.2
// out: 3
kernel void coherent_buffers(coherent(device) device float* out) { out[0] = 3.0f; }

//= accepted product_of_simdgroup_matrices
// source: tinygrad/tinygrad#7408 (thread_elements, simdgroup_multiply_accumulate)
// threads: 32
// out: 3 3
kernel void product_of_simdgroup_matrices(device float* out, uint lane [[thread_index_in_simdgroup]]) {
  simdgroup_float8x8 a, b, c;
  a = simdgroup_float8x8(2.0f);
  b = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
  c.thread_elements()[0] = 1.0f;
  c.thread_elements()[1] = 1.0f;
  simdgroup_multiply_accumulate(c, a, b, c);
  if (lane == 0) {
    out[0] = c.thread_elements()[0];
    out[1] = c.thread_elements()[1];
  }
}

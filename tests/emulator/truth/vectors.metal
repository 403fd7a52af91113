//= refused scalar_as_matrix
// source: MSL, Implicit Type Conversions
// says: implicit conversions between matrix types and from scalars or vectors to a matrix are a compilation error
kernel void scalar_as_matrix(device float4x4* out) {
  float4x4 m = 1.0f;
  out[0] = m;
}

//= refused float3x3_of_float4x4
// source: CGCookie/retopoflow#1486
// says: no matching conversion for functional-style cast from 'const constant mat4'
kernel void float3x3_of_float4x4(device float3x3* out, constant float4x4& m) { out[0] = float3x3(m); }

//= refused a_component_twice
// source: MSL 2.2.1
// says: a component may not be repeated on the left
kernel void a_component_twice(device float4* out) { out[0].xx = float2(1.0f, 2.0f); }

//= refused names_of_two_sets
// source: MSL 2.2.1
// says: .rgba and .xyzw cannot be mixed in one access
kernel void names_of_two_sets(device float2* out, device const float4* x) { out[0] = x[0].xg; }

//= refused beyond_the_vector
// source: MSL 2.2.1
// says: it is an error to access components beyond those declared
kernel void beyond_the_vector(device float* out, device const float2* x) { out[0] = x[0].z; }

//= accepted swizzles
// source: MSL 2.2.1
// out: 4 3 2 1 9 8
kernel void swizzles(device float* out) {
  float4 v = float4(1, 2, 3, 4);
  v.xyzw = v.wzyx;
  out[0] = v.x;
  out[1] = v.g;
  out[2] = v[2];
  out[3] = v.a;
  v.rb = float2(9, 8);
  out[4] = v.x;
  out[5] = v.z;
}

//= accepted packed_vectors
// source: MSL 2.2.3 (conversion and swizzles of packed vectors)
// out: 12 1 2 3 6
kernel void packed_vectors(device float* out) {
  packed_float3 p = packed_float3(1, 2, 3);
  float3 v = p;
  packed_float3 q = v + p;
  out[0] = sizeof(packed_float3);
  out[1] = p.x;
  out[2] = p.xy.y;
  out[3] = v.zyx.x;
  out[4] = q[2];
}

//= accepted four_components_of_packed_vectors
// source: MSL 2.2.3 (conversion and swizzles of packed vectors)
// out: 4 3 8 4 7
kernel void four_components_of_packed_vectors(device float* out) {
  packed_float4 p = packed_float4(1, 2, 3, 4);
  p.xyzw = p.wzyx;
  out[0] = p.x;
  out[1] = p.rgba.g;
  float4 v = p.xxyy + p.yyxx;
  out[2] = v.x + 1;
  packed_half2 h = packed_half2(3, 4);
  half4 w = h.xyxy;
  out[3] = w.w;
  h.yx.y = 7;
  out[4] = h.x;
}

//= accepted matrix_of_another_type
// source: MSL 2.3.2, ggml-org/llama.cpp ggml-metal.metal (half4x4 of float4x4)
// out: 2 0.5 3
kernel void matrix_of_another_type(device float* out) {
  float4x4 m = float4x4(2.0f);
  m[1][2] = 0.5f;
  half4x4 h = half4x4(m);
  float2x2 columns = float2x2(float2(1, 2), float2(3, 4));
  out[0] = h[3][3];
  out[1] = h[1].z;
  out[2] = columns[1].x;
}

//= accepted matrix_arithmetic
// source: MSL 2.3.2, 6.6 (matrices)
// out: 3 0 4.5 -1.5 2 5 -2
kernel void matrix_arithmetic(device float* out) {
  float2x2 a = float2x2(1.5f);
  float2x2 b = a + a;
  out[0] = b[0][0];
  out[1] = (a - a)[1][1];
  b += a;
  out[2] = b[1][1];
  out[3] = (-a)[0].x;
  float2x2 c = float2x2(1, 2, 3, 4);
  out[4] = transpose(c)[1][0];
  float2 v = c * float2(2, 1);
  out[5] = v.x;
  out[6] = determinant(c);
}

//= accepted comparison_of_vectors
// source: MSL 3.1.5
// out: 1 0 1 4 1
kernel void comparison_of_vectors(device float* out) {
  float4 v = float4(1, 5, 3, 0);
  bool4 above = v > 2.0f;
  out[0] = above.y;
  out[1] = float4(v > 2.0f).x;
  out[2] = uint((uint2(1, 3) < 2u).x);
  out[3] = sizeof(v > v);
  out[4] = any(v == 5.0f) && !all(v == 5.0f);
}

//= accepted boolean_vectors
// source: MSL table 2.3 (sizes and alignments), 3.1.6
// out: 2 4 4 4 1 0 1
kernel void boolean_vectors(device float* out) {
  out[0] = sizeof(bool2);
  out[1] = sizeof(bool3);
  out[2] = alignof(bool3);
  out[3] = sizeof(bool4);
  bool3 a = bool3(true, false, true), b = bool3(true, true, false);
  out[4] = (a || b).y;
  out[5] = (a && b).z;
  out[6] = (!a).y;
}

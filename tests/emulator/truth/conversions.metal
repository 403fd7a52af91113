//= refused int4_as_float4
// source: MSL, Implicit Type Conversions (its example)
// says: compile error
kernel void int4_as_float4(device float4* out, device const int4* x) {
  int4 i = x[0];
  float4 f = i;
  out[0] = f;
}

//= refused signed_times_unsigned_vector
// source: KhronosGroup/SPIRV-Cross (commit 403011e, its message)
// says: cannot convert between vector values of different size ('int4' and 'vector_uint4')
kernel void signed_times_unsigned_vector(device int4* out, uint3 id [[thread_position_in_grid]]) {
  out[0] = out[1] * id.xyyy;
}

//= refused half4_as_float4
// source: MSL, Implicit Type Conversions
// says: implicit conversions from a vector type to another vector or scalar type are not permitted
kernel void half4_as_float4(device float4* out, device const half4* x) { out[0] = x[0]; }

//= refused float3_as_float
// source: MSL, Implicit Type Conversions
// says: implicit conversions from a vector type to another vector or scalar type are not permitted
kernel void float3_as_float(device float* out, device const float3* x) {
  float first = x[0];
  out[0] = first;
}

//= refused float4_as_float3
// source: MSL, Implicit Type Conversions
// says: implicit conversions from a vector type to another vector or scalar type are not permitted
kernel void float4_as_float3(device float3* out, device const float4* x) { out[0] = x[0]; }

//= refused half3_of_a_float2
// source: google/filament#5614
// says: no matching constructor for initialization of 'half3'
kernel void half3_of_a_float2(device half3* out, device const float2* uv) { out[0] = half3(uv[0], half(1.0)); }

//= refused five_components_in_four
// source: MSL 2.2.2
// says: the constructors of a vector take as many components as it has
kernel void five_components_in_four(device float4* out, device const float3* x, device const float2* y) {
  out[0] = float4(x[0], y[0]);
}

//= refused two_components_in_three
// source: MSL 2.2.2
// says: the constructors of a vector take as many components as it has
kernel void two_components_in_three(device float3* out, device const float2* x) { out[0] = float3(x[0]); }

//= refused as_type_of_a_struct
// source: ml-explore/mlx#2729
// says: as_type cast from 'uint16_t' to 'bfloat16_t' (aka '_MLX_BFloat16') is not allowed
struct Packed {
  ushort bits;
};
kernel void as_type_of_a_struct(device Packed* out, device const ushort* x) { out[0] = as_type<Packed>(x[0]); }

//= refused as_type_of_a_literal
// source: shader-slang/slang#11837
// says: an unsuffixed literal cannot be bitcast to a 16-bit integer
kernel void as_type_of_a_literal(device ushort* out) { out[0] = as_type<ushort>(61440.0); }

//= refused as_type_of_another_size
// source: shader-slang/slang#7836
// says: Metal doesn't allow as_type casts between different-sized types
kernel void as_type_of_another_size(device uint* out, device const long* x) { out[0] = as_type<uint>(x[0]); }

//= refused vector_as_an_element
// source: gfx-rs/naga#1044
// says: cannot initialize an array element of type 'char' with an lvalue of type 'metal::float3'
struct Corner {
  float4 position;
  char padding[4];
};
kernel void vector_as_an_element(device float* out, device const float3* x) {
  Corner corner = Corner{float4(1.0f), x[0]};
  out[0] = corner.position.x;
}

//= refused struct_plus_index
// source: shader-slang/slang#6174
// says: invalid operands to binary expression ('const constant Vertex_0' and 'uint')
struct Vertex {
  float4 position;
};
struct Arguments {
  Vertex vertices;
};
kernel void struct_plus_index(device float4* out, constant Arguments& arguments, uint i [[thread_position_in_grid]]) {
  Vertex v = *(arguments.vertices + i);
  out[i] = v.position;
}

//= refused pointer_as_a_number
// source: gfx-rs/naga#728
// says: assigning to 'float' from incompatible type 'float *'; dereference with *
kernel void pointer_as_a_number(device float* out) {
  float x = 1.0f;
  thread float* p = &x;
  float y;
  y = p;
  out[0] = y;
}

//= refused array_as_an_element
// source: bledden/triton-msl#3
// says: the emitted text stores a threadgroup float[] where a float belongs
kernel void array_as_an_element(device float* out, uint i [[thread_position_in_threadgroup]]) {
  threadgroup float shared[32];
  shared[i] = 1.0f;
  out[i] = shared;
}

//= refused redefined_parameter
// source: gfx-rs/naga#1464
// says: redefinition of 'index' with a different type: 'int' vs 'metal::uint'
kernel void redefined_parameter(device int* out, uint index [[thread_position_in_grid]]) {
  int index = 1;
  out[0] = index;
}

//= refused a_member_that_is_not_there
// source: spiritbuun/buun-llama-cpp#76
// says: no member named 'rnorm' in 'block_turbo4_0'
struct Block {
  half norm;
  uchar values[16];
};
kernel void a_member_that_is_not_there(device float* out, device const Block* blocks) {
  out[0] = float(blocks[0].norm) * float(blocks[0].rnorm);
}

//= accepted scalar_to_vector
// source: MSL, Implicit Type Conversions (float4 f = 2.0f)
// out: 2 3 4
kernel void scalar_to_vector(device float* out) {
  float4 f = 2.0f;
  int3 i = 3;
  half2 h = 4;
  out[0] = f.w;
  out[1] = i.z;
  out[2] = h.y;
}

//= accepted explicit_vector_conversions
// source: MSL, Type Conversions and Re-interpreting Data
// out: -3 7 2
kernel void explicit_vector_conversions(device float* out) {
  float4 f = float4(-3.75f, 7.5f, 2.25f, 0.0f);
  int4 i = int4(f);
  half4 h = half4(f);
  float4 again = float4(h);
  out[0] = i.x;
  out[1] = uint4(f).y;
  out[2] = static_cast<int4>(again).z;
}

//= accepted bits_of_a_float
// source: MSL, Type Conversions and Re-interpreting Data (as_type)
// out: 1065353216 1 2
kernel void bits_of_a_float(device float* out) {
  out[0] = as_type<uint>(1.0f);
  out[1] = as_type<float>(0x3f800000);
  short2 pair = as_type<short2>(0x00020001);
  out[2] = pair.y;
}

//= accepted constructors_of_vectors
// source: MSL 2.2.2
// out: 1 2 3 4 5 5
kernel void constructors_of_vectors(device float* out) {
  float2 low = float2(1, 2);
  float4 joined = float4(low, float2(3, 4));
  float4 mixed = float4(low.x, float3(low.y, 3, 4));
  out[0] = joined.x;
  out[1] = mixed.y;
  out[2] = joined.z;
  out[3] = mixed.w;
  float3 all(5);
  out[4] = all.x;
  out[5] = all.z;
}

//= accepted braced_vectors
// source: ml-explore/mlx random.h (uint4{a, b, c}), ggml-org/llama.cpp ggml-metal.metal (float4 v = {0.f})
// out: 1 2 0 0.5 0
kernel void braced_vectors(device float* out) {
  uint4 u = uint4{1, 2};
  float4 f = {0.5f};
  out[0] = u.x;
  out[1] = u.y;
  out[2] = u.w;
  out[3] = f.x;
  out[4] = f.y;
}

//= accepted half4_times_float
// source: huggingface/candle quantized.metal, ggml-org/llama.cpp ggml-metal.metal
// out: 2 6
kernel void half4_times_float(device float* out) {
  half4 h = half4(1, 2, 3, 4);
  float scale = 2.0f;
  half4 product = h * scale;
  out[0] = product.x;
  out[1] = product.z;
}

//= refused float_initialiser
// source: tracel-ai/cubecl#1522
// says: cannot initialize a variable of type 'const bfloat' with an rvalue of type 'float'
kernel void float_initialiser(device bfloat* out, device const float* x, uint i [[thread_position_in_grid]]) {
  bfloat const narrow = float(x[i]);
  out[i] = narrow;
}

//= refused literal_initialiser
// source: tracel-ai/cubecl#1201
// says: bfloat requires explicit casts for float literal initialization
kernel void literal_initialiser(device bfloat* out, uint i [[thread_position_in_grid]]) {
  bfloat magnitude = 0.0;
  out[i] = magnitude;
}

//= refused float_assignment
// source: pytorch/executorch#16984
// says: assigning to 'bfloat' from incompatible type 'float'
kernel void float_assignment(device bfloat* out, device const float* x, uint i [[thread_position_in_grid]]) {
  float best = x[i];
  bfloat kept = out[i];
  kept = best;
  out[i] = kept;
}

//= refused literal_in_the_other_branch
// source: pytorch/pytorch#177193
// says: Metal Shading Language rejects implicit float-to-bfloat conversions
kernel void literal_in_the_other_branch(device bfloat* out, device const bfloat* x, constant uint& n,
                                        uint i [[thread_position_in_grid]]) {
  bfloat value;
  if (i < n) {
    value = x[i];
  } else {
    value = 0.0;
  }
  out[i] = value;
}

//= refused literal_in_a_conditional
// source: pytorch/pytorch#177193
// says: where() passed a bare literal through the ternary without casting
kernel void literal_in_a_conditional(device bfloat* out, device const bfloat* x, constant uint& n,
                                     uint i [[thread_position_in_grid]]) {
  bfloat value = i < n ? x[i] : 0.0f;
  out[i] = value;
}

//= refused element_from_float
// source: pytorch/pytorch#177193
// says: Metal Shading Language rejects implicit float-to-bfloat conversions
kernel void element_from_float(device bfloat* out, device const float* x, uint i [[thread_position_in_grid]]) {
  out[i] = x[i] * 2;
}

//= refused compound_assignment_of_float
// source: pytorch/pytorch#177193
// says: Metal Shading Language rejects implicit float-to-bfloat conversions
kernel void compound_assignment_of_float(device bfloat* out, device const float* x,
                                         uint i [[thread_position_in_grid]]) {
  out[i] += x[i];
}

//= refused float_result
// source: pytorch/pytorch#177193
// says: Metal Shading Language rejects implicit float-to-bfloat conversions
bfloat halved(float x) { return 0.5f * x; }
kernel void float_result(device bfloat* out, device const float* x, uint i [[thread_position_in_grid]]) {
  out[i] = halved(x[i]);
}

//= refused float_argument
// source: pytorch/pytorch#177193
// says: Metal Shading Language rejects implicit float-to-bfloat conversions
bfloat twice(bfloat x) { return x + x; }
kernel void float_argument(device bfloat* out, device const float* x, uint i [[thread_position_in_grid]]) {
  out[i] = twice(x[i]);
}

//= refused literal_in_a_template
// source: pytorch/pytorch#177193
// says: Metal Shading Language rejects implicit float-to-bfloat conversions
template <typename T>
kernel void scaled(device T* out, uint i [[thread_position_in_grid]]) {
  T factor = 0.5f;
  out[i] *= factor;
}
template [[host_name("literal_in_a_template")]] kernel void scaled<bfloat>(device bfloat*, uint);

//= refused literals_of_a_table
// source: tracel-ai/cubecl#1201
// says: bfloat requires explicit casts for float literal initialization
constant bfloat steps[2] = {0.5f, 1.0f};
kernel void literals_of_a_table(device bfloat* out, uint i [[thread_position_in_grid]]) { out[i] = steps[i & 1]; }

//= refused exponential_of_bfloat
// source: tracel-ai/cubecl#1200
// says: bfloat has no transcendental functions, it must be cast to float
kernel void exponential_of_bfloat(device bfloat* out, device const bfloat* x, uint i [[thread_position_in_grid]]) {
  out[i] = exp(x[i]);
}

//= refused larger_of_bfloats
// source: pytorch/pytorch#141104
// says: there is no max for bfloat
kernel void larger_of_bfloats(device bfloat* out, device const bfloat* x, uint i [[thread_position_in_grid]]) {
  out[i] = max(out[i], x[i]);
}

//= refused shuffled_bfloat
// source: huggingface/candle#1614
// says: Metal does not have simd_shuffle_down for bfloat16
kernel void shuffled_bfloat(device bfloat* out, device const bfloat* x, uint i [[thread_index_in_simdgroup]]) {
  out[i] = simd_shuffle_down(x[i], 1);
}

//= refused bfloat_before_3_1
// source: EricLBuehler/mistral.rs#1861
// says: bfloat needs the Metal 3.1 standard
// version: 3.0
kernel void bfloat_before_3_1(device bfloat* out, uint i [[thread_position_in_grid]]) { out[i] = bfloat(1.0f); }

//= refused bfloat16_t_is_not_declared
// source: EricLBuehler/mistral.rs#1998
// says: unknown type name 'bfloat16_t'; did you mean 'bfloat16'?
kernel void bfloat16_t_is_not_declared(device bfloat16_t* out, uint i [[thread_position_in_grid]]) {
  out[i] = bfloat16_t(1.0f);
}

//= refused common_functions_of_bfloat
// source: ml-explore/mlx bf16_math.h (which adds abs, max and the like to namespace metal)
// says: call to 'max' is ambiguous
kernel void common_functions_of_bfloat(device bfloat* out, device const bfloat* x) { out[0] = max(x[0], x[1]); }

//= accepted explicit_conversions
// source: tracel-ai/cubecl#1522 (what it says to write instead)
// in: 1 2.5
// out: 1 2.5 2
kernel void explicit_conversions(device float* out, device const float* x) {
  bfloat a = bfloat(x[0]);
  const bfloat b = static_cast<bfloat>(x[1]);
  bfloat c = (bfloat)2.0f;
  out[0] = a;
  out[1] = b;
  out[2] = float(c);
}

//= accepted widening_is_implicit
// source: ml-explore/mlx sdpa_vector.h (float = bfloat16_t, its instances)
// in: 3 4
// out: 3 10
kernel void widening_is_implicit(device float* out, device const float* x) {
  bfloat pair[2] = {bfloat(x[0]), bfloat(x[1])};
  float first = pair[0];
  float sum = first;
  sum += pair[1];
  out[0] = first;
  out[1] = sum + pair[0];
}

//= accepted integer_to_bfloat
// source: ml-explore/mlx unary_ops.h (Sign returns an int as T, with an instance for bfloat16_t)
// in: -2 0 5
// out: -1 0 1
template <typename T>
T sign_of(T x) {
  return (x > T(0)) - (x < T(0));
}
kernel void integer_to_bfloat(device float* out, device const float* x) {
  for (int i = 0; i < 3; ++i) out[i] = sign_of(bfloat(x[i]));
}

//= accepted integer_times_bfloat
// source: ml-explore/mlx arange.h (start + index * step, with an instance for bfloat16_t)
// out: 1 3 5
kernel void integer_times_bfloat(device float* out) {
  const bfloat start = bfloat(1.0f), step = bfloat(2.0f);
  for (uint i = 0; i < 3; ++i) {
    bfloat value = start + i * step;
    out[i] = value;
  }
}

//= accepted product_with_float_is_float
// source: ml-explore/mlx sdpa_vector.h (float scale times bfloat16_t queries)
// out: 0.30000001192092896
kernel void product_with_float_is_float(device float* out) {
  bfloat three = bfloat(3.0f);
  float scale = 0.1f;
  out[0] = scale * three;
}

//= accepted conversion_in_both_branches
// source: pytorch/pytorch#177193 (its correction)
// in: 2
// out: 2 0
kernel void conversion_in_both_branches(device float* out, device const float* x) {
  for (uint i = 0; i < 2; ++i) {
    bfloat value = i < 1 ? bfloat(x[0]) : static_cast<bfloat>(0.0f);
    out[i] = value;
  }
}

//= accepted suffixed_literal
// source: MSL 2.1 (the suffix bf)
// out: 0.5 1.5
kernel void suffixed_literal(device float* out) {
  bfloat half_of_one = 0.5bf;
  bfloat sum = half_of_one + 1.0bf;
  out[0] = half_of_one;
  out[1] = sum;
}

//= accepted a_maximum_of_ones_own
// source: pytorch/pytorch#141104 (its max for bfloat)
// in: 2 7
// out: 7
using metal::max;
bfloat max(bfloat a, bfloat b) { return a > b ? a : b; }
kernel void a_maximum_of_ones_own(device float* out, device const float* x) {
  out[0] = max(bfloat(x[0]), bfloat(x[1]));
}

//= accepted bfloat_vectors
// source: MSL 2.2 (bfloat2 to bfloat4), ml-explore/mlx (vec<T, 4> with bfloat16_t)
// out: 1 6
kernel void bfloat_vectors(device float* out) {
  bfloat4 v = bfloat4(1, 2, 3, 4);
  vec<bfloat, 4> w = v * v.y + v;
  out[0] = v.x;
  out[1] = w.y;
}

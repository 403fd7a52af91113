//= accepted subscripts
// source: MSL 1.5 (C++ operators), ml-explore/mlx steel/utils (operator[] of its arrays)
// out: 2 7
struct Row {
  float values[4];
  thread float& operator[](int i) { return values[i]; }
  float operator[](int i) const { return values[i]; }
};
kernel void subscripts(device float* out) {
  Row row = {{1, 2, 3, 4}};
  out[0] = row[1];
  row[2] = 7;
  out[1] = row[2];
}

//= accepted subscripts_without_a_space
// source: MSL 1.5, 4 (a method's object is in thread memory by default)
// out: 2
struct Column {
  float values[4];
  float operator[](int i) const { return values[i]; }
};
kernel void subscripts_without_a_space(device float* out) {
  Column column = {{1, 2, 3, 4}};
  out[0] = column[1];
}

//= accepted calls_of_objects
// source: ml-explore/mlx binary_ops.h (struct Add with a templated operator())
// out: 5 6
struct Sum {
  template <typename T>
  T operator()(T x, T y) {
    return x + y;
  }
};
struct Times {
  float factor;
  float operator()(float x) const thread { return factor * x; }
};
kernel void calls_of_objects(device float* out) {
  out[0] = Sum()(2.0f, 3.0f);
  Times twice{2.0f};
  out[1] = twice(3.0f);
}

//= accepted compound_operators
// source: ml-explore/mlx complex.h (operators of complex64_t)
// out: 4 6 8 12
struct Pair {
  float a, b;
  thread Pair& operator+=(Pair other) {
    a += other.a;
    b += other.b;
    return *this;
  }
  thread Pair& operator*=(float by) thread {
    a *= by;
    b *= by;
    return *this;
  }
};
kernel void compound_operators(device float* out) {
  Pair p = {1, 2};
  p += Pair{3, 4};
  out[0] = p.a;
  out[1] = p.b;
  p *= 2.0f;
  out[2] = p.a;
  out[3] = p.b;
}

//= accepted a_braced_argument
// source: ml-explore/mlx random.metal (f({a, b, c}))
// out: 3 7
struct Span {
  float2 ends;
  Span(float2 e) : ends(e) {}
  float length() const { return ends.y - ends.x; }
};
inline float total(uint2 v) { return v.x + v.y; }
kernel void a_braced_argument(device float* out) {
  Span span({1, 4});
  out[0] = span.length();
  out[1] = total({3, 4});
}

//= accepted inheritance
// source: ml-explore/mlx steel/attn/loader.h and its like (derived classes)
// out: 3
struct Head {
  float x;
};
struct Tail : Head {
  float y;
  float sum() const { return x + y; }
};
kernel void inheritance(device float* out) {
  Tail t;
  t.x = 1;
  t.y = 2;
  out[0] = t.sum();
}

//= accepted constants_of_a_class
// source: ml-explore/mlx utils.h (static constexpr constant members of Limits)
// out: 8 3
template <typename T>
struct Traits {
  static constexpr constant int bits = 8 * sizeof(T);
  static const constant int spare = 3;
};
kernel void constants_of_a_class(device float* out) {
  out[0] = Traits<uchar>::bits;
  out[1] = Traits<uchar>::spare;
}

//= accepted arrays_of_the_library
// source: MSL 2.12 (array)
// out: 3 4 2
kernel void arrays_of_the_library(device float* out) {
  array<float, 3> values = {1, 2, 3};
  values[1] = 4;
  out[0] = values.size();
  out[1] = values[1];
  array<int, 2> two;
  out[2] = two.size();
}

//= accepted literals_in_a_template
// source: MSL 2.1 (there is no double: a literal without suffix is a float)
// in: 3
// out: 0.3000000119209289551 4 16777216
template <typename T>
struct Literals {
  static T tenth(T x) { return x * 0.1; }
  static T plus(T x) { return x + 1.0 + 1.0; }
  static int size(T x) { return sizeof(x * 0.5); }
};
kernel void literals_in_a_template(device float* out, device const float* x) {
  out[0] = Literals<float>::tenth(x[0]);
  out[1] = Literals<float>::size(x[0]);
  out[2] = Literals<float>::plus(16777216.0f);
}

//= accepted function_as_template_argument
// source: ggml-org/llama.cpp ggml-metal.metal (void (*dequantize_func)(...) of its kernels)
// out: 9
void fill_with_nine(device const float* from, thread float& value) { value = 9; }
template <void (*fill)(device const float*, thread float&)>
kernel void filled_by(device float* out) {
  float value;
  fill(out, value);
  out[0] = value;
}
template <typename T, void (*fill)(device const T*, thread T&)>
T filled(device const T* from) {
  T value;
  fill(from, value);
  return value;
}
kernel void fills_by_name(device float* out) { out[0] = filled<float, &fill_with_nine>(out); }
template [[host_name("function_as_template_argument")]] kernel void filled_by<&fill_with_nine>(device float*);

//= accepted switches_and_loops
// source: MSL 1.5 (C++)
// out: 6 1
enum class Step : uint { one = 1, two = 2 };
kernel void switches_and_loops(device float* out) {
  float sum = 0;
  for (int step = 1; step < 4; ++step) sum += step;
  out[0] = sum;
  switch (Step(uint(sum) - 5)) {
    case Step::one:
      out[1] = 1;
      break;
    case Step::two:
      out[1] = 2;
      break;
  }
}

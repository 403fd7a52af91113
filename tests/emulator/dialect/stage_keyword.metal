// rule: stage-keyword
// version: 3.1
#include <metal_stdlib>
using namespace metal;

struct Mesh {
  float2 position;
  float2 vertex;  // error
};
inline float weighted(device const float* kernel, uint i) {  // error
  return i;
}
kernel void k(device float* out, device const Mesh* meshes) {
  float fragment = 1;           // error
  out[0] = meshes[0].vertex.x;  // error
}

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Mesh {
  float2 position;
  float2 corner;
};
inline float weighted(device const float* weights, uint i) { return weights[i]; }
[[kernel]] void j(device float* out) { out[0] = 1; }
[[kernel, max_total_threads_per_threadgroup(64)]] void l(device float* out) { out[0] = 1; }
template <typename T>
kernel void m(device T* out) {
  out[0] = T(1);
}
template [[host_name("m_float")]] [[kernel]] decltype(m<float>) m<float>;
kernel void k(device float* out, device const Mesh* meshes) { out[0] = meshes[0].corner.x; }

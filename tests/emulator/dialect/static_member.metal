// rule: static-member
// version: 3.1
#include <metal_stdlib>
using namespace metal;

struct Tile {
  static constexpr int rows = 8;  // error
};

//= corrected
#include <metal_stdlib>
using namespace metal;

struct Tile {
  static constant constexpr int rows = 8;
  static int count(int n) { return n * rows; }
};

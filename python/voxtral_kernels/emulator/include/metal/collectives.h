// How the lanes of a group of Width (32: simdgroup, 4: quad) compute together. The leader of a rendezvous runs these
// over the slots of all lanes that arrived.
#pragma once

namespace metal {

// The functions of a group take scalars and vectors of up to 32 bits an element, and of bfloat none: 6.9.2.
template <typename T, typename E = typename vec_traits<T>::element>
constexpr bool msl_is_group_value() {
  return (is_arithmetic_v<E> || __is_same(E, bool)) && sizeof(E) <= 4 && !__is_same(E, bfloat);
}
template <typename T>
struct __is_valid_simdgroup_type : bool_constant<msl_is_group_value<T>()> {};  // the name in Apple's headers
template <typename T>
using msl_group_value = enable_if_t<msl_is_group_value<T>(), int>;
template <typename T>
using msl_group_bits = enable_if_t<msl_is_group_value<T>() && is_integral_v<typename vec_traits<T>::element>, int>;

template <typename T>
struct msl_lanes {
  const __generic msl_group* group;
  MSL_FN bool has(uint lane) const { return group->mask >> lane & 1; }
  MSL_FN T in(uint lane) const { return *(const __generic T*)group->in[lane]; }
  MSL_FN void out(uint lane, T value) const { *(__generic T*)group->out[lane] = value; }
  MSL_FN uint argument(uint lane) const { return group->argument[lane]; }
};

// What a lane that did not take part would have given: NaN for floats, but in a run that looks who hangs on it.
template <typename T>
MSL_FN T msl_absent(const __generic msl_group* group, uint lane) {
  T value;
  __builtin_memset(&value, group->absent[lane & 1], sizeof(T));
  return value;
}

struct msl_add {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    return a + b;
  }
  static constexpr constant int identity = 0;
};
struct msl_multiply {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    return a * b;
  }
  static constexpr constant int identity = 1;
};
struct msl_min {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    if constexpr (__is_same(T, bfloat))
      return bfloat(min(float(a), float(b)));
    else
      return min(a, b);
  }
};
struct msl_max {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    if constexpr (__is_same(T, bfloat))
      return bfloat(max(float(a), float(b)));
    else
      return max(a, b);
  }
};
struct msl_and {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    return a & b;
  }
};
struct msl_or {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    return a | b;
  }
};
struct msl_xor {
  template <typename T>
  MSL_FN static T apply(T a, T b) {
    return a ^ b;
  }
};

// A tree over the lanes that arrived, in the shape of a butterfly.
template <uint Width, typename Op, typename T>
MSL_HIDDEN void msl_reduce_group(const __generic msl_group* group) {
  msl_lanes<T> lanes{group};
  if (group->mask == ~0u) {  // nearly always; the same tree without a question at each of its nodes
    T value[32];
    for (uint i = 0; i < 32; ++i) value[i] = lanes.in(i);
    for (uint first = 0; first < 32; first += Width) {
      for (uint step = Width / 2; step; step /= 2) {
        for (uint i = first; i < first + step; ++i) value[i] = Op::apply(value[i], value[i + step]);
      }
      for (uint i = 0; i < Width; ++i) lanes.out(first + i, value[first]);
    }
    return;
  }
  for (uint first = 0; first < 32; first += Width) {
    T value[Width];
    bool has[Width];
    for (uint i = 0; i < Width; ++i) {
      has[i] = lanes.has(first + i);
      if (has[i]) value[i] = lanes.in(first + i);
    }
    for (uint step = Width / 2; step; step /= 2) {
      for (uint i = 0; i < step; ++i) {
        if (!has[i + step]) continue;
        value[i] = has[i] ? Op::apply(value[i], value[i + step]) : value[i + step];
        has[i] = true;
      }
    }
    for (uint i = 0; i < Width; ++i) {
      if (lanes.has(first + i)) lanes.out(first + i, value[0]);
    }
  }
}

template <uint Width, typename Op, bool Inclusive, typename T>
MSL_HIDDEN void msl_scan_group(const __generic msl_group* group) {
  msl_lanes<T> lanes{group};
  for (uint first = 0; first < 32; first += Width) {
    T sum = T(Op::identity);
    for (uint lane = first; lane < first + Width; ++lane) {
      if (!lanes.has(lane)) continue;
      T next = Op::apply(sum, lanes.in(lane));
      lanes.out(lane, Inclusive ? next : sum);
      sum = next;
    }
  }
}

template <uint Width, msl_shuffle_mode Mode, typename T>
MSL_HIDDEN void msl_shuffle_group(const __generic msl_group* group) {
  msl_lanes<T> lanes{group};
  T value[32];
  for (uint lane = 0; lane < 32; ++lane) value[lane] = lanes.has(lane) ? lanes.in(lane) : msl_absent<T>(group, lane);
  for (uint lane = 0; lane < 32; ++lane) {
    if (!lanes.has(lane)) continue;
    uint first = lane / Width * Width;
    uint from = msl_source(Mode, Width, lane - first, lanes.argument(lane));
    lanes.out(lane, from < Width ? value[first + from] : msl_absent<T>(group, from));
  }
}

template <typename T>
struct msl_filled {
  T data, fill;
};
// `modulo` is packed into the argument's upper half.
template <uint Width, bool Up, typename T>
MSL_HIDDEN void msl_fill_group(const __generic msl_group* group) {
  msl_filled<T> value[32];
  for (uint lane = 0; lane < 32; ++lane) {
    if (group->mask >> lane & 1) {
      value[lane] = *(const __generic msl_filled<T>*)group->in[lane];
    } else {
      value[lane] = msl_filled<T>{msl_absent<T>(group, lane), msl_absent<T>(group, lane)};
    }
  }
  for (uint lane = 0; lane < 32; ++lane) {
    if (!(group->mask >> lane & 1)) continue;
    uint argument = group->argument[lane];
    msl_fill_source from = msl_source_or_filling(Up, lane, argument & 0xffff, argument >> 16);
    *(__generic T*)group->out[lane] = from.lane >= 32   ? msl_absent<T>(group, from.lane)
                                      : from.is_filling ? value[from.lane].fill
                                                        : value[from.lane].data;
  }
}

template <uint Width, typename T>
MSL_HIDDEN void msl_first_group(const __generic msl_group* group) {
  msl_lanes<T> lanes{group};
  for (uint first = 0; first < 32; first += Width) {
    uint members = Width == 32 ? group->mask : group->mask >> first & ((1u << (Width & 31)) - 1);
    if (!members) continue;
    T value = lanes.in(first + uint(__builtin_ctz(members)));
    for (uint lane = first; lane < first + Width; ++lane) {
      if (lanes.has(lane)) lanes.out(lane, value);
    }
  }
}

struct msl_votes {
  uint set, active;
};
template <uint Width>
MSL_HIDDEN void msl_vote_group(const __generic msl_group* group) {
  uint set = 0;
  for (uint lane = 0; lane < 32; ++lane) {
    if (group->mask >> lane & 1 && *(const __generic bool*)group->in[lane]) set |= 1u << lane;
  }
  for (uint lane = 0; lane < 32; ++lane) {
    if (!(group->mask >> lane & 1)) continue;
    uint shift = Width == 32 ? 0 : lane / Width * Width, keep = Width == 32 ? ~0u : (1u << (Width & 31)) - 1;
    *(__generic msl_votes*)group->out[lane] = msl_votes{set >> shift & keep, group->mask >> shift & keep};
  }
}

}  // namespace metal

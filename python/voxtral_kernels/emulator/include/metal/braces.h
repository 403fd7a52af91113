// Braces as arguments of functions.
#pragma once

namespace metal {

// f({a, b}), which the translator spells f(msl_braces(a, b)): what becomes the vector or the structure that f takes.
template <typename T>
T msl_any();
template <typename...>
using msl_void = void;
template <typename T, typename Given, typename = void>
struct msl_is_built : false_type {};
template <typename T, typename... A>
struct msl_is_built<T, void(A...), msl_void<decltype(T{msl_any<A>()...})>> : true_type {};
template <typename T, typename... A>
MSL_FN constexpr bool msl_takes_braces() {
  if constexpr (vec_traits<T>::size > 1)
    return (0 + ... + vec_traits<A>::size) <= vec_traits<T>::size;
  else if constexpr (__is_class(T))
    return msl_is_built<T, void(A...)>::value;
  else
    return sizeof...(A) == 1 && is_arithmetic_v<T> && (is_arithmetic_v<A> && ...);
}
template <typename... A>
struct msl_list {
  template <typename T, typename... Given>
  constexpr T make(Given... given) const {
    if constexpr (vec_traits<T>::size > 1)
      return msl_braced<T>(given...);
    else
      return T{given...};
  }
};
template <typename A, typename... Rest>
struct msl_list<A, Rest...> {
  A first;
  msl_list<Rest...> rest;
  template <typename T, typename... Given>
  constexpr T make(Given... given) const {
    return rest.template make<T>(given..., first);
  }
  template <typename T, typename = enable_if_t<msl_takes_braces<T, A, Rest...>()>>
  constexpr operator T() const {
    return make<T>();
  }
};
MSL_FN constexpr msl_list<> msl_braces() { return {}; }
template <typename A, typename... Rest>
MSL_FN constexpr msl_list<A, Rest...> msl_braces(A first, Rest... rest) {
  return {first, msl_braces(rest...)};
}

}  // namespace metal

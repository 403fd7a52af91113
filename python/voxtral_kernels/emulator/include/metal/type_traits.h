// metal_type_traits
#pragma once

namespace metal {

template <typename T, T v>
struct integral_constant {
  static constexpr constant T value = v;
  using value_type = T;
  using type = integral_constant;
  constexpr operator T() const { return v; }
};
template <bool B>
using bool_constant = integral_constant<bool, B>;
using true_type = bool_constant<true>;
using false_type = bool_constant<false>;

template <typename... B>
using _disjunction = bool_constant<(false || ... || bool(B::value))>;
template <typename... B>
using _conjunction = bool_constant<(true && ... && bool(B::value))>;
template <typename B>
using _negation = bool_constant<!bool(B::value)>;
template <typename... B>
using disjunction = _disjunction<B...>;
template <typename... B>
using conjunction = _conjunction<B...>;
template <typename B>
using negation = _negation<B>;

template <bool B, typename T = void>
struct enable_if {};
template <typename T>
struct enable_if<true, T> {
  using type = T;
};
template <bool B, typename T = void>
using enable_if_t = typename enable_if<B, T>::type;

template <bool B, typename T, typename U>
struct conditional {
  using type = T;
};
template <typename T, typename U>
struct conditional<false, T, U> {
  using type = U;
};
template <bool B, typename T, typename U>
using conditional_t = typename conditional<B, T, U>::type;

// Type transformations: `remove_x<T>::type` and `remove_x_t<T>`.
#define MSL_TRANSFORM(name, matched) \
  template <typename T>              \
  struct name {                      \
    using type = T;                  \
  };                                 \
  template <typename T>              \
  struct name<matched> {             \
    using type = T;                  \
  };                                 \
  template <typename T>              \
  using name##_t = typename name<T>::type;

MSL_TRANSFORM(remove_const, const T)
MSL_TRANSFORM(remove_volatile, volatile T)
MSL_TRANSFORM(remove_pointer, T*)
#undef MSL_TRANSFORM

template <typename T>
struct remove_addrspace {
  using type = T;
};
template <typename T>
struct remove_reference {
  using type = T;
};
#define MSL_PER_SPACE(space)               \
  template <typename T>                    \
  struct remove_addrspace<space T> {       \
    using type = T;                        \
  };                                       \
  template <typename T>                    \
  struct remove_addrspace<space const T> { \
    using type = const T;                  \
  };                                       \
  template <typename T>                    \
  struct remove_reference<space T&> {      \
    using type = space T;                  \
  };
MSL_PER_SPACE(device)
MSL_PER_SPACE(constant)
MSL_PER_SPACE(threadgroup)
MSL_PER_SPACE(thread)
#undef MSL_PER_SPACE
template <typename T>
struct remove_reference<T&> {
  using type = T;
};
template <typename T>
struct remove_reference<T&&> {
  using type = T;
};
template <typename T>
using remove_reference_t = typename remove_reference<T>::type;
template <typename T>
using remove_addrspace_t = typename remove_addrspace<T>::type;
template <typename T>
struct remove_cv {
  using type = remove_volatile_t<remove_const_t<remove_addrspace_t<T>>>;
};
template <typename T>
using remove_cv_t = typename remove_cv<T>::type;
template <typename T>
struct decay {
  using type = remove_cv_t<remove_reference_t<T>>;
};
template <typename T>
using decay_t = typename decay<T>::type;

template <typename T>
struct make_unsigned {
  using type = __make_unsigned(T);
};
template <typename T>
using make_unsigned_t = typename make_unsigned<T>::type;
template <typename T>
struct make_signed {
  using type = __make_signed(T);
};
template <typename T>
using make_signed_t = typename make_signed<T>::type;

// Written where nothing is evaluated: a value of the type.
template <typename T>
struct msl_rvalue {
  using type = thread T&&;
};
template <typename T>
struct msl_rvalue<T&> {
  using type = T&;
};
template <typename T>
struct msl_rvalue<T&&> {
  using type = T&&;
};
template <>
struct msl_rvalue<void> {
  using type = void;
};
template <typename T>
typename msl_rvalue<T>::type declval();

// Predicates: `is_x<T>::value` and `is_x_v<T>`.
#define MSL_PREDICATE(name, expression)         \
  template <typename T>                         \
  struct name : bool_constant<(expression)> {}; \
  template <typename T>                         \
  inline constexpr constant bool name##_v = (expression);

MSL_PREDICATE(is_const, __is_const(T))
template <typename T>
struct vec_traits;
template <typename T>
inline constexpr constant bool msl_is_integer = __is_integral(T);
template <typename T>
inline constexpr constant bool msl_is_floating = __is_floating_point(T) || __is_same(T, half) || __is_same(T, bfloat);
// A vector is of its elements' kind: PyTorch's kernels, which Apple compiles, ask for is_scalar beside these.
MSL_PREDICATE(is_integral, msl_is_integer<typename vec_traits<remove_cv_t<T>>::element>)
MSL_PREDICATE(is_floating_point, msl_is_floating<typename vec_traits<remove_cv_t<T>>::element>)
MSL_PREDICATE(is_arithmetic, msl_is_integer<remove_cv_t<T>> || msl_is_floating<remove_cv_t<T>>)
MSL_PREDICATE(is_scalar, is_arithmetic_v<T> || __is_scalar(T))
MSL_PREDICATE(is_signed, msl_is_floating<remove_cv_t<T>> || __is_signed(T))
MSL_PREDICATE(is_unsigned, __is_unsigned(T))
MSL_PREDICATE(is_void, __is_void(T))
MSL_PREDICATE(is_array, __is_array(T))
MSL_PREDICATE(is_pointer, __is_pointer(T))
MSL_PREDICATE(is_reference, __is_reference(T))
MSL_PREDICATE(is_class, __is_class(T))
MSL_PREDICATE(is_enum, __is_enum(T))
MSL_PREDICATE(is_union, __is_union(T))
MSL_PREDICATE(is_trivially_copyable, __is_trivially_copyable(T))
#undef MSL_PREDICATE

template <typename T, typename U>
struct is_same : bool_constant<__is_same(T, U)> {};
template <typename T, typename U>
inline constexpr constant bool is_same_v = __is_same(T, U);
template <typename From, typename To>
struct is_convertible : bool_constant<__is_convertible(From, To)> {};
template <typename From, typename To>
inline constexpr constant bool is_convertible_v = __is_convertible(From, To);
template <typename Base, typename Derived>
struct is_base_of : bool_constant<__is_base_of(Base, Derived)> {};
template <typename Base, typename Derived>
inline constexpr constant bool is_base_of_v = __is_base_of(Base, Derived);

}  // namespace metal

// What the translator puts into classes: their objects take the value of one in constant, and of nothing else there.
#define MSL_ASSIGNED_FROM_CONSTANT(S)                                                              \
  template <typename msl_other, typename = ::metal::enable_if_t<::metal::is_same_v<msl_other, S>>> \
  S& operator=(const constant msl_other& other) {                                                  \
    msl_other copy(other);                                                                         \
    return *this = copy;                                                                           \
  }

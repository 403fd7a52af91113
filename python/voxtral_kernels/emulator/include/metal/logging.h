// metal_logging: accepted and silent.
#pragma once

namespace metal {

struct os_log {
  constexpr os_log() constant {}
  constexpr os_log(constant const char*, constant const char*) constant {}
  template <typename... A>
  MSL_FN void log(constant const char*, A...) const constant {}
  template <typename... A>
  MSL_FN void log_debug(constant const char*, A...) const constant {}
  template <typename... A>
  MSL_FN void log_info(constant const char*, A...) const constant {}
  template <typename... A>
  MSL_FN void log_error(constant const char*, A...) const constant {}
  template <typename... A>
  MSL_FN void log_fault(constant const char*, A...) const constant {}
};
static constexpr constant os_log os_log_default;

}  // namespace metal

// What one threadgroup hands to another: a fence of device scope and then an atomic change release what the threadgroup
// wrote, and a threadgroup whose atomic operation on the same bytes comes later has it. The reader's own fence is not
// asked for, and what the releasing threadgroup writes afterwards is taken for released too.
#pragma once
#include <cstdint>
#include <map>
#include <unordered_map>

namespace emulator {

class Releases {
 public:
  void begin_threadgroup() {
    has_fenced_ = false;
    had_.clear();
  }
  void fence() { has_fenced_ = true; }
  // An atomic operation of `threadgroup` at `address`.
  void meet(uintptr_t address, uint32_t threadgroup, bool changes) {
    if (!has_fenced_ && at_.empty()) return;
    if (const auto found = at_.find(address); found != at_.end()) had_[&found->second] = found->second.size();
    if (!changes || !has_fenced_) return;
    Order& order = at_[address];
    order.emplace(threadgroup, order.size());
  }
  // Whether this threadgroup has what another one wrote.
  bool has(uint32_t threadgroup) const {
    for (const auto& [order, count] : had_) {
      if (const auto found = order->find(threadgroup); found != order->end() && found->second < count) return true;
    }
    return false;
  }
  void clear() { *this = Releases(); }

 private:
  using Order = std::unordered_map<uint32_t, size_t>;  // threadgroup -> how many had released before it
  std::map<uintptr_t, Order> at_;
  std::map<const Order*, size_t> had_;  // by the present threadgroup, of those that had released at that time
  bool has_fenced_ = false;
};

}  // namespace emulator

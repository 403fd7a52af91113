// What the checks report. Python turns `pc` into lines of the user's text.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace emulator {

struct Finding {
  static constexpr int64_t kNowhere = INT64_MIN;
  std::string kind;
  std::string detail;  // words that follow the kind
  int64_t pc = -1;     // relative to the module's start; -1: nowhere in it
  std::string buffer;  // empty: no buffer
  int64_t offset = 0;  // bytes from the buffer's start; kNowhere: not known
  int64_t lane = -1;   // index in the threadgroup; -1: the whole launch
  uint32_t threadgroup[3] = {0, 0, 0};
  int64_t other_pc = -1;  // the other access of a race, the other place of a divergence
  int64_t other_lane = -1;
  int64_t other_threadgroup = -1;  // linear
  std::string file;                // where the compiler itself told the line
  uint32_t line = 0, column = 0;
  uint64_t count = 1;  // how often this kind came at this place
};

inline constexpr const char* kDivision = "an integer is divided by zero, or its quotient overflows";

class Findings {
 public:
  // Keeps the first finding of each kind at each place, how often it came, and not more than a page of them.
  void add(Finding finding) {
    ++total_;
    const auto key = std::make_tuple(finding.kind, finding.buffer, finding.pc, finding.line);
    if (const auto seen = seen_.find(key); seen != seen_.end()) {
      ++list_[seen->second].count;
      return;
    }
    if (list_.size() >= kMost) return;
    seen_.emplace(key, list_.size());
    list_.push_back(std::move(finding));
  }
  void clear() { *this = Findings(); }
  const std::vector<Finding>& list() const { return list_; }
  uint64_t total() const { return total_; }

 private:
  static constexpr size_t kMost = 64;
  std::vector<Finding> list_;
  std::map<std::tuple<std::string, std::string, int64_t, uint32_t>, size_t> seen_;
  uint64_t total_ = 0;
};

}  // namespace emulator

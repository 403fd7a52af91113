// Reads of memory that nobody had written. If another lane writes there and no barrier stands between, the missing
// barrier is the one cause and the race tells it; what is left when the memory's time is over is a finding.
#pragma once
#include <cstddef>
#include <map>
#include <utility>
#include <vector>

#include "findings.h"
#include "memory.h"

namespace emulator {

class EarlyReads {
 public:
  // A finding at a granule of `region`, `finding.offset`; of more than a few thousand the rest go to `findings` at once.
  void add(const Region& region, Finding finding, Findings& findings) {
    if (kept_ >= kMost) return findings.add(std::move(finding));
    ++kept_;
    const auto offset = static_cast<size_t>(finding.offset);
    at_[{&region, offset}].push_back(std::move(finding));
  }
  // A race was found between the reads of this granule and a later write.
  void explained(const Region& region, size_t offset) {
    if (at_.empty()) return;
    at_.erase({&region, offset});
    if (region.granule < region.first_granule)
      at_.erase({&region, offset / region.first_granule * region.first_granule});
  }
  // Hands over what no race explains: of threadgroup memory, whose time is over, or of all.
  void settle(Findings& findings, bool of_threadgroup_only) {
    if (at_.empty()) return;
    std::map<std::pair<const Region*, size_t>, std::vector<Finding>> left;
    for (auto& [place, reads] : at_) {
      if (of_threadgroup_only && place.first->on_device()) {
        left.emplace(place, std::move(reads));
      } else {
        for (Finding& f : reads) findings.add(std::move(f));
      }
    }
    at_ = std::move(left);
    if (at_.empty()) kept_ = 0;
  }
  void clear() { *this = EarlyReads(); }

 private:
  static constexpr size_t kMost = 4096;
  std::map<std::pair<const Region*, size_t>, std::vector<Finding>> at_;
  size_t kept_ = 0;
};

}  // namespace emulator

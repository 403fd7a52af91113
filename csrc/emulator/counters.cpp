#include "counters.h"

#include <algorithm>
#include <map>

namespace emulator {

namespace {

constexpr uint32_t kSegment = 128, kBanks = 32, kBankBytes = 4;

// Rounds that 32 banks need for these bytes, less the first: words of one bank cannot be read together.
uint64_t bank_conflicts(const std::vector<std::pair<uint32_t, uint32_t>>& spans) {
  std::array<std::vector<uint32_t>, kBanks> words;
  size_t total = 0;
  for (auto [offset, size] : spans) {
    for (uint32_t w = offset / kBankBytes; w <= (offset + size - 1) / kBankBytes; ++w) words[w % kBanks].push_back(w);
  }
  size_t rounds = 0;
  for (auto& bank : words) {
    std::sort(bank.begin(), bank.end());
    const auto distinct = static_cast<size_t>(std::unique(bank.begin(), bank.end()) - bank.begin());
    rounds = std::max(rounds, distinct);
    total += distinct;
  }
  const size_t least = (total + kBanks - 1) / kBanks;  // wide loads take several rounds anyway
  return rounds - std::min(rounds, least);
}

}  // namespace

void Counters::record(Region& region, size_t offset, size_t size, bool write, const void* pc) {
  Traffic& traffic = region.traffic;
  (write ? traffic.written_bytes : traffic.read_bytes) += size;
  (write ? traffic.written : traffic.read).add(offset, size, region.size);
  log_[simdgroup_][lane_].push_back(
      Entry{&region, pc, static_cast<uint32_t>(offset), static_cast<uint32_t>(size), write});
}

void Counters::count(Group& group) {
  Traffic& traffic = group.region->traffic;
  auto& spans = group.spans;
  if (!std::is_sorted(spans.begin(), spans.end())) std::sort(spans.begin(), spans.end());
  uint64_t segments = 0, bytes = 0;
  int64_t last_segment = -1;
  uint32_t covered = 0;
  for (auto [offset, size] : spans) {
    const uint32_t end = offset + size;
    for (int64_t s = std::max<int64_t>(offset / kSegment, last_segment + 1); s <= (end - 1) / kSegment; ++s) {
      ++segments;
      last_segment = s;
    }
    const uint32_t from = std::max(offset, covered);
    if (end > from) bytes += end - from;
    covered = std::max(covered, end);
  }
  ++traffic.accesses;
  if (group.region->on_device()) {
    traffic.segments += segments;
    traffic.ideal_segments += (bytes + kSegment - 1) / kSegment;
  } else {
    traffic.bank_conflicts += bank_conflicts(spans);
  }
}

// Whether all lanes that accessed anything executed the same instructions in the same order.
bool Counters::uniform(const Lanes& lanes) {
  const std::vector<Entry>* first = nullptr;
  for (const auto& lane : lanes) {
    if (lane.empty()) continue;
    if (!first) first = &lane;
    const auto same = [](const Entry& a, const Entry& b) { return a.pc == b.pc; };
    if (!std::equal(lane.begin(), lane.end(), first->begin(), first->end(), same)) return false;
  }
  return true;
}

void Counters::meet(unsigned simdgroup) {
  Lanes& lanes = log_[simdgroup];
  if (uniform(lanes)) {
    size_t accesses = 0;
    for (const auto& lane : lanes) accesses = std::max(accesses, lane.size());
    for (size_t i = 0; i < accesses; ++i) {
      group_.spans.clear();
      for (const auto& lane : lanes) {
        if (lane.empty()) continue;
        group_.region = lane[i].region;
        group_.spans.emplace_back(lane[i].offset, lane[i].size);
      }
      count(group_);
    }
  } else {
    meet_diverged(lanes);
  }
  for (auto& lane : lanes) lane.clear();
}

void Counters::meet_diverged(const Lanes& lanes) {
  std::map<std::pair<const void*, uint32_t>, Group> groups;  // by instruction and how often its lane had executed it
  for (const auto& lane : lanes) {
    std::unordered_map<const void*, uint32_t> times;
    for (const Entry& e : lane) {
      Group& group = groups[{e.pc, times[e.pc]++}];
      group.region = e.region;
      group.spans.emplace_back(e.offset, e.size);
    }
  }
  for (auto& [key, group] : groups) count(group);
}

}  // namespace emulator

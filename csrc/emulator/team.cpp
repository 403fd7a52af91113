// Each thread has lanes, threadgroup memory and a history of accesses (Cells) of its own; they share the buffers. Threadgroups that
// touch no byte that another one writes give what they would one after another, and no finding can hang on their order.
// So what the threads saw is compared when all are done: where one of them found anything, or a byte that one wrote was
// touched by another, the launch is run again by one thread.
#include "team.h"

#include <functional>
#include <memory>
#include <new>
#include <system_error>
#include <thread>
#include <utility>

#include "counters.h"
#include "faults.h"
#include "grid.h"
#include "library.h"

namespace emulator {

namespace {

// Kept, with the addresses and stacks that they have reserved; never destroyed.
auto* helpers = new std::vector<std::unique_ptr<Launch>>;

// Whether a byte of an output was written through one memory and touched through another, or by nobody.
bool is_disputed(unsigned slot, const std::vector<Launch*>& team) {
  Region& first = team[0]->memory[slot];
  const size_t count = first.cells.size();
  for (size_t i = 0; i < count; ++i) {
    unsigned writers = 0, users = 0;
    for (Launch* l : team) {
      const Cell& cell = l->memory[slot].cells[i];
      const bool wrote = !cell.write.nobody();
      writers += wrote;
      users += wrote || !cell.reads[0].nobody() || !cell.reads[1].nobody() || !cell.far_read.nobody();
    }
    if (writers && users > 1) return true;
    if (!writers && !first.initialised) return true;
  }
  return false;
}

void add(Totals& sum, const Totals& t) {
  sum.threads += t.threads;
  sum.threadgroups += t.threadgroups;
  sum.barriers += t.barriers;
  sum.steps += t.steps;
  for (size_t i = 0; i < sum.operations.size(); ++i) sum.operations[i] += t.operations[i];
}

Outcome judge(Launch& l, const std::vector<Launch*>& team) {
  for (const Launch* t : team) {
    if (t->used_atomics) return Outcome::used_atomics;
  }
  for (Launch* t : team) {
    if (!t->expired || t == &l) continue;
    l.findings = std::move(t->findings);  // which of the threads tells that the time is over does not matter
    l.failed = true;
    l.expired = true;
  }
  if (l.expired) return Outcome::done;
  Totals sum;
  for (Launch* t : team) {
    t->early_reads.settle(t->findings, false);
    if (t->failed || t->findings.total() || t->absent.total() || t->has_refined) return Outcome::alone;
    if (t->totals.threadgroups == 0) continue;
    const uint64_t bytes = t->totals.threadgroup_memory_bytes;
    if (sum.threadgroups && bytes != sum.threadgroup_memory_bytes) return Outcome::alone;  // not all meet the same
    sum.threadgroup_memory_bytes = bytes;
    add(sum, t->totals);
  }
  l.totals = sum;
  const bool is_checked = l.options.mode != Mode::plain;
  if (is_checked && sum.threadgroup_memory_bytes > kThreadgroupMemoryLimit) return Outcome::alone;
  if (l.options.step_limit && sum.steps > l.options.step_limit) return Outcome::alone;
  for (unsigned slot = 0; slot < Memory::kBuffers; ++slot) {
    if (!l.memory[slot].live) continue;
    if (l.memory[slot].cells.size() && is_disputed(slot, team)) return Outcome::alone;
    ptrdiff_t offset = 0;
    if (l.memory.guard_broken(l.memory[slot], &offset)) return Outcome::alone;
  }
  return Outcome::done;
}

}  // namespace

void forget_helpers() { helpers = new std::vector<std::unique_ptr<Launch>>; }

Outcome run_together(Launch& l) {
  if (!make_lanes(l)) return Outcome::done;
  unsigned threads = l.options.threads;
  try {
    while (helpers->size() + 1 < threads) helpers->push_back(std::make_unique<Launch>(l.memory.spacing()));
  } catch (const std::bad_alloc&) {
    threads = static_cast<unsigned>(helpers->size()) + 1;  // the system gives no more addresses: fewer do the work
  }
  std::vector<Launch*> team{&l};
  for (unsigned i = 1; i < threads; ++i) {
    Launch& helper = *(*helpers)[i - 1];
    begin(helper, l.options, l.module, l.entry);
    helper.buffers = l.buffers;
    helper.memory.clear();
    helper.memory.adopt_buffers(l.memory);
    place_threadgroup_arguments(helper);
    make_lanes(helper);
    team.push_back(&helper);
  }
  for (Launch* t : team) t->is_shared = true;
  Work work(l.options);
  {
    FaultGuard guard(l, l.options.seconds_limit);
    const auto share = [&](Launch& t) {
      FaultGuard::Thread here(guard, t);
      run_share(t, work);
    };
    std::vector<std::thread> running;
    running.reserve(threads);
    try {
      for (unsigned i = 1; i < threads; ++i) running.emplace_back(share, std::ref(*team[i]));
    } catch (const std::system_error&) {
      // The system gives no more of them: fewer do the work.
    }
    share(l);
    for (std::thread& thread : running) thread.join();
  }
  return judge(l, team);
}

}  // namespace emulator

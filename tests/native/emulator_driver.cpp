// Launches of compiled kernels without an interpreter: reads each from standard input, prints findings and outputs.
// tests/emulator/test_arm64.py writes the request and reads the answer.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "counters.h"
#include "launch.h"
#include "library.h"

namespace {

using namespace emulator;

template <typename T>
T read() {
  T value{};
  std::cin >> value;
  return value;
}

// Words as Python wrote them: a name that is empty is "-".
std::string read_name() {
  const auto name = read<std::string>();
  return name == "-" ? "" : name;
}

Space read_space() {
  const auto name = read<std::string>();
  return name == "input" ? Space::input : name == "output" ? Space::output : Space::constant;
}

Options read_options() {
  Options o;
  const auto mode = read<std::string>();
  o.mode = mode == "plain" ? Mode::plain : mode == "checked" ? Mode::checked : Mode::counted;
  o.seed = read<uint64_t>();
  o.step_limit = read<uint64_t>();
  o.seconds_limit = read<double>();
  for (uint32_t& n : o.grid) n = read<uint32_t>();
  for (uint32_t& n : o.threadgroup) n = read<uint32_t>();
  o.threadgroup_arguments.resize(read<size_t>());
  for (auto& [index, size] : o.threadgroup_arguments) index = read<unsigned>(), size = read<size_t>();
  o.variables.resize(read<size_t>());
  for (std::string& name : o.variables) name = read_name();
  o.absent_at = read<int64_t>();
  return o;
}

void print(const Finding& f) {
  std::cout << f.kind << '\t' << f.detail << '\t' << f.pc << '\t' << f.buffer << '\t' << f.offset << '\t' << f.lane;
  for (uint32_t n : f.threadgroup) std::cout << '\t' << n;
  std::cout << '\t' << f.other_pc << '\t' << f.other_lane << '\t' << f.other_threadgroup << '\t' << f.file << '\t'
            << f.line << '\t' << f.column << '\t' << f.count << '\n';
}

// One process for all, and as few addresses as do: QEMU keeps a table of the pages of all that are reserved.
Launch& the_launch() {
  static auto* kept = new Launch(Spacing::narrow);
  return *kept;
}

void answer(const std::string& path) {
  const auto symbol = read<std::string>();
  const Options options = read_options();
  std::vector<BufferSpec> buffers(read<size_t>());
  std::vector<bool> given;
  for (BufferSpec& b : buffers) {
    b.index = read<unsigned>();
    b.name = read_name();
    b.space = read_space();
    b.size = read<size_t>();
    b.granule = read<unsigned>();
    b.initialised = read<int>() != 0;
    given.push_back(read<int>() != 0);
    b.shares = read<int>();
    b.shares_from = read<size_t>();
  }
  std::cin.get();  // the end of the line; bytes follow
  std::vector<std::string> data(buffers.size());
  for (size_t i = 0; i < buffers.size(); ++i) {
    if (!given[i]) continue;
    data[i].resize(buffers[i].size);
    std::cin.read(data[i].data(), static_cast<std::streamsize>(buffers[i].size));
    buffers[i].data = data[i].data();
  }
  Library library(path);
  Launch& launched = the_launch();
  prepare(launched, library, symbol, buffers, options);
  run(launched);
  const auto &findings = launched.findings.list(), &absent = launched.absent.list();
  std::cout << !launched.failed << ' ' << launched.findings.total() << ' ' << launched.totals.steps << ' '
            << findings.size() << ' ' << absent.size() << '\n';
  for (const Finding& f : findings) print(f);
  for (const Finding& f : absent) print(f);
  for (const BufferSpec& b : buffers) {
    if (b.space != Space::output) continue;
    std::cout.write(static_cast<const char*>(launched.buffers[b.index]), static_cast<std::streamsize>(b.size));
  }
  std::cout.flush();
}

}  // namespace

int main() {
  try {
    for (std::string path; std::cin >> path;) answer(path);
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}

#include "extent.h"

#include <dlfcn.h>
#if defined(__APPLE__)
#  include <mach-o/loader.h>
#else
#  include <link.h>
#endif

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace emulator {

namespace {

#if defined(__APPLE__)
void find_end(Module* module) {
  const auto* header = reinterpret_cast<const mach_header_64*>(module->start);
  const auto* at = reinterpret_cast<const char*>(header + 1);
  uintptr_t slide = 0;
  for (uint32_t i = 0; i < header->ncmds; ++i) {  // __TEXT, where the header lies, comes first
    const auto* segment = reinterpret_cast<const segment_command_64*>(at);
    at += segment->cmdsize;
    if (segment->cmd != LC_SEGMENT_64) continue;
    if (!strcmp(segment->segname, SEG_TEXT)) slide = module->start - segment->vmaddr;
    if (strcmp(segment->segname, SEG_LINKEDIT) != 0) {
      module->end = std::max<uintptr_t>(module->end, slide + segment->vmaddr + segment->vmsize);
    }
  }
}
#else
void find_end(Module* module) {
  dl_iterate_phdr(
      [](dl_phdr_info* image, size_t, void* data) {
        auto* module = static_cast<Module*>(data);
        if (image->dlpi_addr != module->start) return 0;
        for (int i = 0; i < image->dlpi_phnum; ++i) {
          const auto& header = image->dlpi_phdr[i];
          if (header.p_type != PT_LOAD) continue;
          module->end = std::max(module->end, image->dlpi_addr + header.p_vaddr + header.p_memsz);
        }
        return 1;
      },
      module);
}
#endif

}  // namespace

void find_extent(const void* inside, Module* module) {
  Dl_info info;
  if (!dladdr(inside, &info)) throw std::runtime_error("the compiled kernel has no address");
  module->start = module->end = reinterpret_cast<uintptr_t>(info.dli_fbase);
  find_end(module);
}

}  // namespace emulator

#include "zebra_kernels/kernel.h"

#include <iterator>

#include "../checks.h"
#include "kernel_table.h"
#ifdef ZEBRA_KERNELS_X86
#include "amx/tiles.h"
#endif

namespace zebra::kernels {
namespace {

struct Set {
  const char* name;
  bool (*has_processor)();
  const KernelTable* (*kernels)();  // null: not in this build
};

// In the order of InstructionSet.
constexpr Set kSets[] = {
    {"portable", [] { return true; }, portable_kernels},
#ifdef ZEBRA_KERNELS_X86
    {"avx2", [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); },
     avx2_kernels},
    {"avx512",
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
     },
     avx512_kernels},
    {"avx512_bf16",
     [] { return is_supported(InstructionSet::kAvx512) && __builtin_cpu_supports("avx512bf16"); },
     avx512_bf16_kernels},
    {"amx_bf16", [] { return is_supported(InstructionSet::kAvx512Bf16) && tiles::allowed(); },
     amx_bf16_kernels},
#else
    {"avx2", nullptr, nullptr},
    {"avx512", nullptr, nullptr},
    {"avx512_bf16", nullptr, nullptr},
    {"amx_bf16", nullptr, nullptr},
#endif
};

const Set& set_of(InstructionSet set) { return kSets[static_cast<int>(set)]; }

}  // namespace

bool is_supported(InstructionSet set) {
  return set_of(set).kernels != nullptr && set_of(set).has_processor();
}

const char* instruction_set_name(InstructionSet set) { return set_of(set).name; }

InstructionSet best_instruction_set() {
  auto set = static_cast<int>(std::size(kSets)) - 1;
  while (!is_supported(static_cast<InstructionSet>(set))) --set;
  return static_cast<InstructionSet>(set);
}

const KernelTable& kernel_table(const char* kernel, std::optional<InstructionSet> wanted,
                                ElementType type) {
  const InstructionSet set = wanted.value_or(best_instruction_set());
  require(is_supported(set), kernel,
          std::string("this processor or build has no ") + instruction_set_name(set) + " kernels.");
  return set_of(set).kernels()[type == ElementType::kFloat32 ? 0 : 1];
}

}  // namespace zebra::kernels

#include "zebra_kernels/kernel.h"

namespace zebra::kernels {

bool is_supported(InstructionSet set) {
  switch (set) {
#ifdef ZEBRA_KERNELS_X86
    case InstructionSet::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case InstructionSet::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case InstructionSet::kAvx512Bf16:
      return is_supported(InstructionSet::kAvx512) && __builtin_cpu_supports("avx512bf16");
#endif
    default:
      return set == InstructionSet::kPortable;
  }
}

const char* instruction_set_name(InstructionSet set) {
  switch (set) {
    case InstructionSet::kAvx2:
      return "avx2";
    case InstructionSet::kAvx512:
      return "avx512";
    case InstructionSet::kAvx512Bf16:
      return "avx512_bf16";
    default:
      return "portable";
  }
}

InstructionSet best_instruction_set() {
  for (const auto set :
       {InstructionSet::kAvx512Bf16, InstructionSet::kAvx512, InstructionSet::kAvx2})
    if (is_supported(set)) return set;
  return InstructionSet::kPortable;
}

}  // namespace zebra::kernels

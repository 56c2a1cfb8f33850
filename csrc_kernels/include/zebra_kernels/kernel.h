#pragma once

#include <cstdint>
#include <functional>

namespace zebra::kernels {

// What all kernels share. Plain C++20: no tensor library, no threading library.

/// A bfloat16 element is the upper half of a float32, as a uint16_t.
enum class ElementType { kFloat32, kBfloat16 };

/// Runs body(task) once for each task in [0, tasks), in any order, on any threads, and returns when
/// all are done. Exceptions of the body must reach the caller.
using ParallelFor =
    std::function<void(std::int64_t tasks, const std::function<void(std::int64_t)>& body)>;

/// The instruction sets that a CPU kernel exists for, slowest first.
enum class InstructionSet { kPortable, kAvx2, kAvx512, kAvx512Bf16, kAmxBf16 };

/// Whether this processor and this build have it, and the system lets this process use it.
/// kPortable always is.
bool is_supported(InstructionSet set);

/// "portable", "avx2", "avx512", "avx512_bf16", "amx_bf16".
const char* instruction_set_name(InstructionSet set);

/// The fastest supported one: what the kernels use unless told otherwise.
InstructionSet best_instruction_set();

}  // namespace zebra::kernels

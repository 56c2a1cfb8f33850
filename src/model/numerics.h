#pragma once

namespace zebra {

/// Sets LibTorch for the whole process: float32 products without TF32, and, where `deterministic`,
/// operations that give the same bits each time.
void set_numerics(bool deterministic);

}  // namespace zebra

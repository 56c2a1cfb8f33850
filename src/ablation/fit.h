#pragma once

#include "ablation/arms.h"

namespace zebra {

/// Throws one InputError for all arms whose training cannot fit in the memory of the device that
/// they would use here, and for `jobs` arms at a time that cannot fit together. Arms on GPUs have
/// one each.
void check_fit(const std::vector<Arm>& arms, int jobs);

}  // namespace zebra

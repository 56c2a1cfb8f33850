#pragma once

#include <string>

#include "emulation/emulated_device.h"

namespace zebra::kernels::emulation {

struct Thread;
enum class Operation;

const char* name(Operation operation);
std::string name(const Place& place);
bool same(const Place& a, const Place& b);

/// What each lane of some warps of a block waits for.
std::string describe(const Thread* threads, int first_warp, int warps);

}  // namespace zebra::kernels::emulation

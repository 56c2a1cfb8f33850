#pragma once

#include <cstdint>

namespace zebra::bench {

/// 32 x 32 x depth products from the nearest cache, one after the other: what the tiles alone could
/// do.
void multiply_repeatedly(int depth, bool accumulates, std::int64_t times);

}  // namespace zebra::bench

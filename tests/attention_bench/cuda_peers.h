#pragma once

#include <vector>

#include "competitor.h"

namespace zebra::bench {

/// LibTorch's FlashAttention-2, with a window and without. Only in builds with CUDA.
std::vector<Peer> cuda_peers();

}  // namespace zebra::bench

#pragma once

#include <cstdint>

namespace zebra {

/// Memory of large tensors on the CPU, in bytes.
struct TensorMemory {
  std::int64_t held = 0;  // from the system
  std::int64_t used = 0;  // of it by tensors; the rest is kept for the next ones
};

/// Tensors on the CPU smaller than this are left to LibTorch's own allocator.
constexpr std::int64_t kSmallestKeptBytes = std::int64_t{1} << 20;

/// From now on the memory of large tensors on the CPU is kept when they are freed, and handed out
/// again for tensors of the same size (rounded up by at most an eighth). malloc would give it back
/// to the system, so that every step of training began with fresh pages, whose faults cost up to a
/// third of its time; or, told to keep it, it would mix large with small in one heap, which grows
/// with the accidents of their order. A step asks for the same sizes each time, and after the first
/// ones for nothing else. A quarter more than was ever in use at once is held at most, or 256 MiB
/// more if that is a larger number.
///
/// Safe to call again, and from any thread, as all functions here are.
void keep_tensor_memory();

/// Gives back what is held and not in use.
void release_tensor_memory();

TensorMemory tensor_memory();

}  // namespace zebra

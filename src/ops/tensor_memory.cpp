#include "ops/tensor_memory.h"

#include <c10/core/CPUAllocator.h>
#include <c10/util/Exception.h>
#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace zebra {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::int64_t kHugePage = std::int64_t{1} << 21;
// An evaluation uses many sizes by turns and little at once: without these it would map and unmap.
constexpr std::int64_t kSpareBytes = std::int64_t{1} << 28;

/// Eight sizes between a power of two and the next.
std::int64_t rounded_up(std::int64_t bytes) {
  const auto power = std::bit_floor(static_cast<std::uint64_t>(bytes));
  const auto unit = static_cast<std::int64_t>(power / 8);
  return (bytes + unit - 1) / unit * unit;
}

/// The allocator of tensors on the CPU. oneDNN's scratch memory comes from it too, through
/// raw_allocate(): therefore the pointer to the data is all that a deleter gets.
class KeptMemoryAllocator : public c10::Allocator {
 public:
  /// Never destroyed: tensors may outlive everything else.
  static KeptMemoryAllocator& instance() {
    static auto* const allocator = new KeptMemoryAllocator;
    return *allocator;
  }

  c10::DataPtr allocate(std::size_t bytes) override {
    const auto wanted = static_cast<std::int64_t>(bytes);
    void* const data = wanted < kSmallestKeptBytes ? small().raw_allocate(bytes) : take(wanted);
    return {data, data, &KeptMemoryAllocator::give_back, c10::Device(c10::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &KeptMemoryAllocator::give_back; }

  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    default_copy_data(to, from, bytes);
  }

  void release() {
    const std::lock_guard lock(mutex_);
    release_until(0);
    most_used_ = memory_.used;
  }

  TensorMemory memory() {
    const std::lock_guard lock(mutex_);
    return memory_;
  }

 private:
  static c10::Allocator& small() { return *c10::GetDefaultCPUAllocator(); }

  static void give_back(void* data) {
    // Blocks are whole pages: most small tensors are told apart without a look at the table.
    const bool may_be_block = reinterpret_cast<std::uintptr_t>(data) % kPage == 0;
    if (!may_be_block || !instance().keep(data)) small().raw_deallocate(data);
  }

  void* take(std::int64_t wanted) {
    const auto bytes = rounded_up(wanted);
    const std::lock_guard lock(mutex_);
    auto& kept = kept_[bytes];
    void* const data = kept.empty() ? map(bytes) : kept.back();
    if (!kept.empty()) kept.pop_back();
    memory_.used += bytes;
    most_used_ = std::max(most_used_, memory_.used);
    return data;
  }

  /// False where the data is not a block.
  bool keep(void* data) {
    const std::lock_guard lock(mutex_);
    const auto block = bytes_of_.find(data);
    if (block == bytes_of_.end()) return false;
    memory_.used -= block->second;
    kept_[block->second].push_back(data);
    return true;
  }

  /// A block of fresh memory.
  void* map(std::int64_t bytes) {
    const auto most = std::max(most_used_, memory_.used + bytes);
    release_until(most + std::max(most / 4, kSpareBytes) - bytes);
    const auto length = static_cast<std::size_t>(bytes);
    const auto fresh_pages = [&] {
      return ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    };
    void* data = fresh_pages();
    if (data == MAP_FAILED) {
      release_until(0);
      data = fresh_pages();
    }
    TORCH_CHECK(data != MAP_FAILED, "out of memory: a tensor needs ", bytes, " bytes beside the ",
                memory_.used, " that tensors hold");
    if (bytes >= kHugePage) ::madvise(data, length, MADV_HUGEPAGE);
    bytes_of_[data] = bytes;
    memory_.held += bytes;
    return data;
  }

  /// Gives kept blocks back to the system until at most `held` bytes are held, the largest first.
  void release_until(std::int64_t held) {
    for (auto size = kept_.rbegin(); size != kept_.rend(); ++size) {
      const auto bytes = size->first;
      auto& blocks = size->second;
      while (!blocks.empty() && memory_.held > held) {
        ::munmap(blocks.back(), static_cast<std::size_t>(bytes));
        bytes_of_.erase(blocks.back());
        blocks.pop_back();
        memory_.held -= bytes;
      }
    }
  }

  std::mutex mutex_;
  std::unordered_map<void*, std::int64_t> bytes_of_;  // of every block
  std::map<std::int64_t, std::vector<void*>> kept_;   // free blocks by size
  TensorMemory memory_;
  std::int64_t most_used_ = 0;
};

}  // namespace

void keep_tensor_memory() {
  static std::once_flag is_set;
  std::call_once(is_set, c10::SetCPUAllocator, &KeptMemoryAllocator::instance(), /*priority=*/1);
}

void release_tensor_memory() { KeptMemoryAllocator::instance().release(); }

TensorMemory tensor_memory() { return KeptMemoryAllocator::instance().memory(); }

}  // namespace zebra

#pragma once

#include <c10/core/CPUAllocator.h>

#include <cstdint>
#include <map>
#include <mutex>
#include <unordered_map>

#include "base/memory_part.h"

namespace zebra::testing {

/// Bytes by part of the training state.
struct PartBytes {
  std::map<MemoryPart, std::int64_t> parts;

  std::int64_t at(MemoryPart part) const {
    const auto found = parts.find(part);
    return found == parts.end() ? 0 : found->second;
  }
  std::int64_t transient() const {
    return at(MemoryPart::gathered_weights) + at(MemoryPart::gradients_in_flight) +
           at(MemoryPart::reduction_copies);
  }
  std::int64_t state() const {
    return transient() + at(MemoryPart::weights) + at(MemoryPart::gradients) +
           at(MemoryPart::masters) + at(MemoryPart::moments);
  }
};

/// LibTorch's allocator for the CPU while this object lives: counts, for each account, what its
/// tensors hold, and what the parts of the training state held when they held the most together.
/// One at a time.
class CountingAllocator : public c10::Allocator {
 public:
  CountingAllocator() : inner_(c10::GetCPUAllocator()) {
    const std::lock_guard lock(ledger().mutex);
    ledger().accounts.clear();
    ledger().free = inner_->raw_deleter();
    c10::SetCPUAllocator(this, kPriority);
  }
  ~CountingAllocator() override { c10::SetCPUAllocator(inner_, kPriority); }

  /// Allocations of this thread go to account `number` while this object lives.
  class Account {
   public:
    explicit Account(int number) { current_ = number; }
    ~Account() { current_ = kNoAccount; }
  };

  PartBytes now(int account) const { return ledger().accounts.at(account).now; }
  PartBytes peak(int account) const { return ledger().accounts.at(account).peak; }

  c10::DataPtr allocate(std::size_t bytes) override {
    void* memory = inner_->raw_allocate(bytes);
    const auto part = MemoryPartScope::current();
    if (current_ != kNoAccount && memory != nullptr) {
      const std::lock_guard lock(ledger().mutex);
      const Block block = {current_, part, static_cast<std::int64_t>(bytes)};
      ledger().blocks[memory] = block;
      ledger().add(block, block.bytes);
    }
    return {memory, memory, &release, c10::Device(c10::kCPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }
  void copy_data(void* to, const void* from, std::size_t bytes) const override {
    inner_->copy_data(to, from, bytes);
  }

 private:
  static constexpr std::uint8_t kPriority = 100;
  static constexpr int kNoAccount = -1;

  struct Block {
    int account;
    MemoryPart part;
    std::int64_t bytes;
  };
  struct Balance {
    PartBytes now, peak;
  };
  // Outlives the allocator: so may the memory that it gave.
  struct Ledger {
    std::mutex mutex;
    std::unordered_map<void*, Block> blocks;
    std::map<int, Balance> accounts;
    c10::DeleterFnPtr free = nullptr;

    void add(const Block& block, std::int64_t bytes) {
      auto& [now, peak] = accounts[block.account];
      now.parts[block.part] += bytes;
      if (now.state() > peak.state()) peak = now;
    }
  };
  static Ledger& ledger() {
    static auto* ledger = new Ledger();
    return *ledger;
  }

  static void release(void* memory) {
    {
      const std::lock_guard lock(ledger().mutex);
      const auto found = ledger().blocks.find(memory);
      if (found != ledger().blocks.end()) {
        ledger().add(found->second, -found->second.bytes);
        ledger().blocks.erase(found);
      }
    }
    ledger().free(memory);
  }

  static inline thread_local int current_ = kNoAccount;
  c10::Allocator* inner_;
};

}  // namespace zebra::testing

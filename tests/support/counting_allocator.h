#pragma once

#include <ATen/record_function.h>
#include <c10/core/CPUAllocator.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace zebra::testing {

inline constexpr std::array<std::string_view, 7> kStateParts = {
    "weights",          "gradients",           "masters",         "moments",
    "gathered_weights", "gradients_in_flight", "reduction_copies"};

/// Bytes by part of the training state (ZEBRA_MEMORY_PART in ops/part_scope.h); "" is what has
/// none.
struct PartBytes {
  std::map<std::string, std::int64_t> parts;

  std::int64_t at(const std::string& part) const {
    const auto found = parts.find(part);
    return found == parts.end() ? 0 : found->second;
  }
  std::int64_t transient() const {
    return at("gathered_weights") + at("gradients_in_flight") + at("reduction_copies");
  }
  std::int64_t state() const {
    std::int64_t sum = 0;
    for (const auto part : kStateParts) sum += at(std::string(part));
    return sum;
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
  ~CountingAllocator() override {
    c10::SetCPUAllocator(inner_, kPriority);
    at::removeCallback(parts_);
  }

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
    if (current_ != kNoAccount && memory != nullptr) {
      const std::lock_guard lock(ledger().mutex);
      const Block block = {current_, part_, static_cast<std::int64_t>(bytes)};
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
    std::string part;
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

  // The part that allocations of a thread are for follows its scopes.
  struct OuterPart : at::ObserverContext {
    std::string name;
  };
  static std::unique_ptr<at::ObserverContext> enter(const at::RecordFunction& scope) {
    auto outer = std::make_unique<OuterPart>();
    outer->name = part_;
    if (std::ranges::find(kStateParts, scope.name()) != kStateParts.end()) part_ = scope.name();
    return outer;
  }
  static void leave(const at::RecordFunction&, at::ObserverContext* outer) {
    part_ = static_cast<OuterPart*>(outer)->name;
  }

  static inline thread_local int current_ = kNoAccount;
  static inline thread_local std::string part_;
  c10::Allocator* inner_;
  at::CallbackHandle parts_ = at::addGlobalCallback(
      at::RecordFunctionCallback(enter, leave).scopes({at::RecordScope::USER_SCOPE}));
};

}  // namespace zebra::testing

#pragma once

#include <memory>
#include <optional>
#include <stdexcept>

#include "csrc_kernels/cpu_run.h"
#include "csrc_kernels/local_attention_run.h"
#include "csrc_kernels/row_references.h"
#include "support/catch.h"

// What the tests of the row kernels on the CPU share.

namespace zebra::kernels::testing {

using Buffer = Array<HostMemory>;

constexpr ElementType kTypes[] = {ElementType::kFloat32, ElementType::kBfloat16};

inline std::string text_of(ElementType type) {
  return type == ElementType::kFloat32 ? " float32" : " bfloat16";
}

/// What a kernel reads: memory that ends with the last element, for AddressSanitizer to guard, and
/// begins at an address that only the element's size divides.
class Input {
 public:
  Input(ElementType type, const Values& values)
      : size_(type == ElementType::kFloat32 ? 4 : 2),
        bytes_(std::make_unique<unsigned char[]>((values.size() + 1) * size_)) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto single = static_cast<float>(values[i]);
      const auto half = to_bfloat16(single);
      std::memcpy(bytes_.get() + (i + 1) * size_,
                  size_ == 4 ? static_cast<const void*>(&single) : &half, size_);
    }
    is_null_ = values.empty();
  }
  const void* data() const { return is_null_ ? nullptr : bytes_.get() + size_; }

 private:
  std::size_t size_;
  std::unique_ptr<unsigned char[]> bytes_;
  bool is_null_;
};

inline void fill(Buffer& buffer, const Values& values) {
  for (std::size_t i = 0; i < values.size(); ++i)
    buffer.set(static_cast<std::int64_t>(i), values[i]);
}

inline Values values_of(const Buffer& buffer, std::size_t count) {
  Values values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = buffer.get(static_cast<std::int64_t>(i));
  return values;
}

/// A check that the kernel refuses its arguments once `change` has changed them.
template <class Kernel, class Arguments>
auto refusal_of(Kernel* kernel, Arguments arguments) {
  return [=](auto change) {
    auto changed = arguments();
    change(changed);
    CHECK_THROWS_AS(kernel(changed, serial, std::nullopt), std::invalid_argument);
  };
}

/// The bits of a kernel's run must not depend on who runs its tasks.
template <class Run, class Inputs>
void check_any_threads(const Run& first, const Inputs& in, InstructionSet set) {
  for (const int count : {1, 2, 3}) {
    Run again(in);
    again.with(threads(count), set);
    CHECK(again.same_bits(first));
  }
}

}  // namespace zebra::kernels::testing

#include "emulation/guarded_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <new>

#include "emulation/sanitizer.h"

namespace zebra::kernels::emulation {
namespace {

std::size_t rounded_up(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

constexpr std::byte kNan{0xff};

}  // namespace

GuardedMemory::GuardedMemory(std::size_t bytes) : bytes_(rounded_up(bytes, page_bytes())) {
  const std::size_t page = page_bytes();
  void* const all = ::mmap(nullptr, bytes_ + 2 * page, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc();
  begin_ = static_cast<std::byte*>(all) + page;
  if (bytes_ > 0 && ::mprotect(begin_, bytes_, PROT_READ | PROT_WRITE) != 0) {
    ::munmap(all, bytes_ + 2 * page);
    throw std::bad_alloc();
  }
}

GuardedMemory::~GuardedMemory() {
  sanitizer::unpoison(begin_, bytes_);
  ::munmap(begin_ - page_bytes(), bytes_ + 2 * page_bytes());
}

SharedMemory::SharedMemory(std::size_t bytes)
    : pages_(rounded_up(bytes, kAlignment)),
      bytes_(bytes),
      begin_(pages_.end() - rounded_up(bytes, kAlignment)) {
  std::fill(pages_.begin(), pages_.end(), kNan);
  sanitizer::poison(pages_.begin(), pages_.bytes());
  sanitizer::unpoison(begin_, bytes_);
}

void SharedMemory::fill_with_nan() { std::fill(begin_, begin_ + bytes_, kNan); }

bool SharedMemory::has_writes_outside() const {
  if constexpr (sanitizer::kAddress) return false;
  const auto is_nan = [](std::byte byte) { return byte == kNan; };
  return !std::all_of(pages_.begin(), begin_, is_nan) ||
         !std::all_of(begin_ + bytes_, pages_.end(), is_nan);
}

}  // namespace zebra::kernels::emulation

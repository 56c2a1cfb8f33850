#include "emulation/copies.h"

#include <algorithm>
#include <cstring>

#include "emulation/sanitizer.h"

namespace zebra::kernels::emulation {
namespace {

// The device may read and write at any moment from the issue to the end of the wait. To see what
// races with that, it is enough to see what races with either end, both in the issuing thread.
void note_accesses(std::byte* shared, const void* global) {
  const sanitizer::Observed kernel;
  sanitizer::note_write(shared, Copies::kBytes);
  if (global != nullptr) sanitizer::note_read(global, Copies::kBytes);
}

}  // namespace

void Copies::issue(std::byte* shared, const void* global, Place place, Schedule::Copies policy) {
  note_accesses(shared, global);
  copies_.push_back({shared, global, groups_, false, place});
  if (policy == Schedule::Copies::kEarly)
    perform(copies_.back());
  else
    std::memset(shared, 0xff, kBytes);
}

void Copies::wait(int pending) {
  const auto is_awaited = [&](const Copy& copy) { return copy.group < groups_ - pending; };
  const auto end = std::find_if_not(copies_.begin(), copies_.end(), is_awaited);
  for (auto copy = copies_.begin(); copy != end; ++copy) {
    note_accesses(copy->shared, copy->global);
    if (!copy->arrived) perform(*copy);
  }
  copies_.erase(copies_.begin(), end);
}

void Copies::perform_any(Random& random) {
  if (copies_.empty()) return;
  Copy& copy = copies_[static_cast<std::size_t>(random.below(static_cast<int>(copies_.size())))];
  if (!copy.arrived) perform(copy);
}

void Copies::perform(Copy& copy) {
  if (copy.global != nullptr)
    std::memcpy(copy.shared, copy.global, kBytes);
  else
    std::memset(copy.shared, 0, kBytes);
  copy.arrived = true;
}

}  // namespace zebra::kernels::emulation

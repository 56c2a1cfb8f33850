#include "checkpoint/checkpoint_writer.h"

#include <chrono>
#include <utility>

#include "base/system.h"

namespace zebra {

using namespace std::chrono_literals;

CheckpointWriter::CheckpointWriter(TextCollectives texts, std::function<void()> after_save)
    : texts_(std::move(texts)), after_save_(std::move(after_save)) {}

void CheckpointWriter::start(const std::filesystem::path& folder, CheckpointContent content) {
  TORCH_INTERNAL_ASSERT(!is_busy());
  pending_ = std::async(std::launch::async, [this, folder, copied = copy_.of(std::move(content))] {
    return write(folder, copied);
  });
}

CheckpointWriter::Outcome CheckpointWriter::write(const std::filesystem::path& folder,
                                                  const CheckpointContent& content) {
  const double began = monotonic_seconds();
  Outcome outcome{content.step, folder, 0.0, nullptr};
  try {
    write_checkpoint(folder, content, texts_, [this] { ++tensors_written_; });
    outcome.seconds = monotonic_seconds() - began;
    after_save_();
  } catch (...) {
    outcome.error = std::current_exception();
  }
  return outcome;
}

std::optional<CheckpointWriter::Outcome> CheckpointWriter::poll() {
  if (!pending_.valid() || pending_.wait_for(0s) != std::future_status::ready) return std::nullopt;
  return pending_.get();
}

std::optional<CheckpointWriter::Outcome> CheckpointWriter::wait(
    const std::function<void()>& sign_of_life) {
  if (!pending_.valid()) return std::nullopt;
  std::int64_t known = -1;
  while (pending_.wait_for(200ms) != std::future_status::ready) {
    const auto written = tensors_written_.load();
    if (std::exchange(known, written) != written) sign_of_life();
  }
  return pending_.get();
}

}  // namespace zebra

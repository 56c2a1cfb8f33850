#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <functional>
#include <future>
#include <optional>

#include "checkpoint/checkpoint.h"
#include "checkpoint/host_copy.h"
#include "distributed/job.h"

namespace zebra {

/// Writes checkpoints in a thread of its own, one at a time, while training goes on. Every rank of
/// a job has one, and all start the same saves.
class CheckpointWriter {
 public:
  /// What became of a save: the same on all ranks.
  struct Outcome {
    std::int64_t step;
    std::filesystem::path folder;
    double seconds;            ///< from the start to the flushed manifest
    std::exception_ptr error;  ///< null where the checkpoint is whole; see write_checkpoint
  };

  /// `after_save` is called in the thread once a checkpoint is whole, and must not throw.
  CheckpointWriter(TextCollectives texts, std::function<void()> after_save);
  /// Waits for a save on its way.
  ~CheckpointWriter() = default;
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  /// Whether a save is on its way or its outcome was not asked for.
  bool is_busy() const { return pending_.valid(); }

  /// Begins a save; returns once the tensors of `content` are copied and may change. Not while
  /// busy.
  void start(const std::filesystem::path& folder, CheckpointContent content);

  /// The outcome of the save that has come to its end; nothing while there is none.
  std::optional<Outcome> poll();

  /// As poll, but waits for a save on its way. Calls `sign_of_life` whenever it got further.
  std::optional<Outcome> wait(const std::function<void()>& sign_of_life);

 private:
  Outcome write(const std::filesystem::path& folder, const CheckpointContent& content);

  TextCollectives texts_;
  std::function<void()> after_save_;
  HostCopy copy_;
  std::atomic<std::int64_t> tensors_written_ = 0;
  std::future<Outcome> pending_;  // last: it is waited for before the rest goes
};

}  // namespace zebra

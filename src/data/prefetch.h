#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include "data/training_data.h"

namespace zebra {

/// Makes the batches of the next steps on a thread of its own. An error there (a corrupt chunk,
/// say) is thrown by next().
class Prefetch {
 public:
  /// From step `first` on; at most `depth` steps are made ahead. `data` must outlive this object.
  Prefetch(TrainingData& data, std::int64_t first, std::size_t depth = 2);
  ~Prefetch();

  /// The batches of the next step, waiting for them if need be.
  StepBatch next();

 private:
  void produce(std::int64_t step);

  TrainingData& data_;
  const std::size_t depth_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<StepBatch> ready_;
  std::exception_ptr error_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace zebra

#pragma once

#include <torch/types.h>

#include <map>
#include <mutex>
#include <string>

#include "measurement/device_meter.h"

namespace zebra {

/// Adds up how long this process is at work on each part of a step (ops/part_scope.h) while it
/// lives. Where parts contain others on the same thread, each second counts for the innermost. On a
/// GPU it waits for the device at both ends of a part: parts no longer overlap, and their sum is
/// more than an undisturbed step takes. One at a time.
class PartTimes {
 public:
  explicit PartTimes(const DeviceMeter& meter);
  ~PartTimes();
  PartTimes(const PartTimes&) = delete;
  PartTimes& operator=(const PartTimes&) = delete;

  /// Seconds so far, by the names that were given to ZEBRA_PART.
  std::map<std::string, double> seconds() const;

 private:
  struct Open;
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& function);
  static void end(const at::RecordFunction& function, at::ObserverContext* context);

  static inline PartTimes* listening_ = nullptr;
  static inline thread_local Open* innermost_ = nullptr;

  const DeviceMeter& meter_;
  at::CallbackHandle handle_;
  mutable std::mutex mutex_;
  std::map<std::string, double> seconds_;
};

}  // namespace zebra

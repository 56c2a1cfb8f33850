#include "measurement/part_times.h"

#include <string_view>

#include "base/system.h"
#include "ops/part_scope.h"

namespace zebra {

// A part that a thread is at work on.
struct PartTimes::Open : at::ObserverContext {
  std::string name;
  double began = 0.0;
  double in_inner_parts = 0.0;
  Open* outer = nullptr;
};

PartTimes::PartTimes(const DeviceMeter& meter) : meter_(meter) {
  TORCH_CHECK(listening_ == nullptr, "one PartTimes at a time");
  listening_ = this;
  handle_ = at::addGlobalCallback(
      at::RecordFunctionCallback(begin, end).scopes({at::RecordScope::USER_SCOPE}));
}

PartTimes::~PartTimes() {
  at::removeCallback(handle_);
  listening_ = nullptr;
}

std::map<std::string, double> PartTimes::seconds() const {
  const std::lock_guard lock(mutex_);
  return seconds_;
}

std::unique_ptr<at::ObserverContext> PartTimes::begin(const at::RecordFunction& function) {
  const std::string_view prefix = kPartPrefix, name = function.name();
  if (!name.starts_with(prefix)) return nullptr;
  listening_->meter_.synchronize();
  auto open = std::make_unique<Open>();
  open->name = name.substr(prefix.size());
  open->outer = std::exchange(innermost_, open.get());
  open->began = monotonic_seconds();
  return open;
}

void PartTimes::end(const at::RecordFunction&, at::ObserverContext* context) {
  if (context == nullptr) return;
  listening_->meter_.synchronize();
  const auto& open = static_cast<const Open&>(*context);
  const double lasted = monotonic_seconds() - open.began;
  innermost_ = open.outer;
  if (open.outer != nullptr) open.outer->in_inner_parts += lasted;
  const std::lock_guard lock(listening_->mutex_);
  listening_->seconds_[open.name] += lasted - open.in_inner_parts;
}

}  // namespace zebra

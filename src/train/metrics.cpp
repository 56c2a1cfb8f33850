#include "train/metrics.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

// The rows that a run at `last_step` has written, byte for byte.
std::string rows_up_to(const std::filesystem::path& path, std::int64_t last_step) {
  std::istringstream lines(read_file(path));
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const auto row = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
    if (!row.is_object() || !row.contains("step") || row["step"].get<std::int64_t>() > last_step)
      break;
    kept += line + "\n";
  }
  return kept;
}

}  // namespace

DeferredValues::DeferredValues(const torch::Tensor& values) {
  if (values.is_cpu()) {
    on_host_ = values.clone();
    return;
  }
  on_host_ = torch::empty(values.sizes(),
                          torch::TensorOptions().dtype(values.scalar_type()).pinned_memory(true));
  on_host_.copy_(values, /*non_blocking=*/true);
  copied_.emplace(values.device().type());
  copied_->record(c10::impl::VirtualGuardImpl(values.device().type()).getStream(values.device()));
}

std::vector<double> DeferredValues::get() const {
  if (copied_) copied_->synchronize();
  const auto* data = on_host_.const_data_ptr<double>();
  return {data, data + on_host_.numel()};
}

MetricsLog::MetricsLog(std::filesystem::path path, std::int64_t last_step)
    : path_(std::move(path)) {
  const std::string kept = std::filesystem::exists(path_) ? rows_up_to(path_, last_step) : "";
  write_file_atomically(path_, kept);
  file_.open(path_, std::ios::app);
  if (!file_) throw RunError(path_.string() + ": cannot open it to append metrics");
}

void MetricsLog::add(const StepMetrics& metrics) {
  Json row = {{"step", metrics.step},
              {"loss", metrics.loss},
              {"grad_norm", metrics.grad_norm},
              {"lr", metrics.lr}};
  if (metrics.skipped) row["skipped"] = true;
  row["tokens"] = metrics.tokens;
  row["tokens_per_second"] = metrics.tokens_per_second;
  row["seconds"] = metrics.seconds;
  if (metrics.checkpoint_seconds_lost > 0.0)
    row["checkpoint_seconds_lost"] = metrics.checkpoint_seconds_lost;
  if (const auto memory = resident_memory_gib()) row["memory_gib"] = *memory;
  write(row);
}

void MetricsLog::add_validation(std::int64_t step, const Perplexity& validation) {
  Json row = {{"step", step},
              {"validation_loss", validation.loss()},
              {"bits_per_byte", validation.bits_per_byte()},
              {"by_position", by_position_json(validation)}};
  if (validation.by_dataset.size() > 1) row["by_dataset"] = by_dataset_json(validation);
  write(row);
}

void MetricsLog::write(const Json& row) {
  file_ << row.dump() << '\n' << std::flush;
  if (!file_) throw RunError(path_.string() + ": cannot write metrics (is the disk full?)");
}

std::optional<double> resident_memory_gib() {
  std::ifstream statm("/proc/self/statm");
  double total_pages = 0, resident_pages = 0;
  if (!(statm >> total_pages >> resident_pages)) return std::nullopt;
  return resident_pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1024.0 * 1024.0 * 1024.0);
}

}  // namespace zebra

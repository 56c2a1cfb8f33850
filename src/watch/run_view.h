#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace zebra {

/// A figure of a step.
struct StepFigure {
  std::int64_t step;
  double value;
};

/// A run folder as somebody sees it who looks at it again and again. Reads, and changes nothing.
class RunView {
 public:
  /// Throws InputError where the folder is no run's.
  explicit RunView(std::filesystem::path folder);

  /// Reads what is new. True where the run has rows beyond those of the last time.
  bool refresh();

  const std::string& name() const { return name_; }
  std::int64_t max_steps() const { return max_steps_; }

  const std::string& state() const { return state_; }  ///< of status.json; empty before its first
  const std::string& reason() const { return reason_; }
  /// Whether the run says that it trains, and no process of this machine, nor of one that shares
  /// its locks, does.
  bool is_abandoned() const { return is_abandoned_; }
  bool is_running() const { return state_ == "running" && !is_abandoned_; }

  std::int64_t step() const { return losses_.empty() ? 0 : losses_.back().step; }
  const std::vector<StepFigure>& losses() const { return losses_; }
  const std::vector<StepFigure>& validation_losses() const { return validation_losses_; }
  std::int64_t skipped_steps() const { return skipped_steps_; }
  /// The figure of the newest training row that has it.
  std::optional<double> newest(const std::string& figure) const;
  /// Mean rate over the newest rows, and how long the rest takes at it; nothing before there are
  /// any.
  std::optional<double> tokens_per_second() const;
  std::optional<double> seconds_left() const;

  /// The newest lines of train.log that are no row of a step, the oldest first.
  std::vector<std::string> messages(std::size_t most) const;

 private:
  void read_status();
  bool read_rows();
  void take_row(const nlohmann::json& row);
  void start_anew();

  std::filesystem::path folder_;
  std::string name_;
  std::int64_t max_steps_ = 0;
  std::string state_, reason_;
  bool is_abandoned_ = false;

  std::uintmax_t bytes_read_ = 0;
  std::uint64_t file_number_ = 0;  // of metrics.jsonl: a start of the run may replace it
  std::vector<StepFigure> losses_, validation_losses_;
  std::vector<std::pair<std::string, double>> newest_;
  std::vector<StepFigure> rates_, tokens_;
  std::int64_t skipped_steps_ = 0;
};

}  // namespace zebra

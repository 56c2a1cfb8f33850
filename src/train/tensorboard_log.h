#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/record_file.h"
#include "train/event_file.h"

namespace zebra {

/// Of a run folder.
inline constexpr const char* kTensorboardFolder = "tensorboard";
/// Whether a file of it with such a name is one of ours.
bool is_event_file(const std::string& name);

/// Figures of a row of metrics.jsonl. A tag is the row's own key; within lists and maps it is
/// KEY/LABEL/…, with "64-128" of {"begin": 64, "end": 128, …}, the "name" or the position as the
/// label. Null, which stands for what is not finite, is NaN.
std::vector<EventFigure> event_figures(const nlohmann::ordered_json& row);

/// The rows of metrics.jsonl and the samples once more, as TensorBoard reads them: the folder
/// `tensorboard` of a run, with one file for each start of the run that added something.
///
/// An event that cannot be written does not end the run (see RecordFile); people are told.
class TensorboardLog {
 public:
  /// Takes from the files of earlier starts what lies beyond `last_step`. Where there is none yet,
  /// `rows`, the lines of metrics.jsonl, are written first: at times that their `seconds` tell.
  /// Throws RunError.
  TensorboardLog(const std::filesystem::path& folder, std::int64_t last_step,
                 std::string_view rows);
  /// Tells what is lost for good.
  ~TensorboardLog();

  void add(const nlohmann::ordered_json& row);
  void add_sample(std::int64_t step, std::string_view text);

  /// Flushes the events to the disk; for any thread. Throws RunError.
  void flush() const { file_.flush(); }

 private:
  void add_earlier(std::string_view rows);
  void add_at(double wall_time, const nlohmann::ordered_json& row);

  std::filesystem::path path_;  // of this start's file
  RecordFile file_;
  bool has_figures_ = false;  // or texts: more than that a process began
};

}  // namespace zebra

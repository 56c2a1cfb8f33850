#include "train/tensorboard_log.h"

#include <unistd.h>

#include <chrono>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/system.h"
#include "train/metrics_row.h"

namespace zebra {
namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Whether events are left in the folder.
bool cut_earlier_files(const std::filesystem::path& folder, std::int64_t last_step) {
  bool any = false;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!is_event_file(entry.path().filename().string())) continue;
    const auto content = read_file(entry.path());
    const auto kept = events_up_to(content, last_step);
    if (kept != content) write_file_atomically(entry.path(), kept);
    any = true;
  }
  return any;
}

// TensorBoard reads the files of a folder in the order of their names.
std::filesystem::path new_file(const std::filesystem::path& folder) {
  const auto seconds = static_cast<std::int64_t>(wall_seconds());
  return folder / (std::string(kPrefix) + std::to_string(seconds) + "." + host_name() + "." +
                   std::to_string(::getpid()) + ".0");
}

std::filesystem::path made(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw RunError(folder.string() + ": cannot be made: " + error.message());
  return folder;
}

std::string label_of(const nlohmann::ordered_json& part, std::size_t position) {
  if (part.contains("begin") && part.contains("end"))
    return part["begin"].dump() + "-" + part["end"].dump();
  if (part.contains("name")) return part["name"].get<std::string>();
  return std::to_string(position);
}

void add_figures(const nlohmann::ordered_json& value, const std::string& tag,
                 std::vector<EventFigure>& figures) {
  if (value.is_object()) {
    for (const auto& [name, part] : value.items()) {
      if (name != "begin" && name != "end" && name != "name")
        add_figures(part, tag + "/" + name, figures);
    }
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i)
      add_figures(value[i], tag + "/" + label_of(value[i], i), figures);
  } else if (value.is_boolean()) {
    figures.push_back({tag, value.get<bool>() ? 1.0 : 0.0});
  } else if (value.is_number()) {
    figures.push_back({tag, value.get<double>()});
  } else if (value.is_null()) {
    figures.push_back({tag, std::numeric_limits<double>::quiet_NaN()});
  }
}

}  // namespace

bool is_event_file(const std::string& name) {
  return name.starts_with(kPrefix) && !name_of_partial(name);
}

std::vector<EventFigure> event_figures(const nlohmann::ordered_json& row) {
  std::vector<EventFigure> figures;
  for (const auto& [name, value] : row.items()) {
    if (name != "step") add_figures(value, name, figures);
  }
  return figures;
}

TensorboardLog::TensorboardLog(const std::filesystem::path& folder, std::int64_t last_step,
                               std::string_view rows)
    : file_(
          [&] {
            // Before the new file is there, which is not empty for want of a version.
            const bool has_events = cut_earlier_files(made(folder), last_step);
            if (has_events) rows = {};
            return new_file(folder);
          }(),
          "event") {
  log_problem(file_.append(version_event(wall_seconds())));
  add_earlier(rows);
  // A TensorBoard that has the events beyond open forgets them.
  log_problem(file_.append(start_event(wall_seconds(), last_step + 1)));
}

TensorboardLog::~TensorboardLog() { log_problem(file_.finish()); }

void TensorboardLog::add_earlier(std::string_view rows) {
  std::vector<nlohmann::ordered_json> earlier;
  while (!rows.empty()) {
    const auto line = rows.substr(0, rows.find('\n'));
    rows.remove_prefix(std::min(rows.size(), line.size() + 1));
    if (!parse_metrics_row(line).is_null()) earlier.push_back(nlohmann::ordered_json::parse(line));
  }
  // Training so far took the `seconds` of its last row; of rows without any, those of the row
  // before.
  double last = 0.0;
  for (const auto& row : earlier) last = std::max(last, row.value("seconds", 0.0));
  const double began = wall_seconds() - last;
  double seconds = 0.0;
  for (const auto& row : earlier) {
    seconds = row.value("seconds", seconds);
    log_problem(file_.append(
        figures_event(began + seconds, row["step"].get<std::int64_t>(), event_figures(row))));
  }
}

void TensorboardLog::add(const nlohmann::ordered_json& row) {
  log_problem(file_.append(
      figures_event(wall_seconds(), row["step"].get<std::int64_t>(), event_figures(row))));
}

void TensorboardLog::add_sample(std::int64_t step, std::string_view text) {
  log_problem(file_.append(text_event(wall_seconds(), step, "sample", text)));
}

}  // namespace zebra

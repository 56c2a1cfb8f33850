#include "train/tensorboard_log.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
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

using Json = nlohmann::ordered_json;

constexpr std::string_view kPrefix = "events.out.tfevents.";

double wall_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::vector<std::filesystem::path> event_files(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (is_event_file(entry.path().filename().string())) files.push_back(entry.path());
  }
  return files;
}

void cut(const std::filesystem::path& file, std::int64_t last_step) {
  const auto content = read_file(file);
  const auto kept = events_up_to(content, last_step);
  if (kept != content) write_file_atomically(file, kept);
}

// TensorBoard reads the files of a folder in the order of their names, and what a process began
// voids all that it read before: the newest must come last, also where the clock of this machine is
// behind that of another, or the earlier start was in the same second.
std::filesystem::path new_file(const std::filesystem::path& folder,
                               const std::vector<std::filesystem::path>& earlier) {
  auto seconds = static_cast<std::int64_t>(wall_seconds());
  for (const auto& file : earlier) {
    const auto name = file.filename().string();
    const auto digits = std::string_view(name).substr(kPrefix.size());
    std::int64_t begun = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), begun);
    seconds = std::max(seconds, begun + 1);
  }
  return folder / (std::string(kPrefix) + std::to_string(seconds) + "." + host_name() + "." +
                   std::to_string(::getpid()) + ".0");
}

std::filesystem::path made(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw RunError(folder.string() + ": cannot be made: " + error.message());
  return folder;
}

// One after the other: the rows of a long run, all at once, would take gigabytes.
template <class Take>
void for_each_row(std::string_view rows, const Take& take) {
  while (!rows.empty()) {
    const auto line = rows.substr(0, rows.find('\n'));
    rows.remove_prefix(std::min(rows.size(), line.size() + 1));
    if (!parse_metrics_row(line).is_null()) take(Json::parse(line));
  }
}

double seconds_of(const Json& row, double otherwise) {
  const auto seconds = row.find("seconds");
  return seconds != row.end() && seconds->is_number() ? seconds->get<double>() : otherwise;
}

std::string label_of(const Json& part, std::size_t position) {
  if (part.contains("begin") && part.contains("end"))
    return part["begin"].dump() + "-" + part["end"].dump();
  if (part.contains("name") && part["name"].is_string()) return part["name"].get<std::string>();
  return std::to_string(position);
}

void add_figures(const Json& value, const std::string& tag, std::vector<EventFigure>& figures) {
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

std::vector<EventFigure> event_figures(const Json& row) {
  std::vector<EventFigure> figures;
  for (const auto& [name, value] : row.items()) {
    if (name != "step") add_figures(value, name, figures);
  }
  return figures;
}

TensorboardLog::TensorboardLog(const std::filesystem::path& folder, std::int64_t last_step,
                               std::string_view rows)
    : path_([&] {
        const auto earlier = event_files(made(folder));
        for (const auto& file : earlier) cut(file, last_step);
        if (!earlier.empty()) rows = {};
        return new_file(folder, earlier);
      }()),
      file_(path_, "event") {
  log_problem(file_.append(version_event(wall_seconds())));
  add_earlier(rows);
  // A TensorBoard that has the events beyond open forgets them.
  log_problem(file_.append(start_event(wall_seconds(), last_step + 1)));
}

TensorboardLog::~TensorboardLog() {
  log_problem(file_.finish());
  std::error_code ignored;
  if (!has_figures_) std::filesystem::remove(path_, ignored);
}

void TensorboardLog::add_earlier(std::string_view rows) {
  // Training so far took the `seconds` of its last row; of rows without any, those of the row
  // before.
  double seconds = 0.0;
  for_each_row(rows, [&](const Json& row) { seconds = seconds_of(row, seconds); });
  const double began = wall_seconds() - seconds;
  seconds = 0.0;
  for_each_row(rows, [&](const Json& row) {
    seconds = seconds_of(row, seconds);
    add_at(began + seconds, row);
  });
}

void TensorboardLog::add(const Json& row) { add_at(wall_seconds(), row); }

void TensorboardLog::add_at(double wall_time, const Json& row) {
  has_figures_ = true;
  log_problem(
      file_.append(figures_event(wall_time, row["step"].get<std::int64_t>(), event_figures(row))));
}

void TensorboardLog::add_sample(std::int64_t step, std::string_view text) {
  has_figures_ = true;
  log_problem(file_.append(text_event(wall_seconds(), step, "sample", text)));
}

}  // namespace zebra

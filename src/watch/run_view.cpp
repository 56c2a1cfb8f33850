#include "watch/run_view.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "config/load.h"
#include "train/metrics_row.h"
#include "train/run_folder.h"

namespace zebra {
namespace {

constexpr std::size_t kRatesMeant = 20;                        // rows over which the rate is a mean
constexpr std::uintmax_t kLogRead = std::uintmax_t{64} << 10;  // bytes at the end of train.log
constexpr std::size_t kDateLength = std::string_view("2026-01-31 12:00:00 ").size();

struct FileFacts {
  std::uint64_t number;
  std::uintmax_t bytes;
};

std::optional<FileFacts> facts_of(const std::filesystem::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return FileFacts{status.st_ino, static_cast<std::uintmax_t>(status.st_size)};
}

// Bytes of the file from `begin` on; empty where it cannot be read now.
std::string tail_of(const std::filesystem::path& path, std::uintmax_t begin) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(begin));
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string_view> whole_lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;) {
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  return lines;
}

}  // namespace

RunView::RunView(std::filesystem::path folder) : folder_(std::move(folder)) {
  const auto config = folder_ / "config.yaml";
  if (!std::filesystem::exists(config)) {
    throw InputError(
        folder_.string() +
        ": is no run folder: it has no config.yaml; name the run.dir of a run that was "
        "started");
  }
  const auto file = load_run_file({config}, {});
  name_ = file.run.name;
  max_steps_ = file.train.max_steps;
}

bool RunView::refresh() {
  read_status();
  return read_rows();
}

void RunView::read_status() {
  // Replaced as a whole, so that it is there or not; a start writes it before its first row.
  std::ifstream file(folder_ / "status.json", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!json_object_fault(text).empty()) return;
  const auto status = nlohmann::json::parse(text);
  state_ = status.value("state", "");
  reason_ = status.value("reason", "");
  is_abandoned_ = state_ == "running" && owner_is_gone(folder_);
}

void RunView::start_anew() {
  bytes_read_ = 0;
  skipped_steps_ = 0;
  for (auto* figures : {&losses_, &validation_losses_, &rates_, &tokens_}) figures->clear();
  newest_.clear();
}

bool RunView::read_rows() {
  const auto path = folder_ / "metrics.jsonl";
  const auto facts = facts_of(path);
  if (!facts) return false;
  if (facts->number != file_number_ || facts->bytes < bytes_read_) start_anew();
  file_number_ = facts->number;
  const auto text = tail_of(path, bytes_read_);
  const auto lines = whole_lines_of(text);
  for (const auto line : lines) {
    bytes_read_ += line.size() + 1;
    if (const auto row = parse_metrics_row(line); !row.is_null()) take_row(row);
  }
  return !lines.empty();
}

void RunView::take_row(const nlohmann::json& row) {
  const auto step = row["step"].get<std::int64_t>();
  const auto figure_to = [&](const char* name, std::vector<StepFigure>& figures) {
    const auto* value = member_of(row, name);
    if (value != nullptr && value->is_number()) figures.push_back({step, value->get<double>()});
  };
  figure_to("loss", losses_);
  figure_to("validation_loss", validation_losses_);
  figure_to("tokens_per_second", rates_);
  figure_to("tokens", tokens_);
  if (row.value("skipped", false)) ++skipped_steps_;
  for (const auto& [name, value] : row.items()) {
    if (!value.is_number() || name == "step") continue;
    const auto known = std::ranges::find(newest_, name, &std::pair<std::string, double>::first);
    if (known == newest_.end()) {
      newest_.emplace_back(name, value.get<double>());
    } else {
      known->second = value.get<double>();
    }
  }
}

std::optional<double> RunView::newest(const std::string& figure) const {
  const auto known = std::ranges::find(newest_, figure, &std::pair<std::string, double>::first);
  if (known == newest_.end()) return std::nullopt;
  return known->second;
}

std::optional<double> RunView::tokens_per_second() const {
  if (rates_.empty()) return std::nullopt;
  const auto count = std::min(rates_.size(), kRatesMeant);
  double seconds_of_a_token = 0.0;
  for (auto rate = rates_.end() - static_cast<std::ptrdiff_t>(count); rate != rates_.end(); ++rate)
    seconds_of_a_token += 1.0 / std::max(rate->value, 1e-9);
  return static_cast<double>(count) / seconds_of_a_token;
}

std::optional<double> RunView::seconds_left() const {
  const auto rate = tokens_per_second();
  if (!rate || tokens_.empty() || tokens_.back().step == 0) return std::nullopt;
  const double tokens_of_a_step = tokens_.back().value / static_cast<double>(tokens_.back().step);
  return static_cast<double>(std::max<std::int64_t>(max_steps_ - step(), 0)) * tokens_of_a_step /
         *rate;
}

std::vector<std::string> RunView::messages(std::size_t most) const {
  const auto path = folder_ / "train.log";
  const auto facts = facts_of(path);
  if (!facts) return {};
  const auto text = tail_of(path, facts->bytes > kLogRead ? facts->bytes - kLogRead : 0);
  std::deque<std::string> newest;
  for (const auto line : whole_lines_of(text)) {
    const auto message = line.substr(std::min(line.size(), kDateLength));
    const bool is_a_step = message.starts_with("step ") && message.find("  loss ") != line.npos;
    if (is_a_step) continue;
    newest.emplace_back(line);
    if (newest.size() > most) newest.pop_front();
  }
  return {newest.begin(), newest.end()};
}

}  // namespace zebra

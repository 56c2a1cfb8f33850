#include "table.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/text.h"

namespace zebra::bench {

Table::Table(std::ostream& stream, std::vector<Column> columns)
    : stream_(stream), columns_(std::move(columns)) {
  std::vector<std::string> headings;
  for (auto& column : columns_) {
    column.width = std::max(column.width, column.heading.size());
    headings.push_back(column.heading);
  }
  row(headings);
  for (const auto& column : columns_) {
    const bool right = column.side == Column::kRight;
    stream_ << (right ? "|-" : "|:") << std::string(column.width, '-') << (right ? ":" : "-");
  }
  stream_ << "|" << std::endl;
}

void Table::row(const std::vector<std::string>& cells) {
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    const auto& column = columns_[i];
    const std::string padding(column.width - std::min(column.width, cells[i].size()), ' ');
    const bool right = column.side == Column::kRight;
    stream_ << "| " << (right ? padding + cells[i] : cells[i] + padding) << ' ';
  }
  stream_ << "|" << std::endl;
}

CsvFile::CsvFile(const std::filesystem::path& path) : path_(path) {
  if (path_.empty()) return;
  file_.open(path_);
  if (!file_) throw InputError("--csv: cannot write " + path_.string());
}

void CsvFile::row(const std::vector<std::string>& cells) {
  if (path_.empty()) return;
  file_ << join(cells, ",") << std::endl;
  if (!file_) throw RunError("cannot write " + path_.string() + ": is the disk full?");
}

std::string three_digits(double value) {
  const double digits_before = value > 0 ? std::floor(std::log10(value)) : 0;
  return fixed(value, static_cast<int>(std::clamp(2 - digits_before, 0.0, 6.0)));
}

std::string with_range(const Summary& summary, double scale) {
  return three_digits(summary.median * scale) + " (" + three_digits(summary.lowest * scale) + "-" +
         three_digits(summary.highest * scale) + ")";
}

}  // namespace zebra::bench

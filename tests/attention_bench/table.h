#pragma once

#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <vector>

#include "timing.h"

namespace zebra::bench {

/// A Markdown table that is readable as it stands, written row by row.
class Table {
 public:
  struct Column {
    std::string heading;
    std::size_t width;  // at least; the heading's own where that is wider
    enum { kLeft, kRight } side = kRight;
  };

  Table(std::ostream& stream, std::vector<Column> columns);
  void row(const std::vector<std::string>& cells);

 private:
  std::ostream& stream_;
  std::vector<Column> columns_;
};

/// A CSV file (RFC 4180, without quoting: no cell needs it), written row by row. Without a path it
/// writes nothing.
class CsvFile {
 public:
  /// Throws InputError where the file cannot be written.
  explicit CsvFile(const std::filesystem::path& path);
  void row(const std::vector<std::string>& cells);

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

/// Decimals enough for three significant digits, as in 4567, 123, 45.6, 7.89.
std::string three_digits(double value);

/// "7.89 (7.12-8.02)": the median, lowest and highest times `scale`.
std::string with_range(const Summary& summary, double scale = 1);

}  // namespace zebra::bench

#include "cli/text_table.h"

#include <algorithm>

namespace zebra {

std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       const std::set<std::string>& right_aligned) {
  const auto& header = rows.front();
  std::vector<std::size_t> widths(header.size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string space(widths[i] - row[i].size(), ' ');
      line += (i > 0 ? "  " : "") +
              (right_aligned.contains(header[i]) ? space + row[i] : row[i] + space);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

}  // namespace zebra

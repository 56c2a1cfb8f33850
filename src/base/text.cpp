#include "base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace zebra {
namespace {

template <class Number>
std::string shortest(Number value) {
  if (!std::isfinite(value)) return "null";
  std::array<char, 64> text;
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), result.ptr};
}

template <class... Values>
std::string formatted(const char* format, Values... values) {
  std::array<char, 400> text;  // the longest double has 309 digits before its point
  const int length = std::snprintf(text.data(), text.size(), format, values...);
  return {text.data(), static_cast<std::size_t>(length)};
}

std::string padded(const std::string& text, std::size_t width, bool to_the_right) {
  const std::string space(width - std::min(width, text.size()), ' ');
  return to_the_right ? space + text : text + space;
}

}  // namespace

std::string round_trip(double value) { return shortest(value); }
std::string round_trip(float value) { return shortest(value); }

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
    end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
  }
  return parts;
}

std::string join(const std::vector<std::string>& parts, const std::string& separator) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += parts[i];
  }
  return text;
}

std::string join_numbers(const std::vector<std::int64_t>& numbers, const std::string& separator) {
  std::vector<std::string> texts;
  for (const auto number : numbers) texts.push_back(std::to_string(number));
  return join(texts, separator);
}

std::string fixed(double value, int decimals) { return formatted("%.*f", decimals, value); }

std::string percent(double share) { return fixed(100.0 * share, 1) + " %"; }

std::string with_commas(std::int64_t value) {
  std::string digits = std::to_string(value);
  const std::size_t first = value < 0 ? 1 : 0;
  for (std::size_t place = digits.size(); place > first + 3;) {
    place -= 3;
    digits.insert(place, ",");
  }
  return digits;
}

std::string with_suffix(double value) {
  static constexpr const char* kSuffixes[] = {"", "K", "M", "B", "T", "P", "E"};
  std::size_t suffix = 0;
  while (std::abs(value) >= 999.5 && suffix + 1 < std::size(kSuffixes)) {
    value /= 1000.0;
    ++suffix;
  }
  const double size = std::abs(value);
  const int decimals = suffix == 0 && value == std::floor(value) ? 0
                       : size >= 99.95                           ? 0
                       : size >= 9.995                           ? 1
                                                                 : 2;
  return fixed(value, decimals) + kSuffixes[suffix];
}

std::string scientific(double value) { return formatted("%.2e", value); }

std::string with_byte_unit(double bytes) {
  static constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t unit = 0;
  while (bytes >= 1024.0 && unit + 1 < std::size(kUnits)) {
    bytes /= 1024.0;
    ++unit;
  }
  return fixed(bytes, unit == 0 ? 0 : 2) + " " + kUnits[unit];
}

std::string duration_text(double seconds) {
  const auto total = static_cast<long long>(std::llround(seconds < 0 ? 0 : seconds));
  if (total < 60) return formatted("%llds", total);
  if (total < 3600) return formatted("%lldm %02llds", total / 60, total % 60);
  if (total < 86400) return formatted("%lldh %02lldm", total / 3600, total / 60 % 60);
  return formatted("%lldd %02lldh", total / 86400, total / 3600 % 24);
}

std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       std::string_view columns) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    std::size_t end = 0;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool to_the_right = columns[std::min(i, columns.size() - 1)] == 'r';
      line += (i > 0 ? "  " : "") + padded(row[i], widths[i], to_the_right);
      if (to_the_right || !row[i].empty())
        end = line.size() - (to_the_right ? 0 : widths[i] - row[i].size());
    }
    text += line.substr(0, end) + "\n";
  }
  return text;
}

std::string figure_line(std::size_t name_width, const std::string& name, const std::string& figure,
                        const std::string& remark) {
  constexpr std::size_t kFigureWidth = 12;
  return "  " + padded(name, name_width, false) + padded(figure, kFigureWidth, true) +
         (remark.empty() ? "" : "  " + remark) + "\n";
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitution = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_distance = 1 + word.size() / 3;
  for (const auto& candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance >= candidate.size()) continue;  // as many slips as letters: another word
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace zebra

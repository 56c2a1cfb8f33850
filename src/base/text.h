#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

/// Shortest decimal text that reads back as the same value; "null" when it is not finite.
std::string round_trip(double value);
std::string round_trip(float value);

/// The parts between the separators, at least one.
std::vector<std::string> split(const std::string& text, char separator);

/// The parts with `separator` between them.
std::string join(const std::vector<std::string>& parts, const std::string& separator);
std::string join_numbers(const std::vector<std::int64_t>& numbers, const std::string& separator);

/// Fixed decimals: `fixed(3.14159, 2)` is "3.14".
std::string fixed(double value, int decimals);

/// A share of 1 in percent, with one decimal: 12.3 %.
std::string percent(double share);

/// With thousands separators: 1,234,567.
std::string with_commas(std::int64_t value);

/// With a metric suffix and three significant digits: 12.3K, 1.25M, 6.74B.
std::string with_suffix(double value);

/// Scientific, three significant digits: 1.82e+18.
std::string scientific(double value);

inline constexpr double kBytesPerGiB = 1024.0 * 1024.0 * 1024.0;

/// Binary units: 1.50 GiB.
std::string with_byte_unit(double bytes);

/// 45s, 12m 05s, 3h 07m, 2d 04h.
std::string duration_text(double seconds);

/// Rows of cells, the first row perhaps a header, as lines of columns with two spaces between them.
/// `columns` has a letter for each column, "l" for left and "r" for right; its last letter stands
/// for all further ones. A row may be shorter than the first, which there must be; cells at its end
/// that are empty and aligned to the left are left out.
std::string text_table(const std::vector<std::vector<std::string>>& rows,
                       std::string_view columns = "l");

/// A line of a table of fixed columns, indented by two spaces: a name in `name_width` letters, a
/// figure in 12 to the right, and a remark two spaces behind where it is not empty.
std::string figure_line(std::size_t name_width, const std::string& name, const std::string& figure,
                        const std::string& remark = "");

/// Smallest number of insertions, deletions, substitutions and swaps of neighbours between two
/// words.
std::size_t edit_distance(const std::string& a, const std::string& b);

/// The candidate nearest to `word`, or an empty string when none is near enough to be a likely
/// slip.
std::string nearest_word(const std::string& word, const std::vector<std::string>& candidates);

}  // namespace zebra

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zebra {

/// Shortest decimal text that reads back as the same value; "null" when it is not finite.
std::string round_trip(double value);
std::string round_trip(float value);

/// The parts between the separators, at least one.
std::vector<std::string> split(const std::string& text, char separator);

/// Fixed decimals: `fixed(3.14159, 2)` is "3.14".
std::string fixed(double value, int decimals);

/// With thousands separators: 1,234,567.
std::string with_commas(std::int64_t value);

/// With a metric suffix and three significant digits: 12.3K, 1.25M, 6.74B.
std::string with_suffix(double value);

/// Scientific, three significant digits: 1.82e+18.
std::string scientific(double value);

/// Binary units: 1.50 GiB.
std::string with_byte_unit(double bytes);

/// 45s, 12m 05s, 3h 07m, 2d 04h.
std::string duration_text(double seconds);

}  // namespace zebra

#pragma once

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/safetensors_header.h"

namespace zebra::testing {

inline std::uint64_t bits_of(std::string_view type) {
  const std::string name(type);
  if (name == "BOOL") return 8;
  return std::stoull(name.substr(name.find_first_of("0123456789")));
}

/// Throws std::logic_error where entries that were accepted do not describe `size` bytes, of which
/// the tensors begin at `begin`.
inline void check_entries(const SafetensorsEntries& entries, std::uint64_t begin,
                          std::uint64_t size) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
  for (const auto& [name, entry] : entries) {
    if (entry.begin > entry.end) throw std::logic_error("a range runs backwards");
    // The bits of all sizes but 0 fit, so no product below can overflow.
    unsigned __int128 bits = bits_of(entry.type);
    bool is_empty = false;
    for (const auto length : entry.shape) {
      if (length < 0) throw std::logic_error("a size is negative");
      if (length == 0) is_empty = true;
      if (length > 0) bits *= static_cast<std::uint64_t>(length);
      if (bits > std::numeric_limits<std::int64_t>::max())
        throw std::logic_error("a shape does not fit");
    }
    if (is_empty) bits = 0;
    if (bits != static_cast<unsigned __int128>(entry.end - entry.begin) * 8)
      throw std::logic_error("a range is not as long as the shape demands");
    ranges.emplace_back(entry.begin, entry.end);
  }
  std::sort(ranges.begin(), ranges.end());
  for (const auto& [from, to] : ranges) {
    if (from != begin) throw std::logic_error("the ranges have a gap or overlap");
    begin = to;
  }
  if (begin != size) throw std::logic_error("the ranges do not end where the file ends");
}

/// The largest number in `text` that fits into 64 bits, 0 where there is none: the end of the last
/// tensor, in a header with nothing odd about it.
inline std::uint64_t largest_number(std::string_view text) {
  std::uint64_t largest = 0;
  for (const char *at = text.data(), *end = at + text.size(); at < end;) {
    std::uint64_t number = 0;
    const auto result = std::from_chars(at, end, number);
    if (result.ec == std::errc()) largest = std::max(largest, number);
    at = result.ptr == at ? at + 1 : result.ptr;
  }
  return largest;
}

inline void try_header(std::string_view header, std::uint64_t data_bytes) {
  try {
    check_entries(safetensors_entries(header, data_bytes, "header"), 0, data_bytes);
  } catch (const InputError&) {
  }
}

/// Reads `input` as a file; as the size of a file's data followed by its header, so that large
/// sizes need no large input; and as a header of a file that ends where the header says, so that a
/// change of one number can bring an odd header past the last check. Anything thrown is a finding.
inline void try_safetensors_header(std::string_view input) {
  try {
    const auto entries = safetensors_entries(std::as_bytes(std::span(input)), "file");
    std::uint64_t length = 0;
    std::memcpy(&length, input.data(), sizeof length);
    check_entries(entries, sizeof length + length, input.size());
  } catch (const InputError&) {
  }
  if (input.size() < 8) return;
  std::uint64_t data_bytes = 0;
  std::memcpy(&data_bytes, input.data(), sizeof data_bytes);
  const auto header = input.substr(8);
  try_header(header, data_bytes);
  try_header(header, largest_number(header));
}

}  // namespace zebra::testing

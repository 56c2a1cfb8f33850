#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"

namespace zebra {

// What the readers of other people's token files share.

/// The value that stands at that byte, wherever it is aligned; it must lie within.
template <class Value>
Value value_at(std::span<const std::byte> bytes, std::uint64_t offset) {
  Value value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

/// Throws the refusal of a file.
[[noreturn]] inline void refuse_file(const std::filesystem::path& file, const std::string& reason) {
  throw InputError(file.string() + ": " + reason);
}

inline std::string bytes_text(std::uint64_t bytes) {
  return with_commas(static_cast<std::int64_t>(bytes)) + " bytes";
}

/// Refuses a file of another size than `expected`; `source` is what says so.
inline void check_file_size(const std::filesystem::path& file, std::uint64_t bytes,
                            std::uint64_t expected, const std::string& source) {
  if (bytes == expected) return;
  refuse_file(file, std::string(bytes < expected ? "is truncated: " : "is too long: ") +
                        bytes_text(bytes) + " where " + source + " says " + bytes_text(expected) +
                        "; copy both again, or name the files that belong together");
}

[[noreturn]] inline void refuse_big_endian(const std::filesystem::path& file) {
  refuse_file(file,
              "is big-endian, token files are read as little-endian; write it again on a machine "
              "of that kind, or with that byte order");
}

/// llm.c's and llm.q's files begin with 256 int32.
inline constexpr std::uint64_t kLlmHeaderBytes = 1024;

inline void check_llm_header(const std::filesystem::path& file, std::uint64_t bytes) {
  if (bytes >= kLlmHeaderBytes) return;
  refuse_file(file, "is truncated: its header has " + bytes_text(kLlmHeaderBytes) +
                        ", the file only " + bytes_text(bytes) + "; copy it again");
}

/// The number of tokens by such a header.
inline std::int64_t llm_token_count(const std::filesystem::path& file, std::int32_t count) {
  if (count > 0) return count;
  refuse_file(file, "has " + std::to_string(count) + " tokens by its header");
}

/// Appends the end of a document, unless the document is empty.
inline void add_document_end(std::vector<std::uint64_t>& ends, std::uint64_t end) {
  if (end > (ends.empty() ? 0 : ends.back())) ends.push_back(end);
}

}  // namespace zebra

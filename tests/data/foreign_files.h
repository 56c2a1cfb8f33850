#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

// Other people's token files, byte by byte after the descriptions of their formats.

namespace zebra::test {

/// The `width` bytes of a number, the lowest first.
inline std::string little_endian(std::uint64_t value, int width) {
  std::string bytes;
  for (int i = 0; i < width; ++i) bytes += static_cast<char>(value >> (8 * i) & 0xFF);
  return bytes;
}

inline std::string swapped(std::string bytes) { return {bytes.rbegin(), bytes.rend()}; }

inline std::string id_bytes(const std::vector<std::uint64_t>& ids, int width) {
  std::string bytes;
  for (const auto id : ids) bytes += little_endian(id, width);
  return bytes;
}

/// Two documents of 3 and 2 tokens, uint16: the same 82 bytes by megatron-core and by datatrove.
inline std::string megatron_index() {
  using std::string_view_literals::operator""sv;
  return std::string(
      "\x4d\x4d\x49\x44\x49\x44\x58\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x08"
      "\x02\x00\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00"
      "\x03\x00\x00\x00\x02\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00"
      "\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"
      "\x02\x00\x00\x00\x00\x00\x00\x00"sv);
}

/// An index of sequences with these lengths, each a document, of type code `code`.
inline std::string megatron_index_of(const std::vector<std::uint64_t>& lengths, int code,
                                     std::uint64_t width) {
  std::string index("MMIDIDX\0\0", 9);
  index += little_endian(1, 8) + little_endian(static_cast<std::uint64_t>(code), 1);
  index += little_endian(lengths.size(), 8) + little_endian(lengths.size() + 1, 8);
  for (const auto length : lengths) index += little_endian(length, 4);
  std::uint64_t at = 0;
  for (const auto length : lengths) {
    index += little_endian(at, 8);
    at += length * width;
  }
  for (std::uint64_t i = 0; i <= lengths.size(); ++i) index += little_endian(i, 8);
  return index;
}

inline std::string llm_c_file(std::uint64_t magic, std::uint64_t version, int width,
                              const std::vector<std::uint64_t>& ids) {
  std::string bytes =
      little_endian(magic, 4) + little_endian(version, 4) + little_endian(ids.size(), 4);
  bytes.resize(1024, '\0');
  return bytes + id_bytes(ids, width);
}

/// `masks` empty: without. Positions make it version 3, else it is 2.
inline std::string llm_q_file(const std::vector<std::uint64_t>& ids, const std::string& masks,
                              const std::vector<std::uint64_t>& positions = {}) {
  std::string bytes = "BIN.TOK\n" + little_endian(positions.empty() ? 2 : 3, 4) +
                      little_endian(4, 4) + little_endian(ids.size(), 4) + little_endian(420, 4) +
                      little_endian(masks.empty() ? 0 : 1, 4);
  bytes.resize(1024, '*');
  return bytes + id_bytes(ids, 4) + id_bytes(positions, 4) + masks;
}

inline std::string numpy_file(const std::string& type, const std::vector<std::uint64_t>& ids,
                              int width) {
  std::string header = "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" +
                       std::to_string(ids.size()) + ",), }";
  header.resize(117, ' ');
  header += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + little_endian(header.size(), 2) + header +
         id_bytes(ids, width);
}

/// A chunk of these items.
inline std::string litdata_chunk(const std::vector<std::vector<std::uint64_t>>& items, int width) {
  std::uint64_t at = 4 * (items.size() + 2);
  std::string bytes = little_endian(items.size(), 4) + little_endian(at, 4), content;
  for (const auto& item : items) {
    at += item.size() * static_cast<std::uint64_t>(width);
    bytes += little_endian(at, 4);
    content += id_bytes(item, width);
  }
  return bytes + content;
}

inline std::string litdata_index(const std::string& format, const std::string& chunks,
                                 const std::string& compression = "null") {
  return R"({"chunks": [)" + chunks + R"(], "config": {"compression": )" + compression +
         R"(, "encryption": null, "data_format": [")" + format +
         R"("], "item_loader": "TokensLoader"}})";
}

}  // namespace zebra::test

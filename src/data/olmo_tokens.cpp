#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"
#include "data/input_stream.h"

// NAME.npy: the tokens alone, in spite of the name, or an array of NumPy: "\x93NUMPY", two bytes of
// version, the length of what follows (uint16, from version 2 on uint32), a dictionary of Python,
// the tokens. NAME.csv.gz: a line "begin,end,…" for each document. Loss masks, a raw byte for each
// token, are named in OLMo's run files; those that its own scripts write have names of their own.

namespace zebra {
namespace {

constexpr std::string_view kNumpyMagic = "\x93NUMPY";
constexpr std::size_t kCsvBlockBytes = std::size_t{1} << 20;

/// How names begin.
struct OlmoNames {
  std::string_view tokens, loss_mask;
};
constexpr std::array kOlmoNames = {OlmoNames{"input_ids", "label_mask"},
                                   OlmoNames{"token_ids", "labels_mask"}};

/// What stands behind 'KEY': in the dictionary, up to `end`.
std::string numpy_field(const std::filesystem::path& file, std::string_view header,
                        const std::string& key, char end) {
  const auto at = header.find("'" + key + "':");
  const auto begin = at == header.npos ? at : header.find_first_not_of(' ', at + key.size() + 3);
  const auto stop = begin == header.npos ? begin : header.find(end, begin);
  if (stop == header.npos) refuse_file(file, "its NumPy header has no " + key);
  return std::string(header.substr(begin, stop - begin));
}

std::int64_t numpy_token_bytes(const std::filesystem::path& file, const std::string& type) {
  if (type.starts_with("'>")) refuse_big_endian(file);
  if (type == "'<u2'") return 2;
  if (type == "'<u4'" || type == "'<i4'") return 4;
  if (type == "'<u8'" || type == "'<i8'") return 8;
  refuse_file(file, "is an array of type " + type +
                        "; tokens are of type '<u2', '<u4', '<i4', '<u8' or '<i8'");
}

/// Sets the type, and returns the bytes in front of the tokens.
std::uint64_t read_numpy_header(const std::filesystem::path& file, std::span<const std::byte> bytes,
                                ForeignTokens& result) {
  constexpr std::uint64_t kLengthAt = 8;
  if (bytes.size() < kLengthAt + 4) refuse_file(file, "is truncated within its NumPy header");
  const bool is_short = std::to_integer<int>(bytes[6]) == 1;
  const std::uint64_t begin = kLengthAt + (is_short ? 2 : 4);
  const std::uint64_t length = is_short ? value_at<std::uint16_t>(bytes, kLengthAt)
                                        : value_at<std::uint32_t>(bytes, kLengthAt);
  if (bytes.size() < begin + length) refuse_file(file, "is truncated within its NumPy header");
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + begin,
                                static_cast<std::size_t>(length));
  result.token_bytes = numpy_token_bytes(file, numpy_field(file, header, "descr", ','));
  const std::string shape = numpy_field(file, header, "shape", ')');  // "(123,"
  std::uint64_t tokens = 0;
  const char* const end = shape.data() + shape.size();
  const auto [stop, error] =
      std::from_chars(shape.data() + (shape.starts_with('(') ? 1 : 0), end, tokens);
  constexpr auto kMostArrayTokens = std::uint64_t{1} << 56;
  if (error != std::errc() || std::string_view(stop, end) != "," || tokens > kMostArrayTokens)
    refuse_file(file, "is an array of shape " + shape + "), not one list of tokens");
  check_file_size(file, bytes.size(),
                  begin + length + tokens * static_cast<std::uint64_t>(result.token_bytes),
                  "its NumPy header");
  return begin + length;
}

/// A line "begin,end,…".
bool read_csv_range(std::string_view line, std::uint64_t& begin, std::uint64_t& end) {
  const char* const stop = line.data() + line.size();
  const auto first = std::from_chars(line.data(), stop, begin);
  if (first.ec != std::errc() || first.ptr == stop || *first.ptr != ',') return false;
  const auto second = std::from_chars(first.ptr + 1, stop, end);
  return second.ec == std::errc() && (second.ptr == stop || *second.ptr == ',');
}

std::vector<std::uint64_t> olmo_document_ends(const std::filesystem::path& path,
                                              std::uint64_t tokens) {
  InputStream stream(path.string());
  std::vector<std::uint64_t> ends;
  std::uint64_t number = 0, last = 0;
  std::string text;
  for (bool more = true; more;) {
    more = stream.append_to(text, kCsvBlockBytes) > 0;
    if (!more && !text.empty() && !text.ends_with('\n')) text += '\n';
    std::size_t from = 0;
    for (auto to = text.find('\n'); to != text.npos; to = text.find('\n', from)) {
      const auto line = std::string_view(text).substr(from, to - from);
      std::uint64_t begin = 0, end = 0;
      ++number;
      if (!read_csv_range(line, begin, end) || begin != last || end < begin || end > tokens) {
        refuse_file(path, "line " + std::to_string(number) +
                              ": is no range of tokens \"begin,end,…\" that goes on from token " +
                              std::to_string(last) + " within " + std::to_string(tokens) +
                              "; name the files that belong together");
      }
      add_document_end(ends, end);
      last = end;
      from = to + 1;
    }
    text.erase(0, from);
  }
  if (last != tokens) {
    refuse_file(path, "its documents end at token " + std::to_string(last) + " of " +
                          std::to_string(tokens) + "; name the files that belong together");
  }
  return ends;
}

/// What lies beside the tokens under the name that goes with theirs.
std::optional<ForeignLossMask> olmo_loss_mask(const std::filesystem::path& file,
                                              std::uint64_t tokens) {
  const std::string name = file.filename().string();
  for (const OlmoNames& names : kOlmoNames) {
    if (!name.starts_with(names.tokens)) continue;
    auto mask = file;
    mask.replace_filename(std::string(names.loss_mask) + name.substr(names.tokens.size()));
    if (!std::filesystem::exists(mask)) continue;
    check_file_size(mask, MappedFile(mask).size(), tokens, "the number of tokens of " + name);
    return ForeignLossMask{mask, 0, /*is_bits=*/false, /*is_ahead=*/false};
  }
  return std::nullopt;
}

}  // namespace

bool is_olmo_loss_mask(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  return name.ends_with(".npy") && std::ranges::any_of(kOlmoNames, [&](const OlmoNames& names) {
           return name.starts_with(names.loss_mask);
         });
}

ForeignTokens read_olmo(const std::filesystem::path& file, std::int64_t token_bytes) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  ForeignTokens result;
  result.file = file;
  result.token_bytes = token_bytes;
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()),
                               std::min(bytes.size(), kNumpyMagic.size()));
  const bool has_header = start == kNumpyMagic;
  result.format = has_header ? "NumPy" : "OLMo";
  result.part = {has_header ? read_numpy_header(file, bytes, result) : 0, bytes.size()};
  const std::uint64_t size = bytes.size() - result.part.first_byte;
  const auto width = static_cast<std::uint64_t>(result.token_bytes);
  if (size == 0 || size % width != 0) {
    refuse_file(file, "is truncated: " + bytes_text(size) + " are no whole tokens of " +
                          bytes_text(width) + "; copy it again, or set --token-bytes");
  }
  result.tokens = static_cast<std::int64_t>(size / width);
  auto ranges = file;
  ranges.replace_extension(".csv.gz");
  if (std::filesystem::exists(ranges))
    result.document_ends = olmo_document_ends(ranges, size / width);
  result.loss_mask = olmo_loss_mask(file, size / width);
  return result;
}

}  // namespace zebra

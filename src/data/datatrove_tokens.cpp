#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"
#include "data/token_bytes.h"

// NAME.ds: the tokens. NAME.ds.index: uint64, where each document ends. NAME.ds.loss: a byte for
// each token. NAME.ds.metadata: lines "tokenizer|bytes of a token", number of tokens, the same for
// people. Merged sets are 000_NAME.ds and so on, with one NAME.ds.metadata for all of them.

namespace zebra {
namespace {

namespace fs = std::filesystem;

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? std::optional(value) : std::nullopt;
}

struct DatatroveMetadata {
  std::optional<std::int64_t> token_bytes, tokens;
};

fs::path with_ending(const fs::path& file, const std::string& ending) {
  return file.string() + ending;
}

/// Of the set that a merged file belongs to: 000_NAME.ds to NAME.ds.
std::optional<fs::path> merged_set(const fs::path& file) {
  const std::string name = file.filename().string();
  const auto digits = name.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string::npos || name[digits] != '_') return std::nullopt;
  return file.parent_path() / name.substr(digits + 1);
}

DatatroveMetadata datatrove_metadata(const fs::path& file) {
  DatatroveMetadata result;
  fs::path path = with_ending(file, ".metadata");
  const bool is_its_own = fs::exists(path);
  if (!is_its_own) {
    const auto set = merged_set(file);
    if (!set || !fs::exists(with_ending(*set, ".metadata"))) return result;
    path = with_ending(*set, ".metadata");
  }
  const auto lines = split(read_file(path), '\n');
  // Who names the tokenizer alone does not say the bytes.
  if (const auto bar = lines.front().rfind('|'); bar != std::string::npos)
    result.token_bytes = whole_number(lines.front().substr(bar + 1));
  if (is_its_own && lines.size() > 1) result.tokens = whole_number(lines[1]);
  return result;
}

std::vector<std::uint64_t> datatrove_document_ends(const fs::path& path, const fs::path& file,
                                                   std::uint64_t tokens) {
  const MappedFile index(path);
  if (index.size() == 0 || index.size() % 8 != 0) {
    refuse_file(path, "is truncated: it has " + bytes_text(index.size()) +
                          ", 8 for each document; copy it again");
  }
  std::vector<std::uint64_t> ends;
  std::uint64_t last = 0;
  for (std::uint64_t at = 0; at < index.size(); at += 8) {
    const auto end = value_at<std::uint64_t>(index.bytes(), at);
    if (end < last || end > tokens) {
      const auto swapped = other_byte_order(end, 8);
      if (swapped >= last && swapped <= tokens) refuse_big_endian(path);
      refuse_file(path, "document " + std::to_string(at / 8) + " ends at token " +
                            std::to_string(end) + ", beyond the " + std::to_string(tokens) +
                            " of " + file.string() +
                            " or before the one in front; name the files that belong together");
    }
    add_document_end(ends, end);
    last = end;
  }
  if (last != tokens) {
    refuse_file(file, "has " + std::to_string(tokens) + " tokens where " + path.string() +
                          " says " + std::to_string(last) +
                          "; copy both again, or name the files that belong together");
  }
  return ends;
}

}  // namespace

ForeignTokens read_datatrove(const fs::path& file, std::int64_t token_bytes) {
  const MappedFile tokens(file);
  const auto metadata = datatrove_metadata(file);
  ForeignTokens result;
  result.format = "datatrove";
  result.file = file;
  result.token_bytes = metadata.token_bytes.value_or(token_bytes);
  if (result.token_bytes != 2 && result.token_bytes != 4) {
    refuse_file(with_ending(file, ".metadata"),
                "says " + std::to_string(result.token_bytes) + " bytes a token; 2 or 4 are known");
  }
  const auto width = static_cast<std::uint64_t>(result.token_bytes);
  if (tokens.size() == 0 || tokens.size() % width != 0) {
    refuse_file(file, "is truncated: " + bytes_text(tokens.size()) + " are no whole tokens of " +
                          bytes_text(width) + "; copy it again, or set --token-bytes");
  }
  result.tokens = static_cast<std::int64_t>(tokens.size() / width);
  result.part = {0, tokens.size()};
  if (metadata.tokens && *metadata.tokens != result.tokens) {
    check_file_size(file, tokens.size(), static_cast<std::uint64_t>(*metadata.tokens) * width,
                    with_ending(file, ".metadata").string());
  }
  if (const auto index = with_ending(file, ".index"); fs::exists(index)) {
    result.document_ends =
        datatrove_document_ends(index, file, static_cast<std::uint64_t>(result.tokens));
  }
  if (const auto loss = with_ending(file, ".loss"); fs::exists(loss)) {
    check_file_size(loss, MappedFile(loss).size(), static_cast<std::uint64_t>(result.tokens),
                    "the number of tokens of " + file.string());
    result.loss_mask = ForeignLossMask{loss, 0, /*is_bits=*/false, /*is_ahead=*/false};
  }
  return result;
}

}  // namespace zebra

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"

// index.json names the chunks in order and the type of their tokens. A chunk: uint32 N, N + 1
// uint32 of where in the file each item begins and the last ends, the items: their tokens alone.

namespace zebra {
namespace {

/// "no_header_tensor:CODE" (of a torch tensor) or "no_header_numpy:CODE", both in the numbers of
/// litdata's own lists of types.
std::int64_t litdata_token_bytes(const std::filesystem::path& index, const std::string& format) {
  if (format == "no_header_tensor:15" || format == "no_header_tensor:16") return 4;  // int32
  if (format == "no_header_tensor:17" || format == "no_header_tensor:18") return 8;  // int64
  if (format == "no_header_numpy:5") return 2;                                       // uint16
  if (format == "no_header_numpy:2" || format == "no_header_numpy:6") return 4;      // (u)int32
  if (format == "no_header_numpy:3" || format == "no_header_numpy:7") return 8;      // (u)int64
  refuse_file(index,
              "has items of the format " + quoted_text(format) +
                  "; tokens are no_header_tensor:16 (int32), :18 (int64) or "
                  "no_header_numpy:2, :3, :5, :6, :7 (int32, int64, uint16, uint32, uint64)");
}

/// The text of a member, or nothing.
std::optional<std::string> text_member(const nlohmann::json& object, const char* key) {
  const auto* value = member_of(object, key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

std::int64_t litdata_item_bytes(const std::filesystem::path& index, const nlohmann::json& config) {
  for (const char* key : {"compression", "encryption"}) {
    const auto* value = member_of(config, key);
    if (value != nullptr && !value->is_null())
      refuse_file(index, std::string("has ") + key + " " + shown(*value) +
                             "; write the chunks without: they are read where they are");
  }
  if (const auto loader = text_member(config, "item_loader"); loader && *loader != "TokensLoader") {
    refuse_file(index, "was written for the item loader " + quoted_text(*loader) +
                           "; tokens are written with item_loader=TokensLoader()");
  }
  const auto* format = member_of(config, "data_format");
  if (format == nullptr || !format->is_array() || format->size() != 1 ||
      !format->front().is_string()) {
    refuse_file(index, "its config has no data_format of one item; tokens have one");
  }
  return litdata_token_bytes(index, format->front().get<std::string>());
}

ForeignTokens read_litdata_chunk(const std::filesystem::path& path, std::int64_t token_bytes) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  const std::uint64_t items = bytes.size() < 8 ? 0 : value_at<std::uint32_t>(bytes, 0);
  const std::uint64_t header = 4 * (items + 2);
  if (items == 0 || bytes.size() < header)
    refuse_file(path, "is truncated within the list of its items; copy it again");
  const auto place = [&](std::uint64_t item) {
    return std::uint64_t{value_at<std::uint32_t>(bytes, 4 + 4 * item)};
  };
  check_file_size(path, bytes.size(), place(items), "the list of its items");
  ForeignTokens result;
  result.format = "litdata";
  result.file = path;
  result.part = {header, bytes.size()};
  result.token_bytes = token_bytes;
  const auto width = static_cast<std::uint64_t>(token_bytes);
  std::vector<std::uint64_t> ends;
  for (std::uint64_t item = 0; item <= items; ++item) {
    const auto before = item == 0 ? header : place(item - 1);
    const bool fits = item == 0 ? place(0) == header
                                : place(item) >= before && (place(item) - header) % width == 0;
    if (!fits) {
      refuse_file(path, "item " + std::to_string(item) + " begins at byte " +
                            std::to_string(place(item)) + ", which does not follow byte " +
                            std::to_string(before) + " by whole tokens of " + bytes_text(width));
    }
    add_document_end(ends, (place(item) - header) / width);
  }
  if (ends.empty()) refuse_file(path, "holds no tokens");
  result.tokens = static_cast<std::int64_t>(ends.back());
  result.document_ends = std::move(ends);
  return result;
}

/// The chunk, compared with what the index says of it.
ForeignTokens read_litdata_chunk_of(const std::filesystem::path& index, const nlohmann::json& chunk,
                                    std::int64_t token_bytes) {
  const auto name = text_member(chunk, "filename");
  if (!name) refuse_file(index, "has a chunk without a filename");
  auto result = read_litdata_chunk(index.parent_path() / *name, token_bytes);
  const auto* dim = member_of(chunk, "dim");
  const auto tokens = dim == nullptr ? std::nullopt : count_of<std::int64_t>(*dim);
  if (tokens && *tokens != result.tokens) {
    refuse_file(result.file, "has " + std::to_string(result.tokens) + " tokens where " +
                                 index.string() + " says " + std::to_string(*tokens) +
                                 "; copy both again, or name the files that belong together");
  }
  return result;
}

}  // namespace

std::vector<ForeignTokens> read_litdata(const std::filesystem::path& index) {
  const std::string text = read_file(index);
  if (const auto fault = json_object_fault(text); !fault.empty())
    refuse_file(index, "is no index of litdata: " + fault);
  const auto json = nlohmann::json::parse(text);
  const auto *config = member_of(json, "config"), *chunks = member_of(json, "chunks");
  if (config == nullptr || chunks == nullptr || !chunks->is_array() || chunks->empty())
    refuse_file(index, "is no index of litdata: it has no config or no chunks");
  const auto token_bytes = litdata_item_bytes(index, *config);
  std::vector<ForeignTokens> result;
  Problems problems;
  for (const auto& chunk : *chunks) {
    try {
      result.push_back(read_litdata_chunk_of(index, chunk, token_bytes));
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  return result;
}

}  // namespace zebra

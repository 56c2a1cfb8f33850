#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"
#include "data/token_bytes.h"

// The text "BIN.TOK\n", then int32: version, bytes of a token, number of tokens, size of the
// vocabulary, whether there are masks. From byte 1,024 on the tokens; from version 3 on,
// Surogate's, an int32 for each: its position; then the masks, a bit for each.

namespace zebra {
namespace {

constexpr std::uint64_t kPositionBytes = 4;

struct LlmQHeader {
  std::int32_t version = 0, token_bytes = 0, tokens = 0;
  bool has_masks = false;

  bool has_positions() const { return version > 2; }
};

LlmQHeader llm_q_header(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  check_llm_header(file, bytes.size());
  LlmQHeader header;
  header.version = value_at<std::int32_t>(bytes, 8);
  header.token_bytes = value_at<std::int32_t>(bytes, 12);
  header.tokens = value_at<std::int32_t>(bytes, 16);
  header.has_masks = header.version > 1 && value_at<std::int32_t>(bytes, 24) != 0;
  if (other_byte_order(static_cast<std::uint32_t>(header.token_bytes), 4) == 4)
    refuse_big_endian(file);
  if (header.version < 1 || header.version > 3 || header.token_bytes != 4) {
    refuse_file(file, "has version " + std::to_string(header.version) + " with " +
                          std::to_string(header.token_bytes) +
                          " bytes a token; versions 1 to 3 with 4 are known");
  }
  return header;
}

/// Documents begin where positions do not count on. Padding that has position 0 throughout is one.
std::vector<std::uint64_t> llm_q_document_ends(std::span<const std::byte> bytes,
                                               std::uint64_t positions_at, std::uint64_t tokens) {
  std::vector<std::uint64_t> ends;
  std::int64_t before = 0;
  for (std::uint64_t i = 0; i < tokens; ++i) {
    const auto position = value_at<std::int32_t>(bytes, positions_at + kPositionBytes * i);
    const bool goes_on = position == before + 1 || (position == 0 && before == 0);
    if (!goes_on) add_document_end(ends, i);
    before = position;
  }
  add_document_end(ends, tokens);
  return ends;
}

}  // namespace

ForeignTokens read_llm_q(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  const auto header = llm_q_header(file, bytes);
  ForeignTokens result;
  result.format = "llm.q";
  result.file = file;
  result.token_bytes = header.token_bytes;
  result.tokens = llm_token_count(file, header.tokens);
  const auto tokens = static_cast<std::uint64_t>(result.tokens);
  const auto positions_at = kLlmHeaderBytes + result.bytes();
  const auto masks_at = positions_at + (header.has_positions() ? kPositionBytes * tokens : 0);
  const auto mask_bytes = header.has_masks ? (tokens + 7) / 8 : 0;
  check_file_size(file, bytes.size(), masks_at + mask_bytes, "its header");
  result.part = {kLlmHeaderBytes, bytes.size()};
  if (header.has_positions())
    result.document_ends = llm_q_document_ends(bytes, positions_at, tokens);
  if (header.has_masks) {
    // llm.q marks the tokens that count, Surogate those whose successors count.
    result.loss_mask =
        ForeignLossMask{file, masks_at, /*is_bits=*/true, /*is_ahead=*/header.has_positions()};
  }
  return result;
}

}  // namespace zebra

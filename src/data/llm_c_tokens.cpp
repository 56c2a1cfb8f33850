#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/file.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"
#include "data/token_bytes.h"

// A header of 256 int32, then the tokens. llm.c: magic, version, number of tokens. llm.q: the text
// "BIN.TOK\n", version, bytes of a token, number of tokens, size of the vocabulary, whether there
// are masks; these follow the tokens, one bit each.

namespace zebra {
namespace {

constexpr std::uint64_t kLlmHeaderBytes = 1024;

struct LlmCKind {
  std::uint32_t magic;
  std::int32_t version;
  std::int64_t token_bytes;
  bool separator_is_bos;  // GPT-2's end of text is its EOS, Llama 3's begin of text its BOS
};

constexpr std::array kLlmCKinds = {LlmCKind{20240520, 1, 2, false}, LlmCKind{20240801, 7, 4, true}};

void check_llm_header(const std::filesystem::path& file, std::uint64_t bytes) {
  if (bytes >= kLlmHeaderBytes) return;
  refuse_file(file, "is truncated: its header has " + bytes_text(kLlmHeaderBytes) +
                        ", the file only " + bytes_text(bytes) + "; copy it again");
}

std::int64_t llm_token_count(const std::filesystem::path& file, std::int32_t count) {
  if (count > 0) return count;
  refuse_file(file, "has " + std::to_string(count) + " tokens by its header");
}

}  // namespace

ForeignTokens read_llm_c(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  check_llm_header(file, bytes.size());
  const auto magic = value_at<std::uint32_t>(bytes, 0);
  const auto version = value_at<std::int32_t>(bytes, 4);
  for (const LlmCKind& kind : kLlmCKinds) {
    if (other_byte_order(magic, 4) == kind.magic) refuse_big_endian(file);
    if (magic != kind.magic) continue;
    if (version != kind.version) {
      refuse_file(file, "has version " + std::to_string(version) + ", version " +
                            std::to_string(kind.version) + " is known of this magic number");
    }
    ForeignTokens result;
    result.format = "llm.c";
    result.file = file;
    result.token_bytes = kind.token_bytes;
    result.tokens = llm_token_count(file, value_at<std::int32_t>(bytes, 8));
    check_file_size(file, bytes.size(), kLlmHeaderBytes + result.bytes(), "its header");
    result.part = {kLlmHeaderBytes, bytes.size()};
    result.separator_place = SeparatorPlace::start;
    result.separator_is_bos = kind.separator_is_bos;
    return result;
  }
  refuse_file(file, "is no token file of llm.c: it begins with " + std::to_string(magic) +
                        ", not with 20240520 or 20240801");
}

ForeignTokens read_llm_q(const std::filesystem::path& file) {
  const MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  check_llm_header(file, bytes.size());
  const auto version = value_at<std::int32_t>(bytes, 8);
  const auto token_bytes = value_at<std::int32_t>(bytes, 12);
  if (other_byte_order(static_cast<std::uint32_t>(token_bytes), 4) == 4) refuse_big_endian(file);
  if (version < 1 || version > 3 || token_bytes != 4) {
    refuse_file(file, "has version " + std::to_string(version) + " with " +
                          std::to_string(token_bytes) +
                          " bytes a token; versions 1 to 3 with 4 are known");
  }
  const bool has_masks = version > 1 && value_at<std::int32_t>(bytes, 24) != 0;
  // Version 3 also has positions; where its masks begin is not known.
  if (version == 3 && has_masks)
    refuse_file(file, "has version 3 and masks; write it in version 2, or without masks");
  ForeignTokens result;
  result.format = "llm.q";
  result.file = file;
  result.token_bytes = token_bytes;
  result.tokens = llm_token_count(file, value_at<std::int32_t>(bytes, 16));
  const auto tokens_end = kLlmHeaderBytes + result.bytes();
  const auto mask_bytes = has_masks ? (static_cast<std::uint64_t>(result.tokens) + 7) / 8 : 0;
  if (version < 3 || bytes.size() < tokens_end)
    check_file_size(file, bytes.size(), tokens_end + mask_bytes, "its header");
  result.part = {kLlmHeaderBytes, bytes.size()};
  if (has_masks) result.loss_mask = ForeignLossMask{file, tokens_end, /*is_bits=*/true};
  return result;
}

}  // namespace zebra

#include <array>
#include <cstdint>
#include <string>

#include "base/file.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"
#include "data/token_bytes.h"

// A header of 256 int32: magic number, version, number of tokens. Then the tokens.

namespace zebra {
namespace {

struct LlmCKind {
  std::uint32_t magic;
  std::int32_t version;
  std::int64_t token_bytes;
  bool separator_is_bos;  // GPT-2's end of text is its EOS, Llama 3's begin of text its BOS
};

constexpr std::array kLlmCKinds = {LlmCKind{20240520, 1, 2, false}, LlmCKind{20240801, 7, 4, true}};

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

}  // namespace zebra

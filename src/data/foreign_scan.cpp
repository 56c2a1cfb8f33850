#include "data/foreign_scan.h"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/text.h"
#include "data/foreign_bytes.h"
#include "data/token_bytes.h"

namespace zebra {
namespace {

constexpr std::uint64_t kScanBytes = std::uint64_t{4} << 20;  // a multiple of every token's bytes

/// One pass over the tokens of a file, block by block.
class TokenScan {
 public:
  TokenScan(const ForeignTokens& tokens, const DocumentSeparator& separator,
            const Tokenizer& tokenizer, std::uint64_t chunk_bytes)
      : tokens_(tokens), separator_(separator), tokenizer_(tokenizer), chunk_bytes_(chunk_bytes) {
    result_.document_begins.push_back(0);
  }

  void read(std::span<const std::byte> block, std::uint64_t first_token) {
    hash(block);
    check_ids(block, first_token);
    with_token_type(tokens_.token_bytes, [&]<class Token>(Token) {
      for (std::size_t i = 0; i < block.size() / sizeof(Token); ++i)
        read_token(static_cast<std::int32_t>(token_at<Token>(block.data(), i)), first_token + i);
    });
  }

  ScannedTokens finish() {
    if (bytes_in_chunk_ > 0) end_chunk();
    result_.piece = {std::filesystem::absolute(tokens_.file).lexically_normal(),
                     tokens_.part,
                     tokens_.token_bytes,
                     tokens_.tokens,
                     {tokens_.bytes(), std::move(hashes_)}};
    if (tokens_.document_ends) {
      result_.document_begins.assign(1, 0);
      const auto& ends = *tokens_.document_ends;
      result_.document_begins.insert(result_.document_begins.end(), ends.begin(), ends.end() - 1);
    } else if (!has_separator_) {
      refuse_file(tokens_.file,
                  "does not hold the id " + std::to_string(separator_.id) +
                      " that would separate its documents; name the one that does with "
                      "--document-separator ID --at start|end");
    }
    return std::move(result_);
  }

 private:
  void hash(std::span<const std::byte> block) {
    while (!block.empty()) {
      const auto part = block.first(static_cast<std::size_t>(
          std::min<std::uint64_t>(block.size(), chunk_bytes_ - bytes_in_chunk_)));
      hasher_.update(part.data(), part.size());
      bytes_in_chunk_ += part.size();
      if (bytes_in_chunk_ == chunk_bytes_) end_chunk();
      block = block.subspan(part.size());
    }
  }

  void end_chunk() {
    hashes_.push_back(std::exchange(hasher_, Hasher()).digest());
    bytes_in_chunk_ = 0;
  }

  void check_ids(std::span<const std::byte> block, std::uint64_t first_token) {
    const auto largest = largest_id(block, tokens_.token_bytes);
    result_.largest_id = std::max(result_.largest_id, largest.id);
    const auto vocabulary = static_cast<std::uint64_t>(tokenizer_.vocab_size());
    if (largest.id < vocabulary) return;
    const auto swapped = other_byte_order(largest.id, tokens_.token_bytes);
    refuse_file(
        tokens_.file,
        "token " + with_commas(static_cast<std::int64_t>(first_token + largest.index)) +
            " has the id " + id_text(largest.id, tokens_.token_bytes) +
            ", beyond the vocabulary of " + std::to_string(vocabulary) + " ids" +
            (swapped < vocabulary ? " (in the other byte order " + std::to_string(swapped) + ")"
                                  : "") +
            "; name the tokenizer that the file was made with, and check its byte order and the "
            "bytes of a token, here " +
            std::to_string(tokens_.token_bytes));
  }

  void read_token(std::int32_t id, std::uint64_t position) {
    result_.text_bytes += tokenizer_.text_bytes(id);
    if (id != separator_.id || tokens_.document_ends) return;
    has_separator_ = true;
    const auto begin = separator_.place == SeparatorPlace::start ? position : position + 1;
    if (begin > 0 && begin < static_cast<std::uint64_t>(tokens_.tokens))
      result_.document_begins.push_back(begin);
  }

  const ForeignTokens& tokens_;
  const DocumentSeparator separator_;
  const Tokenizer& tokenizer_;
  const std::uint64_t chunk_bytes_;
  Hasher hasher_;
  std::uint64_t bytes_in_chunk_ = 0;
  std::vector<std::string> hashes_;
  bool has_separator_ = false;
  ScannedTokens result_;
};

}  // namespace

ScannedTokens scan_foreign_tokens(const ForeignTokens& tokens, const DocumentSeparator& separator,
                                  const Tokenizer& tokenizer, std::uint64_t chunk_bytes,
                                  const std::function<void(std::uint64_t)>& progress) {
  const MappedFile file(tokens.file);
  if (file.size() != tokens.part.file_bytes)
    refuse_file(tokens.file, "has changed while it was read; wait until it is whole");
  const auto bytes = file.bytes().subspan(static_cast<std::size_t>(tokens.part.first_byte),
                                          static_cast<std::size_t>(tokens.bytes()));
  TokenScan scan(tokens, separator, tokenizer, chunk_bytes);
  const auto width = static_cast<std::uint64_t>(tokens.token_bytes);
  for (std::uint64_t begin = 0; begin < bytes.size(); begin += kScanBytes) {
    const auto count = std::min<std::uint64_t>(kScanBytes, bytes.size() - begin);
    scan.read(bytes.subspan(begin, count), begin / width);
    progress(count);
  }
  return scan.finish();
}

void read_foreign_loss_mask(const ForeignLossMask& mask, std::int64_t tokens,
                            const std::function<void(std::span<const std::uint8_t>)>& take) {
  const MappedFile file(mask.file);
  const auto total = static_cast<std::uint64_t>(tokens);
  if (file.size() < mask.first_byte + (mask.is_bits ? (total + 7) / 8 : total))
    refuse_file(mask.file, "has changed while it was read; wait until it is whole");
  const auto bytes = file.bytes().subspan(static_cast<std::size_t>(mask.first_byte));
  const auto flag = [&](std::uint64_t token) {
    const auto value = std::to_integer<unsigned>(bytes[mask.is_bits ? token / 8 : token]);
    return static_cast<std::uint8_t>(mask.is_bits ? value >> (token % 8) & 1U : value != 0);
  };
  std::vector<std::uint8_t> counts;
  for (std::uint64_t begin = 0; begin < total; begin += kScanBytes) {
    counts.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kScanBytes, total - begin)));
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const auto token = begin + i;
      counts[i] = !mask.is_ahead ? flag(token) : token > 0 ? flag(token - 1) : 0;
    }
    take(counts);
  }
}

}  // namespace zebra

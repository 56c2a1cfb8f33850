#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"
#include "data/tokenizer.h"
#include "data/tokenizer_model.h"

namespace zebra {
namespace {

/// Texts that tell whether a model treats text at a cut in another way than within: prefixes added,
/// spaces removed or merged, characters replaced by spaces.
constexpr std::array<std::string_view, 8> kSegmentationProbes = {
    "a\nb",
    "two words\nand  a line \n  with spaces \n",
    "\n\n \n\n\na\n\n  b",
    "\r\n a\r\n\tb\t\n\t c",
    "  lead\n    deeper:\n        return x \n\nend",
    "no\xC2\xA0"
    "break \xE3\x80\x80\nwide \xE3\x80\x80 space",
    "e\xCC\x81\n\xCC\x81 \xCC\x81x \xEF\xAC\x81\n\xEF\xAC\x81",
    "1 2\n3  4\n.5 ",
};

std::string without_space_marks(std::string_view piece) {
  std::string text;
  while (!piece.empty()) {
    const bool is_mark = piece.starts_with(kSpaceMark);
    text += is_mark ? ' ' : piece.front();
    piece.remove_prefix(is_mark ? kSpaceMark.size() : 1);
  }
  return text;
}

/// Length of the first line of `text`, its newline included.
std::size_t first_line(std::string_view text) {
  const std::size_t newline = text.find('\n');
  return newline == std::string_view::npos ? text.size() : newline + 1;
}

/// Length of the first word of `text`: a newline, or the spaces at its start and what follows them
/// up to the next space or newline.
std::size_t first_word(std::string_view text) {
  if (text.starts_with('\n')) return 1;
  const std::size_t start = text.find_first_not_of(' ');
  if (start == std::string_view::npos) return text.size();
  const std::size_t end = text.find_first_of(" \n", start);
  return end == std::string_view::npos ? text.size() : end;
}

class SentencePieceTokenizer final : public TokenizerModel {
 public:
  SentencePieceTokenizer(const std::string& content, const std::string& name);

  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::vector<std::int32_t> encode_continuation(std::string_view text) const override;
  void encode_cached(std::string_view text, bool continues, TokenCache& cache,
                     std::vector<std::int32_t>& tokens) const override;
  std::vector<std::int32_t> encode_placed(std::string_view text,
                                          std::vector<std::size_t>& ends) const override;
  std::string decode(std::span<const std::int32_t> tokens) const override;
  std::int64_t text_bytes_at_start(std::int32_t id) const override;

 private:
  void read_pieces();
  void find_anchors();
  bool encodes_alike(std::size_t (*next_cut)(std::string_view text)) const;

  std::string name_;
  sentencepiece::SentencePieceProcessor processor_;
  bool adds_space_ = false;  // in front of every text

  /// A short text before which another is encoded as a continuation, and its tokens.
  struct Anchor {
    std::string text;
    std::vector<std::int32_t> tokens;
  };
  std::vector<Anchor> anchors_;  // none where the start of a text is encoded like its middle
};

SentencePieceTokenizer::SentencePieceTokenizer(const std::string& content, const std::string& name)
    : name_(name) {
  facts_.hash = hash_of(content);
  if (!processor_.LoadFromSerializedProto(content).ok()) {
    throw InputError(name_ +
                     ": is not a SentencePiece model, nor a tokenizer.json; make one with "
                     "`zebra data tokenizer`");
  }
  facts_.bos = processor_.bos_id();
  facts_.eos = processor_.eos_id();
  if (facts_.bos < 0 || facts_.eos < 0) {
    throw InputError(name_ + ": the tokenizer has no " + (facts_.bos < 0 ? "BOS" : "EOS") +
                     " id, which mark where documents begin and end; make one with "
                     "`zebra data tokenizer`");
  }
  read_pieces();
  find_anchors();
  facts_.lines_are_independent = facts_.lines_are_independent && encodes_alike(first_line);
  facts_.words_are_independent =
      facts_.lines_are_independent && facts_.words_are_independent && encodes_alike(first_word);
}

void SentencePieceTokenizer::read_pieces() {
  facts_.lines_are_independent = facts_.words_are_independent = true;
  for (int id = 0; id < processor_.GetPieceSize(); ++id) {
    if (processor_.IsControl(id) || processor_.IsUnknown(id)) {
      facts_.text_bytes.push_back(0);
      facts_.named_tokens.push_back(
          {.name = processor_.IdToPiece(id), .id = id, .is_control = true});
    } else if (processor_.IsByte(id)) {
      facts_.text_bytes.push_back(1);
    } else {
      const std::string text = without_space_marks(processor_.IdToPiece(id));
      facts_.text_bytes.push_back(static_cast<std::int32_t>(text.size()));
      if (first_line(text) < text.size()) facts_.lines_are_independent = false;
      if (first_word(text) < text.size()) facts_.words_are_independent = false;
    }
  }
}

void SentencePieceTokenizer::find_anchors() {
  const auto starts_with_space = [this](std::string_view text) {
    const auto tokens = encode(text);
    return !tokens.empty() && processor_.IdToPiece(tokens[0]).starts_with(kSpaceMark);
  };
  adds_space_ = starts_with_space("a");
  if (!adds_space_ && starts_with_space(" a")) return;
  for (const std::string text : {"\n", "a", "1", "."}) {
    auto tokens = encode(text);
    if (decode(tokens) == text) anchors_.push_back({text, std::move(tokens)});
  }
}

bool SentencePieceTokenizer::encodes_alike(std::size_t (*next_cut)(std::string_view)) const {
  return std::ranges::all_of(kSegmentationProbes, [this, next_cut](std::string_view text) {
    const auto whole = encode(text);
    std::vector<std::int32_t> parts;
    while (!text.empty()) {
      const std::size_t length = next_cut(text);
      const auto part = encode(text.substr(0, length));
      parts.insert(parts.end(), part.begin(), part.end());
      text.remove_prefix(length);
    }
    return parts == whole;
  });
}

std::vector<std::int32_t> SentencePieceTokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = processor_.Encode({text.data(), text.size()}, &ids);
  if (!status.ok()) throw RunError(name_ + ": cannot encode text: " + status.message());
  return ids;
}

std::vector<std::int32_t> SentencePieceTokenizer::encode_continuation(std::string_view text) const {
  for (const auto& anchor : anchors_) {
    const auto tokens = encode(anchor.text + std::string(text));
    // Where the anchor's end became part of another token, the next anchor may do.
    if (std::span(tokens).size() >= anchor.tokens.size() &&
        std::ranges::equal(std::span(tokens).first(anchor.tokens.size()), anchor.tokens)) {
      return {tokens.begin() + std::ssize(anchor.tokens), tokens.end()};
    }
  }
  return encode(text);
}

std::vector<std::int32_t> SentencePieceTokenizer::encode_placed(
    std::string_view text, std::vector<std::size_t>& ends) const {
  std::vector<std::int32_t> tokens;
  const auto encoded = processor_.EncodeAsImmutableProto({text.data(), text.size()});
  for (const auto& piece : encoded.pieces()) {
    tokens.push_back(static_cast<std::int32_t>(piece.id()));
    ends.push_back(piece.end());
  }
  return tokens;
}

std::string SentencePieceTokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::vector<int> ids;
  std::ranges::copy_if(tokens, std::back_inserter(ids), [this](std::int32_t id) {
    return id >= 0 && id < std::ssize(facts_.text_bytes);
  });
  std::string text;
  const auto status = processor_.Decode(ids, &text);
  if (!status.ok()) throw RunError(name_ + ": cannot decode tokens: " + status.message());
  return text;
}

std::int64_t SentencePieceTokenizer::text_bytes_at_start(std::int32_t id) const {
  const std::int64_t bytes = text_bytes(id);
  const bool has_space =
      bytes > 0 && adds_space_ && processor_.IdToPiece(id).starts_with(kSpaceMark);
  return bytes - (has_space ? 1 : 0);
}

void SentencePieceTokenizer::encode_cached(std::string_view text, bool continues, TokenCache& cache,
                                           std::vector<std::int32_t>& tokens) const {
  if (continues && !facts_.lines_are_independent) {
    const auto encoded = encode_continuation(text);
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
    return;
  }
  const auto encode_part = [this](std::string_view part, std::vector<std::int32_t>& out) {
    const auto encoded = encode(part);
    out.insert(out.end(), encoded.begin(), encoded.end());
  };
  while (!text.empty()) {
    const std::size_t length = facts_.words_are_independent   ? first_word(text)
                               : facts_.lines_are_independent ? first_line(text)
                                                              : text.size();
    cache.append(text.substr(0, length), tokens, encode_part);
    text.remove_prefix(length);
  }
}

}  // namespace

std::unique_ptr<TokenizerModel> open_sentencepiece(const std::string& content,
                                                   const std::string& name) {
  return std::make_unique<SentencePieceTokenizer>(content, name);
}

}  // namespace zebra

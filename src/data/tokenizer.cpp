#include "data/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

/// Texts that tell whether a model treats text at a cut in another way than within: prefixes added,
/// spaces removed or merged, characters replaced by spaces.
constexpr std::array<std::string_view, 8> kProbes = {
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

}  // namespace

struct Tokenizer::Model {
  sentencepiece::SentencePieceProcessor processor;
};

Tokenizer::Tokenizer(const std::filesystem::path& path)
    : path_(path), model_(std::make_unique<Model>()) {
  const std::string content = read_file(path);
  hash_ = hash_of(content);
  auto& processor = model_->processor;
  if (!processor.LoadFromSerializedProto(content).ok()) {
    throw InputError(path.string() +
                     ": is not a SentencePiece model; make one with `zebra data tokenizer`");
  }
  bos_ = processor.bos_id();
  eos_ = processor.eos_id();
  if (bos_ < 0 || eos_ < 0) {
    throw InputError(path.string() + ": the tokenizer has no " + (bos_ < 0 ? "BOS" : "EOS") +
                     " id, which mark where documents begin and end; make one with "
                     "`zebra data tokenizer`");
  }
  read_pieces();
  find_anchors();
  lines_are_independent_ = lines_are_independent_ && encodes_alike(first_line);
  words_are_independent_ =
      lines_are_independent_ && words_are_independent_ && encodes_alike(first_word);
}

Tokenizer::~Tokenizer() = default;

void Tokenizer::read_pieces() {
  const auto& processor = model_->processor;
  lines_are_independent_ = words_are_independent_ = true;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    if (processor.IsControl(id) || processor.IsUnknown(id)) {
      text_bytes_.push_back(0);
    } else if (processor.IsByte(id)) {
      text_bytes_.push_back(1);
    } else {
      const std::string text = without_space_marks(processor.IdToPiece(id));
      text_bytes_.push_back(static_cast<std::int32_t>(text.size()));
      if (first_line(text) < text.size()) lines_are_independent_ = false;
      if (first_word(text) < text.size()) words_are_independent_ = false;
    }
  }
}

void Tokenizer::find_anchors() {
  const auto starts_with_space = [this](std::string_view text) {
    const auto tokens = encode(text);
    return !tokens.empty() && model_->processor.IdToPiece(tokens[0]).starts_with(kSpaceMark);
  };
  adds_space_ = starts_with_space("a");
  if (!adds_space_ && starts_with_space(" a")) return;
  for (const std::string text : {"\n", "a", "1", "."}) {
    auto tokens = encode(text);
    if (decode(tokens) == text) anchors_.push_back({text, std::move(tokens)});
  }
}

bool Tokenizer::encodes_alike(std::size_t (*next_cut)(std::string_view)) const {
  return std::ranges::all_of(kProbes, [this, next_cut](std::string_view text) {
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

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = model_->processor.Encode({text.data(), text.size()}, &ids);
  if (!status.ok()) throw RunError(path_.string() + ": cannot encode text: " + status.message());
  return ids;
}

std::vector<std::int32_t> Tokenizer::encode_continuation(std::string_view text) const {
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

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
  std::vector<int> ids;
  std::ranges::copy_if(tokens, std::back_inserter(ids),
                       [this](std::int32_t id) { return id >= 0 && id < vocab_size(); });
  std::string text;
  const auto status = model_->processor.Decode(ids, &text);
  if (!status.ok()) throw RunError(path_.string() + ": cannot decode tokens: " + status.message());
  return text;
}

std::int64_t Tokenizer::text_bytes(std::int32_t id) const {
  return id >= 0 && id < vocab_size() ? text_bytes_[static_cast<std::size_t>(id)] : 0;
}

std::int64_t Tokenizer::text_bytes_at_start(std::int32_t id) const {
  const std::int64_t bytes = text_bytes(id);
  const bool has_space =
      bytes > 0 && adds_space_ && model_->processor.IdToPiece(id).starts_with(kSpaceMark);
  return bytes - (has_space ? 1 : 0);
}

namespace {

constexpr std::size_t kLongestCachedPart = 64;      // bytes
constexpr std::size_t kMostCachedParts = 1u << 16;  // some 10 MB

}  // namespace

CachedEncoder::CachedEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

void CachedEncoder::encode(std::string_view text, std::vector<std::int32_t>& tokens,
                           bool continues) {
  if (continues && !tokenizer_.lines_are_independent()) {
    const auto encoded = tokenizer_.encode_continuation(text);
    tokens.insert(tokens.end(), encoded.begin(), encoded.end());
    return;
  }
  while (!text.empty()) {
    const std::size_t length = tokenizer_.words_are_independent()   ? first_word(text)
                               : tokenizer_.lines_are_independent() ? first_line(text)
                                                                    : text.size();
    encode_part(text.substr(0, length), tokens);
    text.remove_prefix(length);
  }
}

void CachedEncoder::encode_part(std::string_view part, std::vector<std::int32_t>& tokens) {
  if (const auto known = cache_.find(part); known != cache_.end()) {
    const auto cached = cached_tokens_.cbegin();
    tokens.insert(tokens.end(), cached + static_cast<std::ptrdiff_t>(known->second.begin),
                  cached + static_cast<std::ptrdiff_t>(known->second.end));
    return;
  }
  const auto encoded = tokenizer_.encode(part);
  tokens.insert(tokens.end(), encoded.begin(), encoded.end());
  if (part.size() > kLongestCachedPart) return;
  if (cache_.size() == kMostCachedParts) {
    cache_.clear();
    cached_tokens_.clear();
  }
  const std::size_t begin = cached_tokens_.size();
  cached_tokens_.insert(cached_tokens_.end(), encoded.begin(), encoded.end());
  cache_.emplace(std::string(part), Range{begin, cached_tokens_.size()});
}

}  // namespace zebra

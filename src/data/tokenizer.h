#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace zebra {

/// U+2581: how SentencePiece writes a space within its pieces.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

/// A SentencePiece model. All const member functions are thread-safe.
///
/// With a model of `zebra data tokenizer`, decode(encode(text)) is `text` for every valid UTF-8
/// without U+2581, which stands for a space within pieces. Text like "<s>" is text: only bos() and
/// eos() are control tokens, and encode never returns them.
class Tokenizer {
 public:
  /// Throws InputError when the file cannot be read, is not a SentencePiece model, or has no BOS or
  /// EOS id.
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// The tokens of `text`, without BOS and EOS. Bytes that are no UTF-8 become U+FFFD.
  std::vector<std::int32_t> encode(std::string_view text) const;

  /// The tokens of `text` where it follows other text: without the space that some models put in
  /// front of every text, and with the spaces of its own that some remove there.
  std::vector<std::int32_t> encode_continuation(std::string_view text) const;

  /// The text of `tokens`; control tokens and ids beyond the vocabulary stand for none, bytes that
  /// are no UTF-8 for U+FFFD.
  std::string decode(std::span<const std::int32_t> tokens) const;

  std::int64_t vocab_size() const { return static_cast<std::int64_t>(text_bytes_.size()); }
  std::int32_t bos() const { return bos_; }
  std::int32_t eos() const { return eos_; }

  /// Hash of the model file.
  const std::string& hash() const { return hash_; }
  const std::filesystem::path& path() const { return path_; }

  /// Bytes of text that a token stands for: 0 for control tokens, the unknown token and ids beyond
  /// the vocabulary, 1 for byte tokens, else the bytes of its UTF-8, spaces counting one.
  std::int64_t text_bytes(std::int32_t id) const;

  /// The same for the first token of a text: a space that the model puts in front counts for none.
  std::int64_t text_bytes_at_start(std::int32_t id) const;

  /// Whether encoding line by line, cut after each newline, equals encoding the whole.
  bool lines_are_independent() const { return lines_are_independent_; }

  /// Whether text may also be cut before and after each newline and before each run of spaces.
  bool words_are_independent() const { return words_are_independent_; }

 private:
  struct Model;

  void read_pieces();
  void find_anchors();
  bool encodes_alike(std::size_t (*next_cut)(std::string_view text)) const;

  std::filesystem::path path_;
  std::string hash_;
  std::unique_ptr<Model> model_;
  std::vector<std::int32_t> text_bytes_;  // by id
  std::int32_t bos_ = 0, eos_ = 0;
  bool lines_are_independent_ = false, words_are_independent_ = false;
  bool adds_space_ = false;  // in front of every text

  /// A short text before which another is encoded as a continuation, and its tokens.
  struct Anchor {
    std::string text;
    std::vector<std::int32_t> tokens;
  };
  std::vector<Anchor> anchors_;  // none where the start of a text is encoded like its middle
};

/// Encodes text with the tokens of Tokenizer::encode, but in parts (words or lines, where the
/// tokenizer treats them independently of what stands around them), and remembers the tokens of
/// short parts: most words of a text have been seen before. Beside U+2581 within the text, which
/// means a space to the tokenizer, tokens can differ. One for each thread.
class CachedEncoder {
 public:
  /// `tokenizer` must outlive the encoder.
  explicit CachedEncoder(const Tokenizer& tokenizer);

  /// Appends the tokens of `text` to `tokens`; it may continue another text.
  void encode(std::string_view text, std::vector<std::int32_t>& tokens, bool continues = false);

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>()(text);
    }
  };
  struct Range {
    std::size_t begin, end;
  };

  void encode_part(std::string_view part, std::vector<std::int32_t>& tokens);

  const Tokenizer& tokenizer_;
  std::unordered_map<std::string, Range, Hash, std::equal_to<>> cache_;  // ranges of cached_tokens_
  std::vector<std::int32_t> cached_tokens_;
};

}  // namespace zebra

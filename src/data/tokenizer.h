#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_cache.h"
#include "data/tokenizer_files.h"

namespace zebra {

/// U+2581: how SentencePiece writes a space within its pieces.
inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

class TokenizerModel;
struct NamedToken;

/// What turns text into tokens and back: a SentencePiece model, or the byte-level BPE of a
/// tokenizer.json. All const member functions are thread-safe.
///
/// With a model of `zebra data tokenizer`, decode(encode(text)) is `text` for every valid UTF-8
/// without U+2581, which stands for a space within pieces; with byte-level BPE for every valid
/// UTF-8, which some of them normalize (NFC). Text like "<s>" is text: encode never returns control
/// tokens, bos() and eos() among them, whatever the text spells.
class Tokenizer {
 public:
  /// Throws InputError when the file cannot be read, is neither a SentencePiece model nor a
  /// tokenizer.json, or has no BOS or EOS id.
  explicit Tokenizer(const std::filesystem::path& path);
  ~Tokenizer();
  Tokenizer(const Tokenizer&) = delete;
  Tokenizer& operator=(const Tokenizer&) = delete;

  /// Why text cannot be encoded and decoded here, though runs on tokens can have this tokenizer: a
  /// tokenizer.json of another kind. Empty where it can. Names the file and the way out.
  const std::string& obstacle() const;

  /// Throws InputError with the obstacle, where there is one. So do encode and decode.
  void require_text() const;

  /// The tokens of `text`, without BOS and EOS. Bytes that are no UTF-8 become U+FFFD.
  std::vector<std::int32_t> encode(std::string_view text) const;

  /// The tokens of `text` where it follows other text: without the space that some models put in
  /// front of every text, and with the spaces of its own that some remove there.
  std::vector<std::int32_t> encode_continuation(std::string_view text) const;

  /// As encode; `ends` gets, for each token, how many bytes of `text` there are up to its end.
  /// `text` is what normalized() gives. Throws InputError when the tokens do not add up to it.
  std::vector<std::int32_t> encode_placed(std::string_view text,
                                          std::vector<std::size_t>& ends) const;

  /// What encode makes of a text before it looks for tokens, where that is known: NFC of tokenizers
  /// that compose.
  std::string normalized(std::string_view text) const;

  /// Its tokens with names: control tokens, and what else a tokenizer.json has added to its
  /// vocabulary.
  const std::vector<NamedToken>& named_tokens() const;

  /// The text of `tokens`; control tokens and ids beyond the vocabulary stand for none, bytes that
  /// are no UTF-8 for U+FFFD.
  std::string decode(std::span<const std::int32_t> tokens) const;

  /// One more than the largest id.
  std::int64_t vocab_size() const;
  std::int32_t bos() const;
  std::int32_t eos() const;

  /// Hash of the model file; of a tokenizer.json with the ids of BOS and EOS.
  const std::string& hash() const;
  const std::filesystem::path& path() const { return path_; }

  /// The files that make it up, as they were when it was opened.
  const TokenizerFiles& files() const { return files_; }

  /// Bytes of text that a token stands for: 0 for control tokens, the unknown token, ids beyond
  /// the vocabulary and all where there is an obstacle; 1 for byte tokens, else the bytes of its
  /// text, spaces counting one.
  std::int64_t text_bytes(std::int32_t id) const;

  /// The same for the first token of a text: a space that the model puts in front counts for none.
  std::int64_t text_bytes_at_start(std::int32_t id) const;

  /// Whether encoding line by line, cut after each newline, equals encoding the whole.
  bool lines_are_independent() const;

  /// Whether text may also be cut before and after each newline and before each run of spaces.
  bool words_are_independent() const;

 private:
  friend class CachedEncoder;

  std::filesystem::path path_;
  TokenizerFiles files_;
  std::unique_ptr<const TokenizerModel> model_;
};

/// Encodes text with the tokens of Tokenizer::encode, but in parts that do not depend on what
/// stands around them, where there are such, and remembers the tokens of short parts. Beside U+2581
/// within the text, which means a space to SentencePiece, tokens can differ. One for each thread.
class CachedEncoder {
 public:
  /// `tokenizer` must outlive the encoder.
  explicit CachedEncoder(const Tokenizer& tokenizer);

  /// Appends the tokens of `text` to `tokens`; it may continue another text.
  void encode(std::string_view text, std::vector<std::int32_t>& tokens, bool continues = false);

 private:
  const Tokenizer& tokenizer_;
  TokenCache cache_;
};

}  // namespace zebra

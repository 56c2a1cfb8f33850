#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/token_cache.h"

namespace zebra {

/// A token with a name of its own, such as "<|im_start|>".
struct NamedToken {
  std::string name;
  std::int32_t id = 0;
  /// Whether texts never become it, whatever they spell; another one stands for its name in a text.
  bool is_control = false;
  /// Whether HuggingFace's tokenizers take away the spaces before or behind it.
  bool strips_spaces = false;
};

/// What a Tokenizer tells of itself, see there.
struct TokenizerFacts {
  std::string hash;
  std::vector<std::int32_t> text_bytes;  // by id
  std::int32_t bos = 0, eos = 0;
  bool lines_are_independent = false, words_are_independent = false;
  std::string obstacle;
  std::vector<NamedToken> named_tokens;
};

/// One kind of tokenizer: what Tokenizer promises, by that kind's own rules. All const member
/// functions are thread-safe.
class TokenizerModel {
 public:
  virtual ~TokenizerModel() = default;

  const TokenizerFacts& facts() const { return facts_; }

  virtual std::vector<std::int32_t> encode(std::string_view text) const = 0;
  virtual std::vector<std::int32_t> encode_continuation(std::string_view text) const = 0;
  virtual void encode_cached(std::string_view text, bool continues, TokenCache& cache,
                             std::vector<std::int32_t>& tokens) const = 0;
  virtual std::vector<std::int32_t> encode_placed(std::string_view text,
                                                  std::vector<std::size_t>& ends) const = 0;
  virtual std::string normalized(std::string_view text) const { return std::string(text); }
  virtual std::string decode(std::span<const std::int32_t> tokens) const = 0;
  virtual std::int64_t text_bytes_at_start(std::int32_t id) const = 0;

  /// Bytes of text that a token stands for, 0 for ids beyond the vocabulary.
  std::int64_t text_bytes(std::int32_t id) const {
    const auto& bytes = facts_.text_bytes;
    return id >= 0 && id < std::ssize(bytes) ? bytes[static_cast<std::size_t>(id)] : 0;
  }

 protected:
  TokenizerFacts facts_;
};

/// Opens the SentencePiece model with those bytes; `name` stands for it in messages. Throws
/// InputError when it is none, or has no BOS or EOS id.
std::unique_ptr<TokenizerModel> open_sentencepiece(const std::string& content,
                                                   const std::string& name);

}  // namespace zebra

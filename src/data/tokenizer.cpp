#include "data/tokenizer.h"

#include "base/error.h"
#include "data/byte_level_bpe.h"
#include "data/tokenizer_model.h"

namespace zebra {
namespace {

std::unique_ptr<const TokenizerModel> open_model(const TokenizerFiles& files,
                                                 const std::string& name) {
  const auto model = files.find(kSentencePieceFile);
  if (model != files.end()) return open_sentencepiece(model->second, name);
  return open_byte_level_bpe(files, name);
}

}  // namespace

Tokenizer::Tokenizer(const std::filesystem::path& path)
    : path_(path), files_(read_tokenizer_files(path)), model_(open_model(files_, path.string())) {}

Tokenizer::~Tokenizer() = default;

const std::string& Tokenizer::obstacle() const { return model_->facts().obstacle; }

void Tokenizer::require_text() const {
  if (!obstacle().empty()) throw InputError(obstacle());
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text) const {
  require_text();
  return model_->encode(text);
}

std::vector<std::int32_t> Tokenizer::encode_continuation(std::string_view text) const {
  require_text();
  return model_->encode_continuation(text);
}

std::vector<std::int32_t> Tokenizer::encode_placed(std::string_view text,
                                                   std::vector<std::size_t>& ends) const {
  require_text();
  ends.clear();
  auto tokens = model_->encode_placed(text, ends);
  const std::size_t placed = ends.empty() ? 0 : ends.back();
  if (placed == text.size()) return tokens;
  throw InputError(path_.string() +
                   ": the tokenizer changes texts in a way that hides which of their bytes a token "
                   "stands for, so that no part of a text can be told by its tokens");
}

std::string Tokenizer::normalized(std::string_view text) const { return model_->normalized(text); }

const std::vector<NamedToken>& Tokenizer::named_tokens() const {
  return model_->facts().named_tokens;
}

std::string Tokenizer::decode(std::span<const std::int32_t> tokens) const {
  require_text();
  return model_->decode(tokens);
}

std::int64_t Tokenizer::vocab_size() const { return std::ssize(model_->facts().text_bytes); }

std::int32_t Tokenizer::bos() const { return model_->facts().bos; }

std::int32_t Tokenizer::eos() const { return model_->facts().eos; }

const std::string& Tokenizer::hash() const { return model_->facts().hash; }

std::int64_t Tokenizer::text_bytes(std::int32_t id) const { return model_->text_bytes(id); }

std::int64_t Tokenizer::text_bytes_at_start(std::int32_t id) const {
  return model_->text_bytes_at_start(id);
}

bool Tokenizer::lines_are_independent() const { return model_->facts().lines_are_independent; }

bool Tokenizer::words_are_independent() const { return model_->facts().words_are_independent; }

CachedEncoder::CachedEncoder(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

void CachedEncoder::encode(std::string_view text, std::vector<std::int32_t>& tokens,
                           bool continues) {
  tokenizer_.require_text();
  tokenizer_.model_->encode_cached(text, continues, cache_, tokens);
}

}  // namespace zebra

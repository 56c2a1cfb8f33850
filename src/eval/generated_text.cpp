#include "eval/generated_text.h"

#include <span>
#include <utility>

namespace zebra {
namespace {

constexpr std::size_t kContextTokens = 32;

}  // namespace

GeneratedText::GeneratedText(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt)
    : tokenizer_(tokenizer), tokens_(std::move(prompt)) {
  take(recent_text());
}

std::string GeneratedText::recent_text() const {
  return tokenizer_.decode(std::span(tokens_).subspan(begin_));
}

std::string GeneratedText::add(std::int32_t token) {
  tokens_.push_back(token);
  const std::string text = recent_text();
  return text.ends_with("\xEF\xBF\xBD") ? "" : take(text);  // U+FFFD: an unfinished character
}

std::string GeneratedText::finish() { return take(recent_text()); }

std::string GeneratedText::take(const std::string& text) {
  const std::string added = text.substr(std::min(taken_, text.size()));
  taken_ = text.size();
  if (tokens_.size() - begin_ > 2 * kContextTokens) {
    begin_ = tokens_.size() - kContextTokens;
    taken_ = recent_text().size();
  }
  return added;
}

}  // namespace zebra

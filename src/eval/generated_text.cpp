#include "eval/generated_text.h"

#include <algorithm>
#include <functional>
#include <span>
#include <string_view>
#include <utility>

namespace zebra {
namespace {

// Tokens that are decoded with a new one, at least: how it is written may depend on them.
constexpr std::size_t kContextTokens = 32;

}  // namespace

StopStrings::StopStrings(std::vector<std::string> strings) : strings_(std::move(strings)) {
  std::ranges::stable_sort(strings_, std::greater<>(),
                           [](const std::string& string) { return string.size(); });
}

std::string StopStrings::add(const std::string& part) {
  if (found_) return "";
  for (const char byte : part) {
    held_ += byte;
    const auto stop = std::ranges::find_if(
        strings_, [&](const std::string& string) { return held_.ends_with(string); });
    if (stop == strings_.end()) continue;
    found_ = true;
    held_.resize(held_.size() - stop->size());
    return std::exchange(held_, {});
  }
  const auto ready = held_.size() - bytes_to_hold();
  std::string text = held_.substr(0, ready);
  held_.erase(0, ready);
  return text;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

std::size_t StopStrings::bytes_to_hold() const {
  std::size_t most = 0;
  for (const std::string_view string : strings_) {
    for (auto bytes = std::min(string.size() - 1, held_.size()); bytes > most; --bytes)
      if (held_.ends_with(string.substr(0, bytes))) most = bytes;
  }
  return most;
}

GeneratedText::GeneratedText(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt,
                             std::vector<std::string> stop_strings)
    : tokenizer_(tokenizer), tokens_(std::move(prompt)), stop_strings_(std::move(stop_strings)) {
  take(recent_text());
}

std::string GeneratedText::recent_text() const {
  return tokenizer_.decode(std::span(tokens_).subspan(begin_));
}

std::string GeneratedText::add(std::int32_t token) {
  tokens_.push_back(token);
  const std::string text = recent_text();
  if (text.ends_with("\xEF\xBF\xBD")) return "";  // U+FFFD: an unfinished character
  return stop_strings_.add(take(text));
}

std::string GeneratedText::finish() {
  const std::string rest = stop_strings_.add(take(recent_text()));
  return rest + stop_strings_.finish();
}

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

#include "distributed/text_exchange.h"

#include <utility>

namespace zebra {

TextExchange::TextExchange(c10::intrusive_ptr<c10d::Store> store, int rank, int ranks)
    : store_(std::move(store)), rank_(rank), ranks_(ranks) {}

std::string TextExchange::key(int rank) const {
  return "shared/" + std::to_string(shares_) + "/" + std::to_string(rank);
}

void TextExchange::show(const std::string& text) {
  shown_.push_back(key(rank_));
  store_->set(shown_.back(), std::vector<std::uint8_t>(text.begin(), text.end()));
}

// The texts of the first `ranks` ranks.
std::vector<std::string> TextExchange::read(int ranks) {
  std::vector<std::string> keys, texts;
  for (int other = 0; other < ranks; ++other) keys.push_back(key(other));
  store_->wait(keys);
  for (const auto& bytes : store_->multiGet(keys)) texts.emplace_back(bytes.begin(), bytes.end());
  return texts;
}

// After an exchange: whoever has shown a text in it has read all that came before.
void TextExchange::forget() {
  for (std::size_t i = 0; i + 1 < shown_.size(); ++i) store_->deleteKey(shown_[i]);
  shown_.erase(shown_.begin(), shown_.end() - 1);
}

std::vector<std::string> TextExchange::exchange(const std::string& text) {
  if (ranks_ == 1) return {text};
  show(text);
  auto texts = read(ranks_);
  forget();
  ++shares_;
  return texts;
}

std::vector<std::string> TextExchange::gather(const std::string& text) {
  if (ranks_ == 1) return {text};
  std::vector<std::string> texts;
  show(text);
  if (is_first()) texts = read(ranks_);
  ++shares_;
  return texts;
}

std::string TextExchange::from_first(const std::string& text) {
  if (ranks_ == 1) return text;
  if (is_first()) show(text);
  auto received = read(1).front();
  ++shares_;
  return received;
}

}  // namespace zebra

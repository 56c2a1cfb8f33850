#include "data/chat_tokens.h"

#include <algorithm>
#include <string>

namespace zebra {
namespace {

/// Text between two control tokens, and for each of its bytes whether it is trained.
class TextRun {
 public:
  void add(const std::string& text, bool trained) {
    text_ += text;
    is_trained_.resize(text_.size(), trained);
  }

  void encode_into(ChatTokens& tokens, const Tokenizer& tokenizer) {
    std::vector<std::size_t> ends;
    const auto ids = tokenizer.encode_placed(text_, ends);
    tokens.ids.insert(tokens.ids.end(), ids.begin(), ids.end());
    std::size_t begin = 0;
    for (const auto end : ends) {
      tokens.trained.push_back(is_any_trained(begin, end) ? 1 : 0);
      begin = end;
    }
    tokens.text_bytes += std::ssize(text_);
    text_.clear();
    is_trained_.clear();
  }

 private:
  // A token without bytes, such as a space in front of the text or a part of a character, goes with
  // the byte behind it.
  bool is_any_trained(std::size_t begin, std::size_t end) const {
    end = std::min(std::max(end, begin + 1), is_trained_.size());
    const auto at = [this](std::size_t i) {
      return is_trained_.begin() + static_cast<std::ptrdiff_t>(i);
    };
    return begin < end && std::find(at(begin), at(end), true) != at(end);
  }

  std::string text_;
  std::vector<bool> is_trained_;
};

}  // namespace

std::int64_t ChatTokens::targets() const { return std::ranges::count(trained, std::uint8_t{1}); }

ChatTokens encode_chat(std::span<const ChatPiece> pieces, const Tokenizer& tokenizer) {
  ChatTokens tokens;
  TextRun run;
  for (const auto& piece : pieces) {
    if (piece.control < 0) {
      run.add(tokenizer.normalized(piece.text), piece.trained);
      continue;
    }
    run.encode_into(tokens, tokenizer);
    tokens.ids.push_back(piece.control);
    tokens.trained.push_back(piece.trained ? 1 : 0);
  }
  run.encode_into(tokens, tokenizer);
  return tokens;
}

}  // namespace zebra

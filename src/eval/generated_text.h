#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace zebra {

/// The text that new tokens add to a prompt. They are decoded together with what stands before
/// them: alone, a tokenizer that puts a space in front of every text would lose their first one.
class GeneratedText {
 public:
  /// `tokenizer` must outlive this object.
  GeneratedText(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt);

  /// What the token adds; an end within a character is held back until the character is complete.
  std::string add(std::int32_t token);

  /// What was held back.
  std::string finish();

 private:
  std::string take(const std::string& text);
  std::string recent_text() const;

  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> tokens_;
  std::size_t begin_ = 0;  // of the tokens that are decoded: the whole prompt need not be
  std::size_t taken_ = 0;  // bytes of their text that were given out
};

}  // namespace zebra

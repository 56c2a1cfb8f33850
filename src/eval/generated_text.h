#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "data/tokenizer.h"

namespace zebra {

/// A text that comes in parts, up to the first stop string that is whole. Where one part completes
/// several, the first to be whole counts, of those that end together the longest: how the text was
/// cut into parts makes no difference.
class StopStrings {
 public:
  /// `strings` are UTF-8, none is empty; there may be none.
  explicit StopStrings(std::vector<std::string> strings);

  /// What can be given out by now: not what may yet become a stop string. Parts are whole
  /// characters of UTF-8, and so are those returned. Nothing once a stop string was found.
  std::string add(const std::string& part);

  bool found() const { return found_; }

  /// What was held back and is no stop string, at the end of the text.
  std::string finish();

 private:
  std::size_t bytes_to_hold() const;

  std::vector<std::string> strings_;  // the longest first
  std::string held_;
  bool found_ = false;
};

/// The text that new tokens add to a prompt. They are decoded together with what stands before
/// them: alone, a tokenizer that puts a space in front of every text would lose their first one.
class GeneratedText {
 public:
  /// `tokenizer` must outlive this object. The text ends before the first of `stop_strings`.
  GeneratedText(const Tokenizer& tokenizer, std::vector<std::int32_t> prompt,
                std::vector<std::string> stop_strings = {});

  /// What the token adds; an end within a character is held back until the character is complete,
  /// and one that may become a stop string until it is none.
  std::string add(std::int32_t token);

  /// Whether a stop string has ended the text.
  bool stopped() const { return stop_strings_.found(); }

  /// What was held back.
  std::string finish();

 private:
  std::string take(const std::string& text);
  std::string recent_text() const;

  const Tokenizer& tokenizer_;
  std::vector<std::int32_t> tokens_;
  StopStrings stop_strings_;
  std::size_t begin_ = 0;  // of the tokens that are decoded: the whole prompt need not be
  std::size_t taken_ = 0;  // bytes of their text that were given out
};

}  // namespace zebra

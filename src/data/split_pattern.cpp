#include "data/split_pattern.h"

#include <limits>

#include "data/unicode.h"

namespace zebra {
namespace {

using unicode::CharacterClass;

// Sets of classes, one bit for each.
constexpr unsigned set_of(CharacterClass kind) { return 1U << static_cast<unsigned>(kind); }

constexpr unsigned kSpace = set_of(CharacterClass::space);
constexpr unsigned kUpper = set_of(CharacterClass::upper);
constexpr unsigned kLower = set_of(CharacterClass::lower);
constexpr unsigned kOtherLetter = set_of(CharacterClass::letter);
constexpr unsigned kMark = set_of(CharacterClass::mark);
constexpr unsigned kNumber = set_of(CharacterClass::number);
constexpr unsigned kSigns = set_of(CharacterClass::punctuation) | set_of(CharacterClass::symbol);
constexpr unsigned kLetters = kUpper | kLower | kOtherLetter;
// [^\s\p{L}\p{N}]
constexpr unsigned kRest = set_of(CharacterClass::other) | kMark | kSigns;

constexpr std::size_t kNoLimit = std::numeric_limits<std::size_t>::max();

/// A character as patterns see it; behind the end of the text it is in no set.
struct Symbol {
  char32_t code = 0;
  std::size_t bytes = 0;
  unsigned set = 0;

  bool is_in(unsigned classes) const { return (set & classes) != 0; }
  bool is_end() const { return set == 0; }
  bool is_line_end() const { return set != 0 && (code == '\n' || code == '\r'); }
};

// [一-龥぀-ゟ゠-ヿ]
bool is_deepseek_ideograph(char32_t code) {
  return (code >= 0x4E00 && code <= 0x9FA5) || (code >= 0x3040 && code <= 0x30FF);
}

// Where a text ends: DeepSeek's third expression sees a run of ideographs, or what lies between
// those and numbers.
enum class End { of_text, of_words, of_ideographs };

template <End kEnd = End::of_text>
Symbol symbol_at(std::string_view text, std::size_t at) {
  if (at >= text.size()) return {};
  const auto character = unicode::first_character(text.substr(at));
  const unsigned set = set_of(unicode::class_of(character.code));
  const bool is_ideograph = kEnd != End::of_text && is_deepseek_ideograph(character.code);
  if (kEnd == End::of_words && (is_ideograph || (set & kNumber) != 0)) return {};
  if (kEnd == End::of_ideographs && !is_ideograph) return {};
  return {character.code, character.bytes, set};
}

// The end of the run of characters of a set, of `most` at most.
template <End kEnd = End::of_text>
std::size_t end_of_run(std::string_view text, std::size_t begin, unsigned classes,
                       std::size_t most = kNoLimit) {
  for (; most > 0; --most) {
    const Symbol symbol = symbol_at<kEnd>(text, begin);
    if (!symbol.is_in(classes)) break;
    begin += symbol.bytes;
  }
  return begin;
}

// [\r\n]*, and with `slashes` [\r\n/]*.
std::size_t end_of_lines(std::string_view text, std::size_t begin, bool slashes = false) {
  while (begin < text.size() &&
         (text[begin] == '\r' || text[begin] == '\n' || (slashes && text[begin] == '/'))) {
    ++begin;
  }
  return begin;
}

// \s*[\r\n]+|\s+(?!\S)|\s+ where a space begins; without `lines` the last two.
template <End kEnd = End::of_text>
std::size_t end_of_spaces(std::string_view text, bool lines) {
  std::size_t end = 0, last = 0, behind_line = 0;
  Symbol symbol = symbol_at<kEnd>(text, end);
  for (; symbol.is_in(kSpace); symbol = symbol_at<kEnd>(text, end)) {
    last = end;
    end += symbol.bytes;
    if (symbol.is_line_end()) behind_line = end;
  }
  if (lines && behind_line > 0) return behind_line;
  return symbol.is_end() || last == 0 ? end : last;
}

// The end of 's, 't, 're, 've, 'm, 'll or 'd; `begin` where there is none. In any case "s" is also
// the long s, U+017F.
std::size_t end_of_contraction(std::string_view text, std::size_t begin, bool any_case) {
  if (begin >= text.size() || text[begin] != '\'') return begin;
  const std::string_view rest = text.substr(begin + 1);
  if (any_case && rest.starts_with("\xC5\xBF")) return begin + 3;
  const auto letter = [rest, any_case](std::size_t i) {
    const char c = i < rest.size() ? rest[i] : '\0';
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  switch (letter(0)) {
    case 's':
    case 't':
    case 'm':
    case 'd':
      return begin + 2;
    case 'r':
    case 'v':
      return letter(1) == 'e' ? begin + 3 : begin;
    case 'l':
      return letter(1) == 'l' ? begin + 3 : begin;
    default:
      return begin;
  }
}

// [^\r\n\p{L}\p{N}]
bool may_precede_letters(const Symbol& symbol) {
  return symbol.is_in(kSpace | kRest) && !symbol.is_line_end();
}

// ` ?[CLASSES]+`; 0 where it does not match.
template <End kEnd = End::of_text>
std::size_t end_behind_space(std::string_view text, unsigned classes) {
  const std::size_t begin = text.starts_with(' ') ? 1 : 0;
  const std::size_t end = end_of_run<kEnd>(text, begin, classes);
  return end > begin ? end : 0;
}

std::size_t first_gpt2_piece(std::string_view text) {
  if (const auto end = end_of_contraction(text, 0, false); end > 0) return end;
  for (const unsigned classes : {kLetters, kNumber, kRest})
    if (const auto end = end_behind_space(text, classes); end > 0) return end;
  return end_of_spaces(text, /*lines=*/false);
}

// Llama 3 (cl100k) with three digits, Qwen 2 and 3 with one.
std::size_t first_llama3_piece(std::string_view text, std::size_t digits) {
  if (const auto end = end_of_contraction(text, 0, true); end > 0) return end;
  const Symbol first = symbol_at(text, 0);
  if (first.is_in(kLetters)) return end_of_run(text, 0, kLetters);
  if (may_precede_letters(first) && symbol_at(text, first.bytes).is_in(kLetters))
    return end_of_run(text, first.bytes, kLetters);
  if (first.is_in(kNumber)) return end_of_run(text, 0, kNumber, digits);
  if (const auto end = end_behind_space(text, kRest); end > 0) return end_of_lines(text, end);
  return end_of_spaces(text, /*lines=*/true);
}

// Both words of o200k: [UPPER]*[LOWER]+ and [UPPER]+[LOWER]*, where letters without case and marks
// are in both sets.
constexpr unsigned kUpperSet = kUpper | kOtherLetter | kMark;
constexpr unsigned kLowerSet = kLower | kOtherLetter | kMark;

// The first of them from `begin`: where no lower-case letter follows, the run is given back up to
// the last character of both sets. 0 where it does not match.
std::size_t end_of_lower_word(std::string_view text, std::size_t begin) {
  std::size_t end = begin, behind_both = 0;
  Symbol symbol = symbol_at(text, end);
  for (; symbol.is_in(kUpperSet); symbol = symbol_at(text, end)) {
    end += symbol.bytes;
    if (symbol.is_in(kLowerSet)) behind_both = end;
  }
  return symbol.is_in(kLowerSet) ? end_of_run(text, end, kLowerSet) : behind_both;
}

std::size_t end_of_o200k_word(std::string_view text) {
  const Symbol first = symbol_at(text, 0);
  const bool has_prefix = may_precede_letters(first);
  if (has_prefix) {
    if (const auto end = end_of_lower_word(text, first.bytes); end > 0) return end;
  }
  if (const auto end = end_of_lower_word(text, 0); end > 0) return end;
  const std::size_t begin = has_prefix ? first.bytes : 0;
  const auto end = end_of_run(text, begin, kUpperSet);  // no lower-case letter follows
  return end > begin ? end : 0;
}

std::size_t first_o200k_piece(std::string_view text) {
  if (const auto end = end_of_o200k_word(text); end > 0)
    return end_of_contraction(text, end, /*any_case=*/true);
  if (const auto end = end_of_run(text, 0, kNumber, 3); end > 0) return end;
  if (const auto end = end_behind_space(text, kRest); end > 0)
    return end_of_lines(text, end, /*slashes=*/true);
  return end_of_spaces(text, /*lines=*/true);
}

bool is_ascii_letter(char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// The third expression of DeepSeek, within what the first two leave or find; 0 where it does not
// match.
template <End kEnd>
std::size_t end_of_deepseek_match(std::string_view text) {
  const Symbol first = symbol_at<kEnd>(text, 0);
  if (first.code < 0x80 && first.is_in(kSigns) && text.size() > 1 && is_ascii_letter(text[1])) {
    std::size_t end = 2;
    while (end < text.size() && is_ascii_letter(text[end])) ++end;
    return end;
  }
  if (first.is_in(kLetters | kMark)) return end_of_run<kEnd>(text, 0, kLetters | kMark);
  if (!first.is_in(kSigns) && !first.is_line_end()) {
    const auto end = end_of_run<kEnd>(text, first.bytes, kLetters | kMark);
    if (end > first.bytes) return end;
  }
  if (const auto end = end_behind_space<kEnd>(text, kSigns); end > 0)
    return kEnd == End::of_words ? end_of_lines(text, end) : end;
  return first.is_in(kSpace) ? end_of_spaces<kEnd>(text, /*lines=*/true) : 0;
}

// What the expression does not match is a piece up to where it does.
template <End kEnd>
std::size_t end_of_deepseek_word(std::string_view text) {
  if (const auto match = end_of_deepseek_match<kEnd>(text); match > 0) return match;
  std::size_t end = symbol_at<kEnd>(text, 0).bytes;
  for (Symbol next = symbol_at<kEnd>(text, end);
       !next.is_end() && end_of_deepseek_match<kEnd>(text.substr(end)) == 0;
       next = symbol_at<kEnd>(text, end)) {
    end += next.bytes;
  }
  return end;
}

std::size_t first_deepseek_piece(std::string_view text) {
  const Symbol first = symbol_at(text, 0);
  if (first.is_in(kNumber)) return end_of_run(text, 0, kNumber, 3);
  return is_deepseek_ideograph(first.code) ? end_of_deepseek_word<End::of_ideographs>(text)
                                           : end_of_deepseek_word<End::of_words>(text);
}

}  // namespace

std::optional<SplitPattern> split_pattern_of(const std::vector<std::string>& expressions) {
  struct Known {
    SplitPattern pattern;
    std::vector<std::string> expressions;
  };
  static const std::vector<Known> known = {
      {SplitPattern::gpt2,
       {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)"}},
      {SplitPattern::llama3,
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3})"
        R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {SplitPattern::qwen2,
       {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N})"
        R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      {SplitPattern::o200k,
       {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
        R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
        R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"}},
      // Line ends stand in the third expression as themselves, not as \r and \n.
      {SplitPattern::deepseek,
       {R"(\p{N}{1,3})",
        "[\xE4\xB8\x80-\xE9\xBE\xA5\xE3\x81\x80-\xE3\x82\x9F\xE3\x82\xA0-\xE3\x83\xBF]+",
        R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^)"
        "\r\n"
        R"(\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[)"
        "\r\n"
        R"(]*|\s*[)"
        "\r\n"
        R"(]+|\s+(?!\S)|\s+)"}},
  };
  for (const auto& [pattern, written] : known)
    if (written == expressions) return pattern;
  return std::nullopt;
}

std::size_t first_piece(SplitPattern pattern, std::string_view text) {
  switch (pattern) {
    case SplitPattern::gpt2:
      return first_gpt2_piece(text);
    case SplitPattern::llama3:
      return first_llama3_piece(text, 3);
    case SplitPattern::qwen2:
      return first_llama3_piece(text, 1);
    case SplitPattern::o200k:
      return first_o200k_piece(text);
    case SplitPattern::deepseek:
      return first_deepseek_piece(text);
  }
  return text.size();
}

}  // namespace zebra

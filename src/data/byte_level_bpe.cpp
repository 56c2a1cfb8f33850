#include "data/byte_level_bpe.h"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"
#include "data/merge_table.h"
#include "data/tokenizer_json_file.h"
#include "data/unicode.h"
#include "data/utf8.h"

namespace zebra {
namespace {

/// The letters by which GPT-2's vocabulary writes bytes: printable bytes of Latin-1 stand for
/// themselves, the others, in their order, are the letters from U+0100.
class ByteLetters {
 public:
  ByteLetters() {
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool is_printable =
          (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
      byte_of_[is_printable ? static_cast<char32_t>(byte) : next++] = static_cast<char>(byte);
    }
  }

  /// The bytes that a token stands for; nothing where it has other letters.
  std::optional<std::string> bytes_of(std::string_view token) const {
    std::string bytes;
    while (!token.empty()) {
      const auto letter = unicode::first_character(token);
      const auto found = byte_of_.find(letter.code);
      if (found == byte_of_.end()) return std::nullopt;
      bytes += found->second;
      token.remove_prefix(letter.bytes);
    }
    return bytes;
  }

 private:
  std::unordered_map<char32_t, char> byte_of_;
};

/// Added tokens, to be found in a text.
class AddedTokenFinder {
 public:
  void add(AddedToken token) {
    if (first_bytes_.find(token.content.front()) == std::string::npos)
      first_bytes_ += token.content.front();
    auto& alike = by_first_byte_[static_cast<unsigned char>(token.content.front())];
    alike.push_back(std::move(token));
    std::ranges::stable_sort(alike, std::greater(),
                             [](const AddedToken& t) { return t.content.size(); });
  }

  /// Calls `on_token(id)` for each token of the text that is not special, and `on_text(part)` for
  /// what lies between. Of tokens that overlap, the first is found, and of those that begin
  /// together the longest.
  template <class OnText, class OnToken>
  void split(std::string_view text, const OnText& on_text, const OnToken& on_token) const {
    std::size_t begin = 0, at = 0;
    while ((at = text.find_first_of(first_bytes_, at)) != std::string_view::npos) {
      const AddedToken* token = longest_at(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      const std::size_t end = at + token->content.size();
      if (!token->is_special) {
        if (at > begin) on_text(text.substr(begin, at - begin));
        on_token(token->id);
        begin = end;
      }
      at = end;
    }
    if (begin < text.size()) on_text(text.substr(begin));
  }

 private:
  const AddedToken* longest_at(std::string_view text) const {
    for (const auto& token : by_first_byte_[static_cast<unsigned char>(text.front())])
      if (text.starts_with(token.content)) return &token;
    return nullptr;
  }

  std::string first_bytes_;
  std::array<std::vector<AddedToken>, 256> by_first_byte_;  // the longest first
};

class ByteLevelBpe final : public TokenizerModel {
 public:
  ByteLevelBpe(const TokenizerFiles& files, const std::string& name);

  std::vector<std::int32_t> encode(std::string_view text) const override;
  std::vector<std::int32_t> encode_continuation(std::string_view text) const override {
    return encode(text);
  }
  void encode_cached(std::string_view text, bool continues, TokenCache& cache,
                     std::vector<std::int32_t>& tokens) const override;
  std::vector<std::int32_t> encode_placed(std::string_view text,
                                          std::vector<std::size_t>& ends) const override;
  std::string normalized(std::string_view text) const override {
    return composes_ ? unicode::nfc(text) : std::string(text);
  }
  std::string decode(std::span<const std::int32_t> tokens) const override;
  std::int64_t text_bytes_at_start(std::int32_t id) const override { return text_bytes(id); }

 private:
  void read_tokens(const TokenizerJson& file);
  void read_merges(const TokenizerJson& file);
  void set_token(std::int32_t id, std::string bytes);
  void name_tokens(const TokenizerJson& file);
  void encode_text(std::string_view text, TokenCache& cache,
                   std::vector<std::int32_t>& tokens) const;
  void encode_piece(std::string_view piece, std::vector<std::int32_t>& tokens) const;

  std::string name_;
  SplitPattern pattern_;
  bool composes_, ignores_merges_;
  AddedTokenFinder before_normalizer_, behind_normalizer_;
  std::vector<std::string> bytes_of_;  // by id; empty for control tokens and ids that nobody has
  std::array<std::int32_t, 256> token_of_byte_;
  MergeTable merges_;
  std::unordered_map<std::string, std::int32_t> token_of_bytes_;  // only where ignores_merges_
};

ByteLevelBpe::ByteLevelBpe(const TokenizerFiles& files, const std::string& name) : name_(name) {
  const TokenizerJson file = read_tokenizer_json(files, name);
  pattern_ = file.pattern;
  composes_ = file.composes;
  ignores_merges_ = file.ignores_merges;
  facts_.bos = file.bos;
  facts_.eos = file.eos;
  facts_.hash = hash_of(files.at(kTokenizerJsonFile) + "\n" + std::to_string(file.bos) + " " +
                        std::to_string(file.eos));
  std::string unsupported = file.unsupported;
  token_of_byte_.fill(-1);
  read_tokens(file);
  if (unsupported.empty() && std::ranges::find(token_of_byte_, -1) != token_of_byte_.end())
    unsupported = "its vocabulary lacks some of the 256 bytes";
  if (unsupported.empty()) {
    read_merges(file);
    return;
  }
  std::ranges::fill(facts_.text_bytes, 0);
  facts_.obstacle =
      name_ + ": text cannot be encoded or decoded with it here: " + unsupported +
      "; scripts/tokenize_text.py makes token datasets with every tokenizer.json, and "
      "runs can train on them";
}

void ByteLevelBpe::set_token(std::int32_t id, std::string bytes) {
  const auto index = static_cast<std::size_t>(id);
  if (index >= bytes_of_.size()) bytes_of_.resize(index + 1);
  bytes_of_[index] = std::move(bytes);
}

void ByteLevelBpe::read_tokens(const TokenizerJson& file) {
  const ByteLetters letters;
  for (const auto& [text, id] : file.vocabulary) {
    const auto bytes = letters.bytes_of(text);
    if (bytes && bytes->size() == 1)
      token_of_byte_[static_cast<unsigned char>(bytes->front())] = id;
    if (bytes && ignores_merges_) token_of_bytes_[*bytes] = id;
    set_token(id, bytes.value_or(text));
  }
  for (AddedToken token : file.added_tokens) {
    token.is_special = token.is_special || token.id == file.bos || token.id == file.eos;
    set_token(token.id, token.is_special ? std::string()
                                         : letters.bytes_of(token.content).value_or(token.content));
    const bool is_normalized = token.is_normalized && composes_;
    if (is_normalized) token.content = unicode::nfc(token.content);
    (token.is_normalized ? behind_normalizer_ : before_normalizer_).add(std::move(token));
  }
  set_token(file.bos, "");
  set_token(file.eos, "");
  name_tokens(file);
  for (const auto& bytes : bytes_of_)
    facts_.text_bytes.push_back(static_cast<std::int32_t>(bytes.size()));
}

void ByteLevelBpe::name_tokens(const TokenizerJson& file) {
  const auto is_end = [&file](std::int32_t id) { return id == file.bos || id == file.eos; };
  for (const auto& token : file.added_tokens) {
    facts_.named_tokens.push_back({.name = token.content,
                                   .id = token.id,
                                   .is_control = token.is_special || is_end(token.id),
                                   .strips_spaces = token.strips_spaces});
  }
  for (const auto& [name, id] : file.vocabulary) {
    if (!is_end(id) ||
        std::ranges::find(facts_.named_tokens, id, &NamedToken::id) != facts_.named_tokens.end())
      continue;
    facts_.named_tokens.push_back({.name = name, .id = id, .is_control = true});
  }
}

void ByteLevelBpe::read_merges(const TokenizerJson& file) {
  const std::unordered_map<std::string, std::int32_t> ids(file.vocabulary.begin(),
                                                          file.vocabulary.end());
  const auto id_of = [&](const std::string& token) {
    const auto found = ids.find(token);
    if (found == ids.end()) {
      throw InputError(name_ + ": is not a whole tokenizer.json: a merge needs the token " +
                       quoted_text(token) + ", which its vocab lacks");
    }
    return found->second;
  };
  std::vector<MergeTable::Pair> pairs;
  pairs.reserve(file.merges.size());
  for (const auto& [left, right] : file.merges)
    pairs.push_back({id_of(left), id_of(right), id_of(left + right)});
  merges_ = MergeTable(pairs);
}

std::vector<std::int32_t> ByteLevelBpe::encode(std::string_view text) const {
  TokenCache cache;
  std::vector<std::int32_t> tokens;
  encode_cached(text, /*continues=*/false, cache, tokens);
  return tokens;
}

// A text that continues another is encoded like its start. Very long documents are cut behind a
// line end; where blank lines or spaces go on there, pieces and so tokens may differ.
void ByteLevelBpe::encode_cached(std::string_view text, bool /*continues*/, TokenCache& cache,
                                 std::vector<std::int32_t>& tokens) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = with_replacements(text);
    text = repaired;
  }
  const auto on_token = [&tokens](std::int32_t id) { tokens.push_back(id); };
  const auto on_normalized = [&](std::string_view part) { encode_text(part, cache, tokens); };
  before_normalizer_.split(
      text,
      [&](std::string_view part) {
        if (composes_) {
          behind_normalizer_.split(unicode::nfc(part), on_normalized, on_token);
        } else {
          behind_normalizer_.split(part, on_normalized, on_token);
        }
      },
      on_token);
}

std::vector<std::int32_t> ByteLevelBpe::encode_placed(std::string_view text,
                                                      std::vector<std::size_t>& ends) const {
  auto tokens = encode(text);
  std::size_t end = 0;
  for (const auto id : tokens) ends.push_back(end += static_cast<std::size_t>(text_bytes(id)));
  return tokens;
}

void ByteLevelBpe::encode_text(std::string_view text, TokenCache& cache,
                               std::vector<std::int32_t>& tokens) const {
  const auto encode_one = [this](std::string_view piece, std::vector<std::int32_t>& out) {
    encode_piece(piece, out);
  };
  while (!text.empty()) {
    const std::size_t bytes = first_piece(pattern_, text);
    cache.append(text.substr(0, bytes), tokens, encode_one);
    text.remove_prefix(bytes);
  }
}

void ByteLevelBpe::encode_piece(std::string_view piece, std::vector<std::int32_t>& tokens) const {
  if (ignores_merges_) {
    const auto found = token_of_bytes_.find(std::string(piece));
    if (found != token_of_bytes_.end()) {
      tokens.push_back(found->second);
      return;
    }
  }
  std::vector<std::int32_t> bytes(piece.size());
  std::ranges::transform(piece, bytes.begin(), [this](char byte) {
    return token_of_byte_[static_cast<unsigned char>(byte)];
  });
  append_merged(merges_, bytes, tokens);
}

std::string ByteLevelBpe::decode(std::span<const std::int32_t> tokens) const {
  std::string bytes;
  for (const auto id : tokens)
    if (id >= 0 && id < std::ssize(bytes_of_)) bytes += bytes_of_[static_cast<std::size_t>(id)];
  return is_valid_utf8(bytes) ? bytes : with_replacements(bytes);
}

}  // namespace

std::unique_ptr<TokenizerModel> open_byte_level_bpe(const TokenizerFiles& files,
                                                    const std::string& name) {
  return std::make_unique<ByteLevelBpe>(files, name);
}

}  // namespace zebra

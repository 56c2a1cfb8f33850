#include "interop/tokenizer_json.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "base/error.h"
#include "base/file.h"
#include "data/tokenizer.h"

namespace zebra {
namespace {

// The value of a field of protocol buffers: a number as it stands in memory, or bytes.
struct FieldValue {
  std::uint64_t number = 0;
  std::string_view bytes;

  bool flag() const { return number != 0; }
  float real() const { return std::bit_cast<float>(static_cast<std::uint32_t>(number)); }
  template <class Enum>
  Enum choice() const {
    return static_cast<Enum>(static_cast<int>(number));
  }
};

std::string_view take(std::string_view& rest, std::uint64_t size) {
  if (size > rest.size()) throw InputError("it ends within a field");
  const auto taken = rest.substr(0, size);
  rest.remove_prefix(size);
  return taken;
}

std::uint64_t take_varint(std::string_view& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    const auto byte = static_cast<unsigned char>(take(rest, 1).front());
    value |= static_cast<std::uint64_t>(byte & 0x7FU) << shift;
    if (byte < 0x80U) return value;
  }
  throw InputError("a number of more than ten bytes");
}

std::uint64_t take_fixed(std::string_view& rest, std::size_t size) {
  std::uint64_t value = 0;  // little-endian, as the machines that this runs on are
  std::memcpy(&value, take(rest, size).data(), size);
  return value;
}

// Calls `field(number, value)` for each field of a message on the wire, in any order
// (https://protobuf.dev/programming-guides/encoding).
template <class Field>
void for_each_field(std::string_view message, const Field& field) {
  while (!message.empty()) {
    const std::uint64_t tag = take_varint(message);
    FieldValue value;
    switch (tag & 7U) {
      case 0:
        value.number = take_varint(message);
        break;
      case 1:
        value.number = take_fixed(message, 8);
        break;
      case 2:
        value.bytes = take(message, take_varint(message));
        break;
      case 5:
        value.number = take_fixed(message, 4);
        break;
      default:
        throw InputError("a field of an unknown kind");
    }
    field(tag >> 3U, value);
  }
}

// Numbers of the fields in sentencepiece_model.proto of SentencePiece 0.1.97.
SentencePieceModel::Piece read_piece(std::string_view message) {
  SentencePieceModel::Piece piece;
  for_each_field(message, [&](std::uint64_t field, const FieldValue& value) {
    if (field == 1) piece.text = value.bytes;
    if (field == 2) piece.score = value.real();
    if (field == 3) piece.type = value.choice<SentencePieceModel::PieceType>();
  });
  return piece;
}

void read_training(std::string_view message, SentencePieceModel& model) {
  for_each_field(message, [&](std::uint64_t field, const FieldValue& value) {
    if (field == 3) model.algorithm = value.choice<SentencePieceModel::Algorithm>();
    if (field == 24) model.space_after_word = value.flag();
    if (field == 35) model.byte_fallback = value.flag();
  });
}

void read_normalization(std::string_view message, SentencePieceModel& model) {
  for_each_field(message, [&](std::uint64_t field, const FieldValue& value) {
    if (field == 2) model.character_map = value.bytes;
    if (field == 3) model.add_dummy_prefix = value.flag();
    if (field == 4) model.remove_extra_whitespaces = value.flag();
    if (field == 5) model.escape_whitespaces = value.flag();
  });
}

}  // namespace

SentencePieceModel read_sentencepiece_model(const std::filesystem::path& path) {
  const std::string content = read_file(path);
  SentencePieceModel model;
  try {
    for_each_field(content, [&](std::uint64_t field, const FieldValue& value) {
      if (field == 1) model.pieces.push_back(read_piece(value.bytes));
      if (field == 2) read_training(value.bytes, model);
      if (field == 3) read_normalization(value.bytes, model);
    });
  } catch (const InputError& error) {
    throw InputError(path.string() + ": not a SentencePiece model: " + error.what());
  }
  if (model.pieces.empty())
    throw InputError(path.string() + ": not a SentencePiece model: it has no pieces");
  if (std::ranges::any_of(model.pieces, [](const auto& piece) { return std::isnan(piece.score); }))
    throw InputError(path.string() + ": a piece has NaN for its score; the file is damaged");
  return model;
}

namespace {

using Json = nlohmann::ordered_json;
using Algorithm = SentencePieceModel::Algorithm;
using Piece = SentencePieceModel::Piece;
using PieceType = SentencePieceModel::PieceType;

bool has_type(const SentencePieceModel& model, PieceType type) {
  return std::ranges::any_of(model.pieces, [&](const Piece& p) { return p.type == type; });
}

// Where each character of `text` but the first begins.
std::vector<std::size_t> inner_boundaries(std::string_view text) {
  std::vector<std::size_t> boundaries;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0U) != 0x80U) boundaries.push_back(i);
  }
  return boundaries;
}

// Ids of the pieces that merging makes and uses.
std::unordered_map<std::string_view, std::size_t> normal_pieces(const SentencePieceModel& model) {
  std::unordered_map<std::string_view, std::size_t> ids;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const auto& piece = model.pieces[id];
    if (piece.type == PieceType::normal) ids.emplace(piece.text, id);
  }
  return ids;
}

// A character without a piece of its own may join its neighbours in SentencePiece; in tokenizers it
// becomes bytes at once.
bool has_unknown_characters(const SentencePieceModel& model) {
  const auto ids = normal_pieces(model);
  return std::ranges::any_of(model.pieces, [&](const Piece& piece) {
    if (piece.type != PieceType::normal) return false;
    auto ends = inner_boundaries(piece.text);
    ends.push_back(piece.text.size());
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
      if (!ids.contains(std::string_view(piece.text).substr(begin, end - begin))) return true;
      begin = end;
    }
    return false;
  });
}

// Every pair of pieces that makes a piece, in the order of merging.
Json merges(const SentencePieceModel& model) {
  const auto ids = normal_pieces(model);
  std::vector<std::size_t> made;
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    if (model.pieces[id].type == PieceType::normal) made.push_back(id);
  }
  std::ranges::stable_sort(made, [&](std::size_t a, std::size_t b) {
    return model.pieces[a].score > model.pieces[b].score;
  });
  Json pairs = Json::array();
  for (const std::size_t id : made) {
    const std::string_view text = model.pieces[id].text;
    for (const std::size_t cut : inner_boundaries(text)) {
      const auto left = text.substr(0, cut), right = text.substr(cut);
      if (ids.contains(left) && ids.contains(right)) pairs.push_back({left, right});
    }
  }
  return pairs;
}

Json vocabulary(const SentencePieceModel& model) {
  Json::object_t ids;
  // Pieces differ, and looking for an equal one would take a search of all before.
  auto& entries = static_cast<Json::object_t::Container&>(ids);
  for (std::size_t id = 0; id < model.pieces.size(); ++id)
    entries.emplace_back(model.pieces[id].text, id);
  return ids;
}

// Found in the text before anything else: user-defined pieces always, the others on request.
Json added_tokens(const SentencePieceModel& model) {
  Json tokens = Json::array();
  for (std::size_t id = 0; id < model.pieces.size(); ++id) {
    const auto& piece = model.pieces[id];
    const bool is_text = piece.type == PieceType::user_defined;
    if (!is_text && piece.type != PieceType::control && piece.type != PieceType::unknown) continue;
    tokens.push_back({{"id", id},
                      {"content", piece.text},
                      {"single_word", false},
                      {"lstrip", false},
                      {"rstrip", false},
                      {"normalized", false},
                      {"special", !is_text}});
  }
  return tokens;
}

Json replacement(Json pattern, std::string_view content) {
  return {{"type", "Replace"}, {"pattern", std::move(pattern)}, {"content", content}};
}

Json normalizer(const SentencePieceModel& model) {
  Json steps = Json::array();
  if (model.remove_extra_whitespaces) {
    steps.push_back(replacement({{"Regex", "\\A +|[ \u2581]+\\z"}}, ""));
    steps.push_back(replacement({{"Regex", " {2,}"}}, " "));
  }
  if (model.add_dummy_prefix) steps.push_back({{"type", "Prepend"}, {"prepend", kSpaceMark}});
  steps.push_back(replacement({{"String", " "}}, kSpaceMark));
  return {{"type", "Sequence"}, {"normalizers", steps}};
}

Json decoder(const SentencePieceModel& model) {
  Json steps = {
      replacement({{"String", kSpaceMark}}, " "), {{"type", "ByteFallback"}}, {{"type", "Fuse"}}};
  if (model.add_dummy_prefix)
    steps.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  return {{"type", "Sequence"}, {"decoders", steps}};
}

const std::string& text_of(const SentencePieceModel& model, std::int32_t id) {
  return model.pieces.at(static_cast<std::size_t>(id)).text;
}

// BOS before each text; none of it is in what tokens count as text.
Json post_processor(const std::string& bos, std::int32_t bos_id) {
  const auto special = [&](int type) -> Json {
    return {{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* name, int type) -> Json {
    return {{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  return {{"type", "TemplateProcessing"},
          {"single", {special(0), sequence("A", 0)}},
          {"pair", {special(0), sequence("A", 0), special(1), sequence("B", 1)}},
          {"special_tokens", {{bos, {{"id", bos}, {"ids", {bos_id}}, {"tokens", {bos}}}}}}};
}

// The id of the first piece of that type, and of that text unless it is empty; nothing where there
// is none.
std::optional<std::int32_t> id_of(const SentencePieceModel& model, PieceType type,
                                  std::string_view text = "") {
  const auto found = std::ranges::find_if(model.pieces, [&](const Piece& piece) {
    return piece.type == type && (text.empty() || piece.text == text);
  });
  if (found == model.pieces.end()) return std::nullopt;
  return static_cast<std::int32_t>(found - model.pieces.begin());
}

}  // namespace

std::string obstacle_to_tokenizer_json(const SentencePieceModel& model) {
  if (model.algorithm != Algorithm::bpe) return "the tokenizer is not BPE";
  if (!model.character_map.empty()) return "the tokenizer normalises characters";
  if (!model.escape_whitespaces || model.space_after_word)
    return "the tokenizer treats spaces in an unusual way";
  if (has_type(model, PieceType::unused)) return "the tokenizer has unused pieces";
  if (!has_type(model, PieceType::unknown)) return "the tokenizer has no unknown piece";
  if (has_type(model, PieceType::user_defined) &&
      (model.add_dummy_prefix || model.remove_extra_whitespaces)) {
    return "the tokenizer changes spaces beside user-defined pieces";
  }
  if (has_unknown_characters(model)) return "the tokenizer has characters within pieces only";
  return "";
}

std::string tokenizer_json(const SentencePieceModel& model, DocumentTokens tokens) {
  const Json json = {{"version", "1.0"},
                     {"truncation", nullptr},
                     {"padding", nullptr},
                     {"added_tokens", added_tokens(model)},
                     {"normalizer", normalizer(model)},
                     {"pre_tokenizer", nullptr},
                     {"post_processor", post_processor(text_of(model, tokens.bos), tokens.bos)},
                     {"decoder", decoder(model)},
                     {"model",
                      {{"type", "BPE"},
                       {"dropout", nullptr},
                       {"unk_token", text_of(model, *id_of(model, PieceType::unknown))},
                       {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr},
                       {"fuse_unk", true},
                       {"byte_fallback", model.byte_fallback},
                       {"ignore_merges", false},
                       {"vocab", vocabulary(model)},
                       {"merges", merges(model)}}}};
  return json.dump(1) + "\n";
}

std::int32_t padding_token(const SentencePieceModel& model, DocumentTokens tokens) {
  const auto pad = id_of(model, PieceType::control, "<pad>");
  return pad.value_or(id_of(model, PieceType::unknown).value_or(tokens.eos));
}

std::string tokenizer_config_json(const SentencePieceModel& model, DocumentTokens tokens,
                                  std::int64_t longest, bool names_are_tokens) {
  Json json = {{"tokenizer_class", "PreTrainedTokenizerFast"},
               {"bos_token", text_of(model, tokens.bos)},
               {"eos_token", text_of(model, tokens.eos)},
               {"pad_token", text_of(model, padding_token(model, tokens))},
               {"add_bos_token", true},
               {"add_eos_token", false},
               {"clean_up_tokenization_spaces", false},
               {"split_special_tokens", !names_are_tokens},
               {"model_max_length", longest}};
  if (const auto id = id_of(model, PieceType::unknown)) json["unk_token"] = text_of(model, *id);
  return json.dump(2) + "\n";
}

}  // namespace zebra

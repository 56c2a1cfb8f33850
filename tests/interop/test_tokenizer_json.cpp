#include "interop/tokenizer_json.h"

#include <array>
#include <bit>
#include <cstdio>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "data/tokenizer.h"
#include "data/tokenizer_training.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using namespace zebra::testing;
using Catch::Matchers::Contains;
using Json = nlohmann::json;
using Model = SentencePieceModel;

// Texts at which an encoder may go wrong: runs of spaces, control characters, characters without a
// piece, what looks like a control or byte piece, overlapping pieces.
const std::array kTexts = {
    "",
    " ",
    "a",
    "def f(x):\n\treturn x + 1\n",
    "    two  words\n\n\n   and \t\t a  line \n ",
    "0123 45.6e-7",
    "na\xC3\xAFve \xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\xA6\x93 e\xCC\x81 \xC2\xA0 \r\n",
    "<s> </s> <unk> <0x41> \x01\x7F",
    "aaaaaaa abababa babab ababbabaab aba bab a ba",
    "returnreturn return(return) self.self_self",
    "\xE2\x96\x81 mark\xE2\x96\x81\xE2\x96\x81s "};

// tokenizer.json applied by its own words: added tokens are cut out, the rest is normalized and
// starts as characters (bytes where they have no piece); the pair of the lowest rank joins, the
// leftmost of several.
class TokenizerOfJson {
 public:
  explicit TokenizerOfJson(const std::string& text) : json_(Json::parse(text)) {
    int rank = 0;
    for (const auto& pair : json_["model"]["merges"]) ranks_[{pair[0], pair[1]}] = rank++;
  }

  std::vector<std::int32_t> encode(std::string_view text) const {
    std::vector<std::int32_t> ids;
    for (const auto& part : json_["post_processor"]["single"]) {
      if (part.contains("Sequence")) continue;
      const std::string special = part["SpecialToken"]["id"];
      ids.push_back(json_["post_processor"]["special_tokens"][special]["ids"][0]);
    }
    std::string rest;
    while (!text.empty()) {
      const auto added = added_token(text);
      if (added.first.empty()) {
        rest += text.front();
        text.remove_prefix(1);
        continue;
      }
      encode_rest(rest, ids);
      rest.clear();
      ids.push_back(added.second);
      text.remove_prefix(added.first.size());
    }
    encode_rest(rest, ids);
    return ids;
  }

 private:
  std::pair<std::string, std::int32_t> added_token(std::string_view text) const {
    for (const auto& token : json_["added_tokens"]) {
      const std::string content = token["content"];
      if (!token["special"] && text.starts_with(content)) return {content, token["id"]};
    }
    return {};
  }

  std::string normalized(const std::string& text) const {
    std::string result = text;
    for (const auto& step : json_["normalizer"]["normalizers"]) {
      if (step["type"] == "Prepend") {
        if (!result.empty()) result.insert(0, step["prepend"].get<std::string>());
        continue;
      }
      REQUIRE(step["type"] == "Replace");
      const std::string from = step["pattern"]["String"], to = step["content"];
      for (std::size_t at = 0; (at = result.find(from, at)) != std::string::npos; at += to.size())
        result.replace(at, from.size(), to);
    }
    return result;
  }

  void encode_rest(const std::string& text, std::vector<std::int32_t>& ids) const {
    auto symbols = characters(normalized(text));
    while (join_one(symbols)) {
    }
    for (const auto& symbol : symbols) ids.push_back(json_["model"]["vocab"][symbol]);
  }

  std::vector<std::string> characters(const std::string& text) const {
    std::vector<std::string> symbols;
    for (std::size_t i = 0; i < text.size();) {
      std::size_t end = i + 1;
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) ++end;
      const std::string character = text.substr(i, end - i);
      i = end;
      if (json_["model"]["vocab"].contains(character)) {
        symbols.push_back(character);
        continue;
      }
      REQUIRE(json_["model"]["byte_fallback"] == true);
      for (const char byte : character) {
        char piece[8];
        std::snprintf(piece, sizeof piece, "<0x%02X>", static_cast<unsigned char>(byte));
        symbols.emplace_back(piece);
      }
    }
    return symbols;
  }

  bool join_one(std::vector<std::string>& symbols) const {
    int best = std::numeric_limits<int>::max();
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found = ranks_.find({symbols[i], symbols[i + 1]});
      if (found == ranks_.end() || found->second >= best) continue;
      best = found->second;
      at = i;
    }
    if (best == std::numeric_limits<int>::max()) return false;
    symbols[at] += symbols[at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(at) + 1);
    return true;
  }

  Json json_;
  std::map<std::pair<std::string, std::string>, int> ranks_;
};

void require_alike(const std::filesystem::path& path) {
  const Tokenizer tokenizer(path);
  const auto model = read_sentencepiece_model(path);
  REQUIRE(obstacle_to_tokenizer_json(model) == "");
  const TokenizerOfJson json(tokenizer_json(model, {tokenizer.bos(), tokenizer.eos()}));
  for (const std::string text : kTexts) {
    CAPTURE(text);
    auto expected = tokenizer.encode(text);
    expected.insert(expected.begin(), tokenizer.bos());
    REQUIRE(json.encode(text) == expected);
  }
}

// Protocol buffers, as far as a SentencePiece model needs them.
std::string varint(std::uint64_t value) {
  std::string bytes;
  for (; value >= 0x80U; value >>= 7U) bytes += static_cast<char>((value & 0x7FU) | 0x80U);
  return bytes + static_cast<char>(value);
}

std::string number_field(unsigned field, std::uint64_t value) {
  return varint(field << 3U) + varint(value);
}

std::string bytes_field(unsigned field, const std::string& bytes) {
  return varint(field << 3U | 2U) + varint(bytes.size()) + bytes;
}

std::string float_field(unsigned field, float value) {
  const auto bits = std::bit_cast<std::array<char, 4>>(value);
  return varint(field << 3U | 5U) + std::string(bits.data(), bits.size());
}

std::string piece_field(const std::string& text, float score, unsigned type) {
  return bytes_field(1, bytes_field(1, text) + float_field(2, score) + number_field(3, type));
}

// A BPE model of few pieces, with a space in front of the text, as Llama 2 has it.
std::string handmade_model(const std::string& more_pieces = "") {
  std::string model =
      piece_field("<unk>", 0, 2) + piece_field("<s>", 0, 3) + piece_field("</s>", 0, 3);
  for (int byte = 0; byte < 256; ++byte) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", byte);
    model += piece_field(text, 0, 6);
  }
  // Not in the order of their scores.
  const std::array made = {"aba", "ab", "ba",
                           "\xE2\x96\x81"
                           "a",
                           "\xE2\x96\x81\xE2\x96\x81"};
  const std::array scores = {-2.0F, -1.0F, -3.0F, -2.5F, -0.5F};
  for (std::size_t i = 0; i < made.size(); ++i) model += piece_field(made[i], scores[i], 1);
  float score = -10;
  for (const char* character : {"\xE2\x96\x81", "a", "b", "m", "s"})
    model += piece_field(character, score--, 1);
  return model + more_pieces + bytes_field(2, number_field(3, 2) + number_field(35, 1)) +
         bytes_field(3, number_field(3, 1) + number_field(4, 0));
}

std::filesystem::path handmade_file(const TemporaryFolder& folder) {
  write_text(folder / "handmade.model", handmade_model());
  return folder / "handmade.model";
}

TEST_CASE("tokenizer.json segments texts as the model of `zebra data tokenizer` does") {
  const TemporaryFolder folder;
  std::string text;
  for (int i = 0; i < 20; ++i) {
    for (const char* line : kTexts) text += line;
    text += "def method(self, name):\n    return self.name\n";
  }
  write_text(folder / "text.txt", text);
  TokenizerTrainingOptions options;
  options.input.inputs = {(folder / "text.txt").string()};
  options.vocab_size = 340;
  options.output = folder / "tok.model";
  train_tokenizer(options);
  require_alike(options.output);
}

TEST_CASE("tokenizer.json segments texts as a model with a space in front does") {
  const TemporaryFolder folder;
  require_alike(handmade_file(folder));
}

TEST_CASE("pairs are ranked by the score of what they make") {
  const TemporaryFolder folder;
  const auto json =
      Json::parse(tokenizer_json(read_sentencepiece_model(handmade_file(folder)), {1, 2}));
  const std::string mark = "\xE2\x96\x81";
  const std::vector<std::array<std::string, 2>> expected = {{mark, mark}, {"a", "b"},  {"a", "ba"},
                                                            {"ab", "a"},  {mark, "a"}, {"b", "a"}};
  REQUIRE(json["model"]["merges"] == Json(expected));
  REQUIRE(json["model"]["vocab"]["ab"] == 260);
  REQUIRE(json["model"]["vocab"]["<0x41>"] == 3 + 0x41);
}

TEST_CASE("BOS goes before a text, control pieces are special, others are not") {
  const TemporaryFolder folder;
  auto model = read_sentencepiece_model(handmade_file(folder));
  auto json = Json::parse(tokenizer_json(model, {1, 2}));
  REQUIRE(json["post_processor"]["single"][0]["SpecialToken"]["id"] == "<s>");
  REQUIRE(json["post_processor"]["special_tokens"]["<s>"]["ids"] == Json({1}));
  REQUIRE(json["added_tokens"].size() == 3);
  REQUIRE(json["added_tokens"][2]["content"] == "</s>");
  REQUIRE(json["added_tokens"][2]["special"] == true);
  REQUIRE(json["decoder"]["decoders"].back()["type"] == "Strip");

  model.add_dummy_prefix = false;
  model.pieces.push_back({"\n", 0, Model::PieceType::user_defined});
  json = Json::parse(tokenizer_json(model, {1, 2}));
  REQUIRE(json["added_tokens"][3]["content"] == "\n");
  REQUIRE(json["added_tokens"][3]["special"] == false);
  REQUIRE(json["decoder"]["decoders"].back()["type"] == "Fuse");

  const auto config = Json::parse(tokenizer_config_json(model, {1, 2}, 4096));
  REQUIRE(config["tokenizer_class"] == "PreTrainedTokenizerFast");
  REQUIRE(config["bos_token"] == "<s>");
  REQUIRE(config["eos_token"] == "</s>");
  REQUIRE(config["split_special_tokens"] == true);
  REQUIRE(config["model_max_length"] == 4096);
}

TEST_CASE("rows of a batch are filled up with what no text has to end with") {
  const TemporaryFolder folder;
  auto model = read_sentencepiece_model(handmade_file(folder));
  const auto pad = [&] {
    return Json::parse(tokenizer_config_json(model, {1, 2}, 4096))["pad_token"];
  };
  REQUIRE(pad() == "<unk>");
  REQUIRE(padding_token(model, {1, 2}) == 0);
  model.pieces.push_back({"<pad>", 0, Model::PieceType::control});
  REQUIRE(pad() == "<pad>");
  model.pieces.pop_back();
  model.pieces[0].type = Model::PieceType::control;  // no unknown piece
  REQUIRE(pad() == "</s>");
}

TEST_CASE("models that tokenizer.json would not hold exactly are named") {
  const TemporaryFolder folder;
  const auto exact = read_sentencepiece_model(handmade_file(folder));
  REQUIRE(obstacle_to_tokenizer_json(exact) == "");
  const auto obstacle = [&](auto change) {
    auto model = exact;
    change(model);
    return obstacle_to_tokenizer_json(model);
  };
  REQUIRE_THAT(obstacle([](Model& m) { m.algorithm = Model::Algorithm::unigram; }),
               Contains("not BPE"));
  REQUIRE_THAT(obstacle([](Model& m) { m.character_map = "rules"; }), Contains("normalises"));
  REQUIRE_THAT(obstacle([](Model& m) { m.escape_whitespaces = false; }), Contains("spaces"));
  REQUIRE_THAT(obstacle([](Model& m) { m.space_after_word = true; }), Contains("spaces"));
  REQUIRE_THAT(obstacle([](Model& m) { m.pieces[260].type = Model::PieceType::unused; }),
               Contains("unused"));
  REQUIRE_THAT(obstacle([](Model& m) { m.pieces[0].type = Model::PieceType::control; }),
               Contains("unknown"));
  REQUIRE_THAT(obstacle([](Model& m) { m.pieces[260].type = Model::PieceType::user_defined; }),
               Contains("user-defined"));
  REQUIRE_THAT(obstacle([](Model& m) {
                 m.pieces.push_back({"ax", -20});
               }),
               Contains("within pieces"));
}

TEST_CASE("a file that is no SentencePiece model is refused") {
  const TemporaryFolder folder;
  const auto read = [&](const std::string& content) {
    write_text(folder / "bad.model", content);
    read_sentencepiece_model(folder / "bad.model");
  };
  const std::string whole = handmade_model();
  REQUIRE_THROWS_WITH(read(""), Contains("no pieces"));
  REQUIRE_THROWS_WITH(read(whole.substr(0, whole.size() - 1)), Contains("ends within"));
  REQUIRE_THROWS_WITH(read("\x0B" + whole), Contains("unknown kind"));
  REQUIRE_THROWS_WITH(read(std::string(11, '\xFF')), Contains("ten bytes"));
  REQUIRE_THROWS_AS(read_sentencepiece_model(folder / "absent.model"), InputError);
}

TEST_CASE("what the file does not say has the defaults of SentencePiece") {
  const TemporaryFolder folder;
  write_text(folder / "bare.model", bytes_field(1, bytes_field(1, "a")));
  const auto model = read_sentencepiece_model(folder / "bare.model");
  REQUIRE(model.pieces.at(0).type == Model::PieceType::normal);
  REQUIRE(model.algorithm == Model::Algorithm::unigram);
  REQUIRE(model.add_dummy_prefix);
  REQUIRE(model.remove_extra_whitespaces);
  REQUIRE(model.escape_whitespaces);
  REQUIRE_FALSE(model.byte_fallback);
}

}  // namespace
}  // namespace zebra

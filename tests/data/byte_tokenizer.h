#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data_support.h"

namespace zebra::test {

/// What is told of an added token of byte_tokenizer.
struct ExtraToken {
  std::string name;
  bool is_control = true;
  bool strips_spaces = false;
};

/// A tokenizer.json in `folder` in which the token of a byte is the byte; 256 is BOS, "<s>", 257
/// EOS, "</s>", and those behind are the extra ones in their order.
inline std::string byte_tokenizer(const TempFolder& folder, const std::vector<ExtraToken>& extra,
                                  bool composes = false, bool has_bos = true) {
  using Json = nlohmann::ordered_json;
  const auto utf8 = [](unsigned code) {
    if (code < 0x80) return std::string(1, static_cast<char>(code));
    return std::string{static_cast<char>(0xC0U | code >> 6U),
                       static_cast<char>(0x80U | (code & 0x3FU))};
  };
  const auto letter = [&utf8](unsigned byte) {
    if (byte <= 0x20) return utf8(0x100 + byte);
    if (byte >= 0x7F && byte <= 0xA0) return utf8(0x121 + byte - 0x7F);
    return byte == 0xAD ? utf8(0x143) : utf8(byte);
  };
  Json vocabulary = Json::object(), added = Json::array();
  for (unsigned byte = 0; byte < 256; ++byte) vocabulary[letter(byte)] = byte;
  const auto add = [&added](const ExtraToken& token) {
    added.push_back({{"id", 256 + added.size()},
                     {"content", token.name},
                     {"single_word", false},
                     {"lstrip", token.strips_spaces},
                     {"rstrip", token.strips_spaces},
                     {"normalized", false},
                     {"special", token.is_control}});
  };
  add({"<s>"});
  add({"</s>"});
  for (const auto& token : extra) add(token);
  const Json file = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", composes ? Json{{"type", "NFC"}} : Json()},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", Json::array()}}}};
  const Json config = {{"bos_token", has_bos ? Json("<s>") : Json()}, {"eos_token", "</s>"}};
  folder.write("tokenizer_config.json", config.dump());
  return folder.write("tokenizer.json", file.dump());
}

}  // namespace zebra::test

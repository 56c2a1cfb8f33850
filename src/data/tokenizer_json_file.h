#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "data/split_pattern.h"
#include "data/tokenizer_files.h"

namespace zebra {

/// A token that is found in the text before anything else, unless it is special.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool is_special = false;
  bool is_normalized = false;  ///< found behind the normalizer, not before
  bool strips_spaces = false;  ///< before or behind itself
};

/// What tokenizer.json of HuggingFace's tokenizers library says, as far as byte-level BPE goes.
struct TokenizerJson {
  std::vector<std::pair<std::string, std::int32_t>> vocabulary;  ///< in the letters of byte_level
  std::vector<std::pair<std::string, std::string>> merges;       ///< the first first
  std::vector<AddedToken> added_tokens;
  SplitPattern pattern = SplitPattern::gpt2;
  bool composes = false;        ///< the normalizer is NFC
  bool ignores_merges = false;  ///< a piece that is a token is that token
  std::int32_t bos = 0, eos = 0;
  std::int32_t pad = 0;  ///< fills the rows of a batch up: `pad_token` of the configuration, or EOS
  /// What the file has that is beyond that, for a message; empty where nothing is.
  std::string unsupported;
};

/// Reads it from the files of a tokenizer; `name` stands for tokenizer.json in messages.
///
/// BOS and EOS are `bos_token` and `eos_token` of tokenizer_config.json; where that is absent or
/// does not name one, what the post-processor puts before and behind a text. EOS stands for a BOS
/// that neither names, as GPT-2 and Qwen have it.
///
/// Throws InputError when the file is no tokenizer.json, contradicts itself, or neither names an
/// EOS.
TokenizerJson read_tokenizer_json(const TokenizerFiles& files, const std::string& name);

}  // namespace zebra

#pragma once

#include <memory>
#include <string>

#include "data/tokenizer_files.h"
#include "data/tokenizer_model.h"

namespace zebra {

/// Opens a tokenizer.json. One that is not byte-level BPE with a known SplitPattern opens too, with
/// an obstacle: it cannot encode and decode. `name` stands for the file in messages. Throws
/// InputError as read_tokenizer_json.
///
/// Tokens are those of the package `tokenizers` with `encode_special_tokens`, without what the
/// post-processor adds.
std::unique_ptr<TokenizerModel> open_byte_level_bpe(const TokenizerFiles& files,
                                                    const std::string& name);

}  // namespace zebra

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

/// How a byte-level BPE tokenizer splits text into the pieces within which it merges: the regular
/// expressions of some families of models, of which these are the names.
enum class SplitPattern { gpt2, llama3, qwen2, o200k, deepseek };

/// The pattern that is written as these expressions, one Split step for each; nothing where it is
/// none of those.
std::optional<SplitPattern> split_pattern_of(const std::vector<std::string>& expressions);

/// Bytes of the first piece of `text`, which is not empty and is well-formed UTF-8. What stands
/// before the text makes no difference if it ends with a piece.
std::size_t first_piece(SplitPattern pattern, std::string_view text);

}  // namespace zebra

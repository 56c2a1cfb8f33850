#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/chat_renderer.h"
#include "data/tokenizer.h"

namespace zebra {

/// A rendered conversation as tokens.
struct ChatTokens {
  std::vector<std::int32_t> ids;
  std::vector<std::uint8_t> trained;  ///< for each token 1 where it counts as a target, else 0
  std::int64_t text_bytes = 0;        ///< of the text between control tokens

  std::int64_t targets() const;
};

/// Text that no control token divides is encoded at once, whichever pieces it has; a token counts
/// as a target where some of its text is trained. Throws InputError like Tokenizer::encode_placed.
ChatTokens encode_chat(std::span<const ChatPiece> pieces, const Tokenizer& tokenizer);

}  // namespace zebra

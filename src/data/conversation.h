#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/json_lines.h"

namespace zebra {

/// What one side says at a time.
struct ChatMessage {
  std::string role;           ///< "system", "user", "assistant", or another one of the template's
  std::string content;        ///< valid UTF-8
  std::optional<bool> train;  ///< whether it counts as a target; by default what the role says
};

struct Conversation {
  std::vector<ChatMessage> messages;
  bool half_surrogates = false;  ///< within became U+FFFD
};

/// The conversation that one line of a JSONL file holds, in one of these forms:
///   {"messages": [{"role": "user", "content": "…"}, …]}, also named "conversations" or
///     "conversation"; a message may have "train": false (or true), or "weight": 0 (or 1); a
///     content may be a list of {"type": "text", "text": "…"};
///   ShareGPT's: "from" and "value" in the place of role and content, where "human" is the user and
///     "gpt" the assistant; and a "system" beside the list;
///   Alpaca's: {"instruction": "…", "input": "…", "output": "…"}, where "input" may be absent, and
///     stands below the instruction, behind a blank line.
std::variant<Conversation, JsonLineProblem> parse_conversation(std::string_view line);

}  // namespace zebra

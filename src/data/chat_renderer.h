#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/chat_template.h"
#include "data/conversation.h"
#include "data/tokenizer.h"
#include "data/tokenizer_model.h"

namespace zebra {

/// A stretch of a rendered conversation: text, or a control token in the place of its name.
struct ChatPiece {
  std::string text;           ///< of a control token its name
  std::int32_t control = -1;  ///< the token's id; -1: text
  bool trained = false;
};

/// A template as one tokenizer has it. Its const member functions are thread-safe.
class ChatRenderer {
 public:
  /// `tokenizer` must outlive this object. "{bos}" is nothing where EOS stands for BOS. Throws
  /// InputError where the tokenizer strips spaces around a control token of the template.
  ChatRenderer(ChatTemplate chat_template, const Tokenizer& tokenizer);

  /// The conversation in pieces; contents are text whatever they spell. A problem where the
  /// template has no place for a message.
  std::variant<std::vector<ChatPiece>, JsonLineProblem> render(
      const Conversation& conversation) const;

  /// The first name in a content that stands for a token which does not belong there: a control
  /// token, or another one that the template uses. Empty where there is none.
  std::string spelled_token(const Conversation& conversation) const;

  /// What an answer ends with, and the first control token in that; -1 where there is none.
  std::string end_of_turn() const;
  std::int32_t end_token() const;

  /// The text of a chat_template.jinja with which HuggingFace's apply_chat_template renders the
  /// same, with `generation` around what is trained.
  std::string jinja() const;

 private:
  using Pieces = std::vector<ChatPiece>;
  struct Role {
    Pieces prefix, opening, suffix, after;
    bool trained = false;
  };

  Pieces pieces_of(std::string_view literal);
  const NamedToken* token_at(std::string_view text) const;
  Role role_of(const ChatRole& role);
  const Role* role_named(const std::string& name) const;
  std::string content_of(const ChatMessage& message) const;
  void append(const Role& role, const ChatMessage& message, const Pieces& system,
              Pieces& out) const;

  const Tokenizer& tokenizer_;
  ChatTemplate template_;
  std::vector<NamedToken> tokens_;    // the longest name first
  std::vector<std::string> refused_;  // in contents
  Pieces begin_;
  std::optional<Role> system_;
  Role user_, assistant_;
};

}  // namespace zebra

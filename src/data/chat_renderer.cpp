#include "data/chat_renderer.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/error.h"
#include "base/json_reader.h"
#include "data/unicode.h"

namespace zebra {
namespace {

constexpr std::string_view kBos = "{bos}", kEos = "{eos}";

// White space as Python's strip() and so Jinja's `trim` have it.
bool is_stripped(char32_t character) {
  return unicode::class_of(character) == unicode::CharacterClass::space ||
         (character >= 0x1C && character <= 0x1F);
}

std::string stripped(std::string_view text) {
  while (!text.empty()) {
    const auto first = unicode::first_character(text);
    if (!is_stripped(first.code)) break;
    text.remove_prefix(first.bytes);
  }
  std::size_t end = 0;  // behind the last character that stays
  for (std::size_t at = 0; at < text.size();) {
    const auto character = unicode::first_character(text.substr(at));
    at += character.bytes;
    if (!is_stripped(character.code)) end = at;
  }
  return std::string(text.substr(0, end));
}

std::string text_of(const std::vector<ChatPiece>& pieces) {
  std::string text;
  for (const auto& piece : pieces) text += piece.text;
  return text;
}

// As a literal of Jinja, whose strings have the escapes of Python.
std::string jinja_literal(const std::string& text) {
  std::string literal = json_text(text);
  literal.pop_back();  // the line's end
  return literal;
}

// Prints a literal; nothing where it is empty.
std::string printed(const std::string& text) {
  return text.empty() ? "" : "{{- " + jinja_literal(text) + " }}";
}

// What is joined to a content in an expression; nothing where the text is empty.
std::string literal_before(const std::string& text) {
  return text.empty() ? "" : jinja_literal(text) + " + ";
}
std::string literal_behind(const std::string& text) {
  return text.empty() ? "" : " + " + jinja_literal(text);
}

}  // namespace

ChatRenderer::ChatRenderer(ChatTemplate chat_template, const Tokenizer& tokenizer)
    : tokenizer_(tokenizer),
      template_(std::move(chat_template)),
      tokens_(tokenizer.named_tokens()) {
  std::ranges::stable_sort(tokens_, std::greater(),
                           [](const NamedToken& token) { return token.name.size(); });
  for (const auto& token : tokens_)
    if (token.is_control) refused_.push_back(token.name);
  begin_ = pieces_of(template_.begin);
  if (template_.system) system_ = role_of(*template_.system);
  user_ = role_of(template_.user);
  assistant_ = role_of(template_.assistant);
}

/// The token whose name the text begins with; nullptr where there is none.
const NamedToken* ChatRenderer::token_at(std::string_view text) const {
  const auto found = std::ranges::find_if(
      tokens_, [text](const NamedToken& token) { return text.starts_with(token.name); });
  return found == tokens_.end() ? nullptr : &*found;
}

ChatRenderer::Pieces ChatRenderer::pieces_of(std::string_view literal) {
  Pieces pieces;
  const auto add = [&](std::string_view text, std::int32_t control) {
    if (control < 0 && !pieces.empty() && pieces.back().control < 0) {
      pieces.back().text += text;
    } else {
      pieces.push_back({std::string(text), control, false});
    }
  };
  const auto add_document_token = [&](std::string_view placeholder, std::int32_t id) {
    const auto token = std::ranges::find(tokens_, id, &NamedToken::id);
    add(token == tokens_.end() ? "" : token->name, id);
    literal.remove_prefix(placeholder.size());
  };
  while (!literal.empty()) {
    if (literal.starts_with(kBos) && tokenizer_.bos() == tokenizer_.eos()) {
      literal.remove_prefix(kBos.size());
    } else if (literal.starts_with(kBos)) {
      add_document_token(kBos, tokenizer_.bos());
    } else if (literal.starts_with(kEos)) {
      add_document_token(kEos, tokenizer_.eos());
    } else if (const NamedToken* token = token_at(literal)) {
      if (token->is_control && token->strips_spaces) {
        throw InputError(tokenizer_.path().string() + ": its token " + quoted_text(token->name) +
                         ", which the chat template has, takes away spaces beside it, which is not "
                         "followed here; scripts/chat_to_tokens.py does");
      }
      add(token->name, token->is_control ? token->id : -1);
      if (!token->is_control) refused_.push_back(token->name);
      literal.remove_prefix(token->name.size());
    } else {
      add(literal.substr(0, 1), -1);
      literal.remove_prefix(1);
    }
  }
  return pieces;
}

ChatRenderer::Role ChatRenderer::role_of(const ChatRole& role) {
  return {pieces_of(role.prefix), pieces_of(role.opening), pieces_of(role.suffix),
          pieces_of(role.after), role.trained};
}

const ChatRenderer::Role* ChatRenderer::role_named(const std::string& name) const {
  if (name == "user") return &user_;
  if (name == "assistant") return &assistant_;
  return name == "system" && system_ ? &*system_ : nullptr;
}

std::string ChatRenderer::content_of(const ChatMessage& message) const {
  return template_.trim ? stripped(message.content) : message.content;
}

void ChatRenderer::append(const Role& role, const ChatMessage& message, const Pieces& system,
                          Pieces& out) const {
  const bool trained = message.train.value_or(role.trained);
  const auto add = [&out](const Pieces& pieces, bool is_target) {
    for (const auto& piece : pieces) out.push_back({piece.text, piece.control, is_target});
  };
  add(role.prefix, false);
  out.insert(out.end(), system.begin(), system.end());
  add(role.opening, trained);
  out.push_back({content_of(message), -1, trained});
  add(role.suffix, trained);
  add(role.after, false);
}

std::variant<std::vector<ChatPiece>, JsonLineProblem> ChatRenderer::render(
    const Conversation& conversation) const {
  Pieces pieces = begin_, system;
  for (const auto& message : conversation.messages) {
    const Role* const role = role_named(message.role);
    if (role == nullptr) {
      return JsonLineProblem{"has a message of the role " + quoted_text(message.role) +
                             ", for which the template has no place"};
    }
    const bool is_system = role != &user_ && role != &assistant_;
    if (!system.empty() && role != &user_) break;  // it is left over
    if (is_system && template_.system_in_user) {
      append(*role, message, {}, system);
    } else {
      append(*role, message, std::exchange(system, {}), pieces);
    }
  }
  if (system.empty()) return pieces;
  return JsonLineProblem{
      "has a system message that no message of the user follows, in which the template would put "
      "it"};
}

std::string ChatRenderer::spelled_token(const Conversation& conversation) const {
  std::string first_letters;
  for (const auto& name : refused_)
    if (first_letters.find(name.front()) == std::string::npos) first_letters += name.front();
  for (const auto& message : conversation.messages) {
    const std::string_view text = message.content;
    for (std::size_t at = 0; (at = text.find_first_of(first_letters, at)) != text.npos; ++at) {
      for (const auto& name : refused_)
        if (text.substr(at).starts_with(name)) return name;
    }
  }
  return "";
}

std::string ChatRenderer::end_of_turn() const { return text_of(assistant_.suffix); }

std::int32_t ChatRenderer::end_token() const {
  for (const auto& piece : assistant_.suffix)
    if (piece.control >= 0) return piece.control;
  return -1;
}

std::string ChatRenderer::jinja() const {
  const auto message = [](const Role& role, const std::string& system) {
    const std::string content = "{{- " + literal_before(text_of(role.opening)) + "content" +
                                literal_behind(text_of(role.suffix)) + " }}";
    return printed(text_of(role.prefix)) + system +
           (role.trained ? "{% generation %}" + content + "{% endgeneration %}" : content) +
           printed(text_of(role.after));
  };
  const bool folds = template_.system_in_user;
  std::string text = printed(text_of(begin_));
  if (folds) text += "{%- set pending = namespace(system=\"\") %}";
  text += "\n{%- for message in messages %}\n";
  text += std::string("    {%- set content = message[\"content\"]") +
          (template_.trim ? " | trim" : "") + " %}\n";
  text += "    {%- if message[\"role\"] == \"user\" %}\n        " +
          message(user_, folds ? "{{- pending.system }}{%- set pending.system = \"\" %}" : "");
  text +=
      "\n    {%- elif message[\"role\"] == \"assistant\" %}\n        " + message(assistant_, "");
  if (system_) {
    text += "\n    {%- elif message[\"role\"] == \"system\" %}\n        ";
    text += !folds ? message(*system_, "")
                   : "{%- set pending.system = " +
                         literal_before(text_of(system_->prefix) + text_of(system_->opening)) +
                         "content" +
                         literal_behind(text_of(system_->suffix) + text_of(system_->after)) + " %}";
  }
  text +=
      "\n    {%- else %}\n        {{- raise_exception(\"no place for the role \" + "
      "message[\"role\"]) }}\n    {%- endif %}\n{%- endfor %}\n";
  const std::string prompt = printed(text_of(assistant_.prefix));
  if (!prompt.empty()) text += "{%- if add_generation_prompt %}" + prompt + "{%- endif %}\n";
  return text;
}

}  // namespace zebra

#pragma once

#include <optional>
#include <string>
#include <vector>

namespace zebra {

/// How a message of a role is written: prefix, opening, its content, suffix, after. "{bos}" and
/// "{eos}" in them stand for these tokens, the name of a control token of the tokenizer for it.
struct ChatRole {
  std::string prefix;   ///< tells whose turn it is; never a target
  std::string opening;  ///< between prefix and content; a target where the content is one
  std::string suffix;   ///< ends the turn; a target where the content is one
  std::string after;    ///< between this turn and the next; never a target
  bool trained = false;
};

/// How a conversation becomes text.
struct ChatTemplate {
  std::string begin;            ///< in front of everything
  bool trim = false;            ///< whether contents lose the white space at both ends
  bool system_in_user = false;  ///< whether a system message stands in the user message behind it,
                                ///< between prefix and opening
  std::optional<ChatRole> system;
  ChatRole user, assistant;
};

/// The names of the templates that are built in.
std::vector<std::string> chat_template_names();

/// The template of that name, or the one that a YAML file describes: `begin`, `trim`,
/// `system_in_user`, and `roles` with `system`, `user` and `assistant`, each with the members of
/// ChatRole. Throws InputError that names all that is wrong with the file.
ChatTemplate open_chat_template(const std::string& name_or_file);

}  // namespace zebra

#include "data/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "config/read_fields.h"
#include "config/unknown_keys.h"
#include "config/yaml.h"

namespace zebra {
namespace {

struct NamedTemplate {
  const char* name;
  const char* yaml;
};

constexpr std::array kTemplates = {
    NamedTemplate{"chatml", R"(
begin: "{bos}"
roles:
  system: {prefix: "<|im_start|>system\n", suffix: "<|im_end|>", after: "\n"}
  user: {prefix: "<|im_start|>user\n", suffix: "<|im_end|>", after: "\n"}
  assistant: {prefix: "<|im_start|>assistant\n", suffix: "<|im_end|>", after: "\n"}
)"},
    NamedTemplate{"llama2", R"(
trim: true
system_in_user: true
roles:
  system: {prefix: "<<SYS>>\n", suffix: "\n<</SYS>>\n\n"}
  user: {prefix: "{bos}[INST] ", suffix: " [/INST]"}
  assistant: {opening: " ", suffix: " {eos}"}
)"},
    NamedTemplate{"llama3", R"(
begin: "{bos}"
trim: true
roles:
  system: {prefix: "<|start_header_id|>system<|end_header_id|>\n\n", suffix: "<|eot_id|>"}
  user: {prefix: "<|start_header_id|>user<|end_header_id|>\n\n", suffix: "<|eot_id|>"}
  assistant: {prefix: "<|start_header_id|>assistant<|end_header_id|>\n\n", suffix: "<|eot_id|>"}
)"},
    NamedTemplate{"zephyr", R"(
begin: "{bos}"
roles:
  system: {prefix: "<|system|>\n", suffix: "{eos}", after: "\n"}
  user: {prefix: "<|user|>\n", suffix: "{eos}", after: "\n"}
  assistant: {prefix: "<|assistant|>\n", suffix: "{eos}", after: "\n"}
)"},
};

// A template as a file has it.
struct TemplateFile {
  std::string begin;
  bool trim = false, system_in_user = false;
  struct Roles {
    ChatRole system, user,
        assistant{.prefix = "", .opening = "", .suffix = "", .after = "", .trained = true};
  } roles;
};

}  // namespace

template <class V>
void describe(V& v, ChatRole& s) {
  v.other("prefix", anything(), "Text in front of a message.");
  v.other("opening", anything(), "Text behind the prefix, trained as the message.");
  v.other("suffix", anything(), "Text behind a message, trained as the message.");
  v.other("after", anything(), "Text behind the suffix, never trained.");
  v.field("trained", s.trained, anything(), "Whether messages count as targets.");
}

namespace {

template <class V>
void describe(V& v, TemplateFile::Roles& s) {
  v.group("system", s.system, anything(), "What is said before the conversation.");
  v.group("user", s.user, anything(), "Who asks.");
  v.group("assistant", s.assistant, anything(), "Who answers.");
}

template <class V>
void describe(V& v, TemplateFile& s) {
  v.other("begin", anything(), "Text in front of the conversation.");
  v.field("trim", s.trim, anything(), "Whether messages lose white space at their ends.");
  v.field("system_in_user", s.system_in_user, anything(),
          "Whether a system message is the user's.");
  v.group("roles", s.roles, anything(), "How messages are written.");
}

const Value* role_in(const Value& root, const char* name) {
  const Entry* roles = root.find("roles");
  const Entry* role =
      roles == nullptr || roles->value.kind != Value::Kind::map ? nullptr : roles->value.find(name);
  return role == nullptr ? nullptr : &role->value;
}

// Unlike the text of other keys it is taken as it is: it may be empty, and has line ends.
void read_text(const Value& map, const std::string& prefix, const char* name, std::string& out,
               Report& report) {
  const Entry* entry = map.find(name);
  if (entry == nullptr || entry->value.kind == Value::Kind::null) return;
  if (entry->value.kind == Value::Kind::scalar) {
    out = entry->value.scalar;
  } else {
    report.problem(prefix + name, "must be text, not " + entry->value.described());
  }
}

void read_texts(const Value& root, const char* name, ChatRole& role, Report& report) {
  const Value* map = role_in(root, name);
  if (map == nullptr) return;
  const std::string prefix = std::string("roles.") + name + ".";
  read_text(*map, prefix, "prefix", role.prefix, report);
  read_text(*map, prefix, "opening", role.opening, report);
  read_text(*map, prefix, "suffix", role.suffix, report);
  read_text(*map, prefix, "after", role.after, report);
}

ChatTemplate read_template(const std::string& yaml, const std::string& source) {
  static const KeyInfo kKeys = keys_of<TemplateFile>();
  const Value root = parse_yaml(yaml, source);
  Report report({source});
  check_keys(root, report, kKeys);
  TemplateFile file;
  FieldReader reader(root, "", report);
  describe(reader, file);
  auto& [system, user, assistant] = file.roles;
  read_text(root, "", "begin", file.begin, report);
  read_texts(root, "system", system, report);
  read_texts(root, "user", user, report);
  read_texts(root, "assistant", assistant, report);
  const bool knows_roles = report.sound({"roles"});
  for (const char* role : {"user", "assistant"}) {
    if (knows_roles && role_in(root, role) == nullptr)
      report.problem("roles", std::string("has no ") + role + ": say how its messages are written");
  }
  const bool has_system = role_in(root, "system") != nullptr;
  if (file.system_in_user && !has_system)
    report.problem("system_in_user", "needs roles.system: say how a system message is written");
  if (!system.trained && !user.trained && !assistant.trained)
    report.problem("roles", "train none of the messages; leave `trained` of the assistant out");
  report.throw_if_any();
  return {
      file.begin, file.trim, file.system_in_user, has_system ? std::optional(system) : std::nullopt,
      user,       assistant};
}

}  // namespace

std::vector<std::string> chat_template_names() {
  std::vector<std::string> names;
  for (const auto& known : kTemplates) names.emplace_back(known.name);
  return names;
}

ChatTemplate open_chat_template(const std::string& name_or_file) {
  for (const auto& known : kTemplates)
    if (name_or_file == known.name) return read_template(known.yaml, known.name);
  if (!std::filesystem::exists(name_or_file)) {
    throw InputError(name_or_file + ": is neither the name of a chat template (" +
                     join(chat_template_names(), ", ") + ") nor a file that describes one");
  }
  return read_template(read_text_input(name_or_file), name_or_file);
}

}  // namespace zebra

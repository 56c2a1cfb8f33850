#include "data/conversation.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/json_reader.h"

namespace zebra {
namespace {

using LineJson = nlohmann::json;

constexpr std::array kListNames = {"messages", "conversations", "conversation"};
constexpr const char* kFallback =
    "; scripts/chat_to_tokens.py renders what templates of HuggingFace can";

// What is wrong within a line, on its way out of its parsing.
struct LineFault {
  std::string reason;
};

bool is_there(const LineJson* value) { return value != nullptr && !value->is_null(); }

const LineJson* given_member(const LineJson& object, const char* key) {
  const LineJson* member = member_of(object, key);
  return is_there(member) ? member : nullptr;
}

std::string text_of_parts(const LineJson& parts, const std::string& where) {
  std::string text;
  for (const auto& part : parts) {
    const auto* type = member_of(part, "type");
    const auto* own = member_of(part, "text");
    if (type == nullptr || *type != "text" || own == nullptr || !own->is_string())
      throw LineFault{where + " with a part that is no text" + kFallback};
    text += own->get<std::string>();
  }
  return text;
}

std::string content_of(const LineJson& message, const char* key, const std::string& where) {
  for (const char* tools : {"tool_calls", "function_call"}) {
    if (given_member(message, tools) != nullptr)
      throw LineFault{where + " with " + quoted_text(tools) + kFallback};
  }
  const auto* content = given_member(message, key);
  if (content != nullptr && content->is_string()) return content->get<std::string>();
  if (content != nullptr && content->is_array()) return text_of_parts(*content, where);
  throw LineFault{where + " whose " + quoted_text(key) + " is no text"};
}

std::optional<bool> trained_flag(const LineJson& message, const std::string& where) {
  const auto* train = given_member(message, "train");
  const auto* weight = given_member(message, "weight");
  if (train != nullptr && !train->is_boolean())
    throw LineFault{where + " whose \"train\" is neither true nor false"};
  if (train != nullptr) return train->get<bool>();
  if (weight == nullptr) return std::nullopt;
  if (*weight != 0 && *weight != 1) throw LineFault{where + " whose \"weight\" is neither 0 nor 1"};
  return *weight == 1;
}

std::string role_of(const LineJson& message, const char* key, const std::string& where) {
  const auto* role = given_member(message, key);
  if (role == nullptr || !role->is_string())
    throw LineFault{where + " whose " + quoted_text(key) + " is no text"};
  const auto name = role->get<std::string>();
  return name == "human" ? "user" : name == "gpt" ? "assistant" : name;
}

ChatMessage message_of(const LineJson& message, std::size_t number) {
  const std::string where = "has a message " + std::to_string(number);
  if (!message.is_object()) throw LineFault{where + " that is no object {…}"};
  const bool is_sharegpt = message.contains("from");
  return {role_of(message, is_sharegpt ? "from" : "role", where),
          content_of(message, is_sharegpt ? "value" : "content", where),
          trained_flag(message, where)};
}

const LineJson* list_of(const LineJson& object) {
  for (const char* name : kListNames) {
    const auto* list = given_member(object, name);
    if (list == nullptr) continue;
    if (!list->is_array()) throw LineFault{"has " + quoted_text(name) + " that is no list"};
    return list;
  }
  return nullptr;
}

std::string text_field(const LineJson& object, const char* key) {
  const auto* value = given_member(object, key);
  if (value == nullptr) return "";
  if (!value->is_string()) throw LineFault{"has " + quoted_text(key) + " that is no text"};
  return value->get<std::string>();
}

void add_alpaca(const LineJson& object, Conversation& conversation) {
  if (given_member(object, "instruction") == nullptr || given_member(object, "output") == nullptr) {
    throw LineFault{
        "holds no conversation: neither a list \"messages\" (or \"conversations\") nor "
        "\"instruction\" and \"output\""};
  }
  const std::string input = text_field(object, "input");
  conversation.messages.push_back(
      {"user", text_field(object, "instruction") + (input.empty() ? "" : "\n\n" + input), {}});
  conversation.messages.push_back({"assistant", text_field(object, "output"), {}});
}

}  // namespace

std::variant<Conversation, JsonLineProblem> parse_conversation(std::string_view line) {
  auto parsed = parse_json_object(line);
  if (auto* problem = std::get_if<JsonLineProblem>(&parsed)) return std::move(*problem);
  const auto& [object, half_surrogates] = std::get<JsonObjectLine>(parsed);
  Conversation conversation;
  try {
    const auto* tools = given_member(object, "tools");
    if (tools != nullptr && !tools->empty() && *tools != "" && *tools != "[]")
      throw LineFault{std::string("has \"tools\"") + kFallback};
    if (const auto system = text_field(object, "system"); !system.empty())
      conversation.messages.push_back({"system", system, {}});
    if (const auto* list = list_of(object)) {
      for (std::size_t i = 0; i < list->size(); ++i)
        conversation.messages.push_back(message_of((*list)[i], i + 1));
    } else {
      add_alpaca(object, conversation);
    }
  } catch (const LineFault& fault) {
    return JsonLineProblem{fault.reason};
  }
  conversation.half_surrogates =
      half_surrogates && std::ranges::any_of(conversation.messages, [](const ChatMessage& message) {
        return message.content.find("\xEF\xBF\xBD") != std::string::npos;
      });
  return conversation;
}

}  // namespace zebra

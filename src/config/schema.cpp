#include <nlohmann/json.hpp>
#include <string>

#include "config/catalogue.h"
#include "config/load.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

const char* json_type(KeyType type) {
  switch (type) {
    case KeyType::integer:
      return "integer";
    case KeyType::number:
      return "number";
    case KeyType::boolean:
      return "boolean";
    case KeyType::text:
    case KeyType::path:
    case KeyType::choice:
      return "string";
    case KeyType::pair:
    case KeyType::values:
    case KeyType::list:
      return "array";
    case KeyType::group:
    case KeyType::other:
      break;
  }
  return "object";
}

/// Bounds are whole numbers where they are whole, as a person would write them.
Json bound(double value) {
  const auto whole = static_cast<std::int64_t>(value);
  return static_cast<double>(whole) == value ? Json(whole) : Json(value);
}

Json bounds(const Rules& rules) {
  Json json = Json::object();
  if (rules.minimum) {
    json[rules.minimum_excluded ? "exclusiveMinimum" : "minimum"] = bound(*rules.minimum);
  }
  if (rules.maximum) {
    json[rules.maximum_excluded ? "exclusiveMaximum" : "maximum"] = bound(*rules.maximum);
  }
  return json;
}

Json schema_of(const KeyInfo& info);

void add_properties(Json& json, const KeyInfo& group) {
  json["additionalProperties"] = false;
  json["properties"] = Json::object();
  for (const KeyInfo& child : group.children) json["properties"][child.name] = schema_of(child);
}

/// What each element of a list must hold. Sections have no such demand: another file or --set may
/// give the key.
Json element_schema(const KeyInfo& list) {
  Json json = {{"type", "object"}};
  add_properties(json, list);
  json["required"] = Json::array();
  for (const KeyInfo& child : list.children) {
    if (child.rules.is_required) json["required"].push_back(child.name);
  }
  return json;
}

std::string description_of(const KeyInfo& info) {
  return info.rules.default_note.empty() ? info.help
                                         : info.help + " Default: " + info.rules.default_note + ".";
}

Json schema_of(const KeyInfo& info) {
  Json json = {{"description", description_of(info)}, {"type", json_type(info.type)}};
  if (!info.rules.choices.empty()) json["enum"] = info.rules.choices;
  if (info.type == KeyType::group) add_properties(json, info);
  if (info.type == KeyType::list) {
    if (info.rules.minimum) json["minItems"] = bound(*info.rules.minimum);
    json["items"] = element_schema(info);
  } else if (info.type == KeyType::pair) {
    json["items"] = {{"type", "number"}};
    json["items"].update(bounds(info.rules));
    json["minItems"] = 2;
    json["maxItems"] = 2;
  } else {
    json.update(bounds(info.rules));
  }
  if (info.default_text) {
    const bool is_text =
        info.type == KeyType::text || info.type == KeyType::path || info.type == KeyType::choice;
    json["default"] = is_text ? Json(*info.default_text) : Json::parse(*info.default_text);
  }
  return json;
}

}  // namespace

std::string config_schema() {
  Json json = {{"$schema", "http://json-schema.org/draft-07/schema#"},
               {"title", "Zebra run file"},
               {"type", "object"}};
  add_properties(json, catalogue());
  json["patternProperties"] = {{"^x-", Json::object()}};
  return json.dump(2) + "\n";
}

}  // namespace zebra

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/text.h"
#include "config/catalogue.h"
#include "config/load.h"
#include "config/model_base.h"

namespace zebra {
namespace {

constexpr const char* kIntroduction =
    R"(# Configuration reference

This page is printed by `zebra config --reference`. It lists every key of a run file, the YAML
file that `zebra train`, `zebra plan` and `zebra config` read. `zebra config RUN.yaml` prints the
resolved configuration: every key with the value that the run will use. `zebra config --schema`
prints a JSON Schema (draft 07) with which editors complete and check run files.

A whole small run file:

```yaml
run: {name: tiny, dir: runs/tiny, seed: 1}
model: {preset: zebra-tiny}
data:
  tokenizer: tok.model
  train: [{path: data/train}]
  validation: [{path: data/valid}]
  sequence_length: 256
optimizer: {lr: 1.0e-3}
schedule: {type: cosine, warmup_steps: 100}
train: {max_steps: 2000, global_batch_size: 16, micro_batch_size: 8}
eval: {every_steps: 200}
```

## How a run file is read

- **Order.** Values come from the preset, then from the run files in the order given, then from
  `--set`; later ones win. Maps merge key by key; scalars and lists replace what was there.
- **Several files.** `zebra train base.yaml long.yaml` reads `long.yaml` on top of `base.yaml`, so
  that a variant holds only what differs.
- **Overrides.** `--set section.key=VALUE` sets any key; VALUE is YAML, so that
  `--set data.train='[{path: data/more}]'` replaces a list. Give `--set` once for each key.
- **Presets.** `model.preset: NAME` fills in a shape (see the table below); keys given beside it
  win.
- **Environment.** `${NAME}` in a value is replaced by that environment variable, which must be
  set; `$${` stands for a literal `${`.
- **Paths.** A relative path is relative to the working directory, one that begins with `~/` to
  the home folder. The resolved configuration holds absolute paths.
- **Shared pieces.** Top-level keys that begin with `x-` are ignored: they hold anchors
  (`x-common: &common {…}`) for aliases (`*common`) and merge keys (`<<: *common`) elsewhere in
  the same file.
- **Absent and empty.** A key whose default follows from other keys may be unset with an empty
  value (`--set model.window_size=`).
- **Numbers.** A whole number may be written as `1e6`. Numbers must be finite.
- **Limits.** Names and paths have no control characters. A file has at most 16 MiB and stands for
  at most 100,000 values, its aliases written out.
- **Mistakes.** All problems are reported at once, each with file, line and key, and the command
  ends with status 2. An unknown key is an error that names the key that was likely meant, also
  for the words of other trainers.
)";

/// What a type is called in the reference and in a JSON Schema.
struct TypeNames {
  const char *reference, *schema;
};

TypeNames names_of_type(KeyType type) {
  static const std::map<KeyType, TypeNames> kNames = {
      {KeyType::integer, {"integer", "integer"}}, {KeyType::number, {"number", "number"}},
      {KeyType::boolean, {"boolean", "boolean"}}, {KeyType::text, {"text", "string"}},
      {KeyType::path, {"path", "string"}},        {KeyType::choice, {"choice", "string"}},
      {KeyType::pair, {"two numbers", "array"}},  {KeyType::values, {"list of values", "array"}},
      {KeyType::list, {"list of maps", "array"}}};
  const auto found = kNames.find(type);
  return found == kNames.end() ? TypeNames{"map", "object"} : found->second;
}

std::string code(const std::string& text) { return "`" + text + "`"; }

std::string default_cell(const KeyInfo& info) {
  if (info.rules.is_required) {
    if (!info.rules.alternative.empty()) return "required, or " + code(info.rules.alternative);
    return info.rules.required_hint.empty() ? "required" : "required, unless a preset gives it";
  }
  return info.default_text ? code(*info.default_text) : info.rules.default_note;
}

std::string accepted_cell(const KeyInfo& info) {
  if (info.type == KeyType::boolean) return "`true`, `false`";
  if (info.type == KeyType::list) return info.rules.minimum ? "not empty" : "";
  std::vector<std::string> choices;
  for (const std::string& choice : info.rules.choices) choices.push_back(code(choice));
  if (!choices.empty()) return join(choices, ", ");
  return (info.type == KeyType::pair ? "each " : "") + info.rules.range_text();
}

std::string table_row(const std::vector<std::string>& cells) {
  return "| " + join(cells, " | ") + " |\n";
}

/// A table row; keys are relative to their section.
std::string row(const KeyInfo& info, const KeyInfo& section) {
  const std::string key = info.key.substr(section.key.size() + 1);
  const std::string type =
      info.rules.choices.empty() ? names_of_type(info.type).reference : "choice";
  return table_row({code(key), type, default_cell(info), accepted_cell(info), info.help});
}

std::string section_text(const KeyInfo& section) {
  std::string text = "\n## " + code(section.name) + "\n\n" + section.help + "\n\n";
  text += "| Key | Type | Default | Range or choices | Meaning |\n|---|---|---|---|---|\n";
  for (const KeyInfo* info : leaves(section)) text += row(*info, section);
  return text;
}

/// Parameters of a shape with untied embeddings (closed form: attention, SwiGLU and two norms per
/// layer, a final norm).
std::int64_t parameters(const ModelSection& model, std::int64_t vocabulary) {
  const std::int64_t head_rows = 2 * (model.num_attention_heads + *model.num_key_value_heads);
  const std::int64_t attention = model.hidden_size * *model.head_dim * head_rows;
  const std::int64_t feed_forward = 3 * model.hidden_size * model.intermediate_size;
  return model.num_hidden_layers * (attention + feed_forward + 2 * model.hidden_size) +
         model.hidden_size + 2 * vocabulary * model.hidden_size;
}

/// The preset as a run resolves it; the keys that a run must give besides are of no interest here.
ModelSection resolved_model(const Preset& preset) {
  return parse_run_file(
             preset.yaml, "preset " + preset.name,
             {"run.dir=run", "data.tokenizer=tokenizer.model", "data.train=[{path: data}]",
              "data.sequence_length=1", "train.max_steps=1", "train.global_batch_size=1"})
      .model;
}

std::string presets_text() {
  constexpr std::int64_t kVocabulary = 32000;
  std::string text =
      "\n## Presets\n\nPass any other model key beside `preset` to change it. Parameters are "
      "counted with " +
      with_commas(kVocabulary) +
      " tokens and an untied head; \"body\" is what remains without embedding and head. All "
      "presets mix global and local "
      "layers, the first layer of each group being global.\n\n"
      "| Preset | Parameters | Body | `hidden_size` | `intermediate_size` | Layers | Heads "
      "(key-value) | `head_dim` | "
      "`attention_pattern` | `window_size` | Use "
      "|\n|---|---|---|---|---|---|---|---|---|---|---|\n";
  for (const Preset& preset : presets()) {
    const ModelSection model = resolved_model(preset);
    const auto count = [](std::int64_t number) { return std::to_string(number); };
    const auto size = [&](std::int64_t vocabulary) {
      return with_suffix(static_cast<double>(parameters(model, vocabulary)));
    };
    const std::string period =
        model.attention_pattern->substr(0, model.attention_pattern->find('G', 1));
    const std::string heads =
        count(model.num_attention_heads) + " (" + count(*model.num_key_value_heads) + ")";
    text += table_row({code(preset.name), size(kVocabulary), size(0), count(model.hidden_size),
                       count(model.intermediate_size), count(model.num_hidden_layers), heads,
                       count(*model.head_dim), code(period), count(*model.window_size),
                       preset.summary});
  }
  return text;
}

/// A section all of whose keys may change is named once.
std::string resume_text() {
  std::vector<std::string> keys;
  for (const KeyInfo& section : catalogue().children) {
    if (section.rules.changeable_on_resume) {
      keys.push_back(code(section.name));
      continue;
    }
    for (const KeyInfo* info : leaves(section)) {
      if (info->rules.changeable_on_resume) keys.push_back(code(info->key));
    }
  }
  return "\n## What a resumed run may change\n\n" + join(keys, ", ") +
         ". Any other changed key is refused with the difference: the run would no longer be the "
         "same run.\n";
}

using Json = nlohmann::ordered_json;

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

/// A choice as YAML reads it: `true` and `false` are no texts.
Json choice_value(const std::string& choice) {
  if (choice == "true" || choice == "false") return choice == "true";
  return choice;
}

/// The values of a choice, and the types that they have in YAML.
void add_choices(Json& json, const std::vector<std::string>& choices) {
  json["enum"] = Json::array();
  for (const std::string& choice : choices) json["enum"].push_back(choice_value(choice));
  const auto& values = json["enum"];
  const bool has_switch = std::any_of(values.begin(), values.end(),
                                      [](const Json& value) { return value.is_boolean(); });
  if (has_switch) json["type"] = {"boolean", "string"};
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

Json schema_of(const KeyInfo& info) {
  const auto& note = info.rules.default_note;
  Json json = {{"description", info.help + (note.empty() ? "" : " Default: " + note + ".")},
               {"type", names_of_type(info.type).schema}};
  if (!info.rules.choices.empty()) add_choices(json, info.rules.choices);
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
    const bool is_text = json["type"] == "string" || !info.rules.choices.empty();
    json["default"] = is_text ? choice_value(*info.default_text) : Json::parse(*info.default_text);
  }
  return json;
}

}  // namespace

std::string config_reference() {
  std::string text = kIntroduction + presets_text();
  for (const KeyInfo& section : catalogue().children) text += section_text(section);
  return text + resume_text();
}

std::string config_schema() {
  Json json = {{"$schema", "http://json-schema.org/draft-07/schema#"},
               {"title", "Zebra run file"},
               {"type", "object"}};
  add_properties(json, catalogue());
  json["patternProperties"] = {{"^x-", Json::object()}};
  return json.dump(2) + "\n";
}

}  // namespace zebra

#include "data/tokenizer_json_file.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_map>

#include "base/error.h"
#include "base/json_reader.h"

namespace zebra {
namespace {

using Object = nlohmann::json;

constexpr std::int64_t kLargestId = std::int64_t{1} << 24;  // far above any vocabulary

Object parse_object(const std::string& text, const std::string& name, const char* what) {
  if (const auto fault = json_object_fault(text); !fault.empty())
    throw InputError(name + ": is not " + what + ": " + fault);
  return Object::parse(text);
}

bool is_given(const Object* value) { return value != nullptr && !value->is_null(); }

std::string string_of(const Object* value) {
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

bool flag_of(const Object& object, const char* key, bool otherwise = false) {
  const auto* value = member_of(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : otherwise;
}

std::string type_of(const Object& step) {
  const auto type = string_of(member_of(step, "type"));
  return type.empty() ? "unnamed" : type;
}

// The steps of a stage that is absent, one step, or a sequence of them under `key`.
std::vector<Object> steps_of(const Object* stage, const char* key) {
  if (!is_given(stage)) return {};
  if (type_of(*stage) != "Sequence") return {*stage};
  std::vector<Object> steps;
  const auto* list = member_of(*stage, key);
  if (list == nullptr || !list->is_array()) return {*stage};
  for (const auto& step : *list)
    for (auto& inner : steps_of(&step, key)) steps.push_back(std::move(inner));
  return steps;
}

// One reading of the files.
class Reading {
 public:
  Reading(const TokenizerFiles& files, const std::string& name)
      : name_(name),
        file_(parse_object(files.at(kTokenizerJsonFile), name,
                           "a SentencePiece model, nor a whole tokenizer.json")) {
    if (const auto config = files.find(kTokenizerConfigFile); config != files.end())
      config_ = parse_object(config->second, config_name(), "a JSON object");
  }

  TokenizerJson result() {
    read_added_tokens();
    read_model();
    read_normalizer();
    read_pre_tokenizer();
    read_decoder();
    read_document_tokens();
    read_.unsupported = join(unsupported_, ", ");
    return std::move(read_);
  }

 private:
  std::string config_name() const { return std::string(kTokenizerConfigFile) + " beside " + name_; }

  [[noreturn]] void refuse(const std::string& what) const {
    throw InputError(name_ + ": is not a whole tokenizer.json: " + what);
  }

  std::int32_t id_of(const Object& value, const std::string& token) const {
    const auto id = count_of<std::int64_t>(value);
    if (!id || *id > kLargestId) refuse("the id of the token " + quoted_text(token));
    return static_cast<std::int32_t>(*id);
  }

  void add_token(const std::string& text, std::int32_t id) {
    read_.vocabulary.emplace_back(text, id);
    ids_.emplace(text, id);
  }

  void read_added_tokens() {
    const auto* list = member_of(file_, "added_tokens");
    if (!is_given(list)) return;
    if (!list->is_array()) refuse("added_tokens is no list");
    for (const auto& entry : *list) {
      AddedToken token;
      token.content = string_of(member_of(entry, "content"));
      const auto* id = member_of(entry, "id");
      if (token.content.empty() || id == nullptr) refuse("an added token without content or id");
      token.id = id_of(*id, token.content);
      token.is_special = flag_of(entry, "special");
      token.is_normalized = flag_of(entry, "normalized", !token.is_special);
      for (const char* rule : {"single_word", "lstrip", "rstrip"}) {
        token.strips_spaces |= flag_of(entry, rule) && std::string_view(rule) != "single_word";
        if (!token.is_special && flag_of(entry, rule))
          unsupported_.push_back("its token " + quoted_text(token.content) + " has " + rule);
      }
      ids_.emplace(token.content, token.id);
      read_.added_tokens.push_back(std::move(token));
    }
  }

  void read_model() {
    const auto* model = member_of(file_, "model");
    if (model == nullptr || !model->is_object()) refuse("it has no model");
    read_vocabulary(*model);
    const auto* merges = member_of(*model, "merges");
    // Files of old releases do not name the type.
    const std::string type = is_given(member_of(*model, "type")) ? type_of(*model)
                             : merges != nullptr                 ? "BPE"
                                                                 : "unnamed";
    if (type != "BPE") {
      unsupported_.push_back("its model is " + type);
      return;
    }
    if (flag_of(*model, "byte_fallback"))
      unsupported_.push_back("its model is BPE of characters (byte_fallback)");
    for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
      const auto* value = member_of(*model, key);
      if (is_given(value) && *value != Object("") && *value != Object(0.0))
        unsupported_.push_back(std::string("its model has ") + key);
    }
    read_.ignores_merges = flag_of(*model, "ignore_merges");
    if (merges == nullptr || !merges->is_array()) refuse("its model has no merges");
    for (const auto& merge : *merges) read_merge(merge);
  }

  // A map of texts to ids, or, of unigram models, a list of texts with their scores.
  void read_vocabulary(const Object& model) {
    const auto* vocabulary = member_of(model, "vocab");
    if (vocabulary == nullptr || vocabulary->empty()) refuse("its model has no vocab");
    if (vocabulary->is_object()) {
      for (const auto& [text, id] : vocabulary->items()) add_token(text, id_of(id, text));
      return;
    }
    if (!vocabulary->is_array()) refuse("its vocab is neither a map nor a list");
    std::int32_t id = 0;
    for (const auto& entry : *vocabulary) {
      if (!entry.is_array() || entry.empty() || !entry[0].is_string())
        refuse("an entry of its vocab is no pair of a text and a score");
      add_token(entry[0].get<std::string>(), id++);
    }
  }

  // "a b", or as a list of two.
  void read_merge(const Object& merge) {
    if (merge.is_string()) {
      const auto text = merge.get<std::string>();
      const auto space = text.find(' ');
      if (space == std::string::npos) refuse("the merge " + quoted_text(text));
      read_.merges.emplace_back(text.substr(0, space), text.substr(space + 1));
      return;
    }
    if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string())
      refuse("a merge that is no pair of tokens");
    read_.merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
  }

  void read_normalizer() {
    for (const auto& step : steps_of(member_of(file_, "normalizer"), "normalizers")) {
      if (type_of(step) == "NFC") {
        read_.composes = true;
      } else {
        unsupported_.push_back("its normalizer is " + type_of(step));
      }
    }
  }

  // Splits by known expressions and then the letters of byte_level, or GPT-2's form of both.
  void read_pre_tokenizer() {
    const auto steps = steps_of(member_of(file_, "pre_tokenizer"), "pretokenizers");
    std::vector<std::string> types, expressions;
    bool is_plain = !steps.empty();
    for (std::size_t i = 0; i < steps.size(); ++i) {
      const auto type = type_of(steps[i]);
      types.push_back(type);
      if (i + 1 == steps.size()) {
        is_plain = is_plain && type == "ByteLevel" && !flag_of(steps[i], "add_prefix_space", true);
      } else {
        is_plain = is_plain && type == "Split" && !flag_of(steps[i], "invert") &&
                   string_of(member_of(steps[i], "behavior")) == "Isolated";
        const auto* pattern = member_of(steps[i], "pattern");
        expressions.push_back(pattern == nullptr ? "" : string_of(member_of(*pattern, "Regex")));
      }
    }
    if (is_plain && expressions.empty() && flag_of(steps[0], "use_regex", true)) {
      read_.pattern = SplitPattern::gpt2;
      return;
    }
    const auto pattern = split_pattern_of(expressions);
    if (is_plain && pattern && !flag_of(steps.back(), "use_regex", true)) {
      read_.pattern = *pattern;
      return;
    }
    std::string what = types.empty() ? "absent" : join(types, " + ");
    if (!expressions.empty()) what += " with the pattern " + quoted_text(expressions.back());
    unsupported_.push_back("its pre-tokenizer (" + what +
                           ") is none of GPT-2, Llama 3, Qwen 2, o200k and DeepSeek");
  }

  void read_decoder() {
    const auto steps = steps_of(member_of(file_, "decoder"), "decoders");
    if (steps.size() == 1 && type_of(steps[0]) == "ByteLevel") return;
    unsupported_.push_back("its decoder is " + (steps.empty() ? "absent" : type_of(steps.front())));
  }

  std::optional<std::int32_t> configured(const char* key) const {
    const auto* value = member_of(config_, key);
    if (!is_given(value)) return std::nullopt;
    const auto text = string_of(value->is_object() ? member_of(*value, "content") : value);
    const auto id = known(text);
    if (!id) {
      throw InputError(config_name() + ": " + key + ": " + quoted_text(text) +
                       " is no token of it");
    }
    return id;
  }

  std::optional<std::int32_t> known(const std::string& text) const {
    const auto found = ids_.find(text);
    return found == ids_.end() ? std::nullopt : std::optional(found->second);
  }

  // What the post-processor puts before and behind a text: by a template, or in BERT's form, where
  // cls and sep are pairs of a text and an id.
  void read_post_processor(std::optional<std::int32_t>& bos,
                           std::optional<std::int32_t>& eos) const {
    for (const auto& step : steps_of(member_of(file_, "post_processor"), "processors")) {
      const auto* cls = member_of(step, "cls");
      const auto* sep = member_of(step, "sep");
      if (cls != nullptr && sep != nullptr && cls->is_array() && sep->is_array() && !cls->empty() &&
          !sep->empty()) {
        bos = known(string_of(&cls->front()));
        eos = known(string_of(&sep->front()));
      }
      if (const auto* single = member_of(step, "single")) read_template(*single, bos, eos);
    }
  }

  void read_template(const Object& parts, std::optional<std::int32_t>& bos,
                     std::optional<std::int32_t>& eos) const {
    if (!parts.is_array()) return;
    bool is_behind = false;
    for (const auto& part : parts) {
      const auto* special = member_of(part, "SpecialToken");
      if (special == nullptr) {
        is_behind = true;
      } else if (is_behind) {
        if (!eos) eos = known(string_of(member_of(*special, "id")));
      } else if (!bos) {
        bos = known(string_of(member_of(*special, "id")));
      }
    }
  }

  void read_document_tokens() {
    std::optional<std::int32_t> bos, eos;
    read_post_processor(bos, eos);
    if (const auto named = configured("bos_token")) bos = named;
    if (const auto named = configured("eos_token")) eos = named;
    if (!eos) {
      throw InputError(name_ + ": nothing says which token ends a document; put the model's " +
                       kTokenizerConfigFile +
                       " beside it, or one that says {\"eos_token\": \"…\"}");
    }
    read_.eos = *eos;
    read_.bos = bos.value_or(*eos);
    read_.pad = configured("pad_token").value_or(*eos);
  }

  const std::string name_;
  const Object file_;
  Object config_ = Object::object();
  TokenizerJson read_;
  std::vector<std::string> unsupported_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace

TokenizerJson read_tokenizer_json(const TokenizerFiles& files, const std::string& name) {
  return Reading(files, name).result();
}

}  // namespace zebra

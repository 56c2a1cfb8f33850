#include "interop/huggingface_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json_reader.h"
#include "interop/huggingface_architecture.h"
#include "interop/huggingface_leftovers.h"
#include "interop/huggingface_rope.h"

namespace zebra {
namespace {

// Beyond any model, and small enough that no product of sizes overflows.
constexpr std::int64_t kLargestDimension = 1 << 24;
constexpr std::int64_t kMostLayers = 1 << 16;

constexpr double kMultiplierTolerance = 1e-6;

// Adds a problem where neither the file nor the architecture has a value.
template <class T>
T required(JsonFields& fields, const char* key, std::optional<T> value, std::optional<T> otherwise,
           T placeholder) {
  if (value) return *value;
  if (fields.sound({key}) && (fields.find(key) != nullptr || !otherwise)) {
    fields.problem(key, fields.find(key) == nullptr ? "missing" : "null; give its value");
  }
  return otherwise.value_or(placeholder);
}

std::int64_t size(JsonFields& fields, const char* key, std::int64_t maximum = kLargestDimension,
                  std::optional<std::int64_t> otherwise = {}) {
  return required<std::int64_t>(fields, key, fields.integer(key, 1, maximum), otherwise, 1);
}

void read_heads(JsonFields& fields, const Architecture& architecture, ModelSection& model) {
  model.num_attention_heads = size(fields, "num_attention_heads");
  // Only where a key is absent has the architecture a value of its own; null is derived.
  const auto heads = fields.integer("num_key_value_heads", 1, kLargestDimension);
  model.num_key_value_heads = heads.value_or(model.num_attention_heads);
  if (fields.find("num_key_value_heads") == nullptr && architecture.key_value_heads)
    model.num_key_value_heads = architecture.key_value_heads;

  model.head_dim = fields.integer("head_dim", 1, kLargestDimension);
  if (fields.find("head_dim") == nullptr) model.head_dim = architecture.head_dim;
  if (model.head_dim || !fields.sound({"head_dim", "hidden_size", "num_attention_heads"})) return;
  model.head_dim = model.hidden_size / model.num_attention_heads;
  if (model.hidden_size % model.num_attention_heads != 0) {
    fields.problem("hidden_size", std::to_string(model.hidden_size) + " is not a multiple of the " +
                                      std::to_string(model.num_attention_heads) +
                                      " num_attention_heads, and there is no head_dim");
  }
}

bool is_pattern_of(const std::string& pattern, std::int64_t layers) {
  return pattern.find_first_not_of("GL") == std::string::npos &&
         pattern.size() == static_cast<std::size_t>(layers);
}

// One letter per layer from layer_types; nothing where the key is absent, null or wrong.
std::optional<std::string> pattern_of_types(JsonFields& fields, std::int64_t layers) {
  if (!fields.given("layer_types")) return std::nullopt;
  const nlohmann::json& types = *fields.find("layer_types");
  std::string pattern;
  for (const nlohmann::json& type : types)
    pattern += type == kFullAttention ? 'G' : type == kSlidingAttention ? 'L' : '?';
  if (types.is_array() && is_pattern_of(pattern, layers)) return pattern;
  if (fields.sound({"num_hidden_layers"})) {
    fields.problem("layer_types", "must list " + std::string(kFullAttention) + " or " +
                                      kSlidingAttention + " for each of the " +
                                      std::to_string(layers) + " layers");
  }
  return std::nullopt;
}

std::optional<std::string> zebra_pattern(JsonFields& fields, std::int64_t layers) {
  const auto pattern = fields.text("attention_pattern");
  if (pattern && is_pattern_of(*pattern, layers)) return pattern;
  if (!pattern && fields.sound({"attention_pattern"})) {
    fields.problem("attention_pattern", "missing");
  } else if (pattern && fields.sound({"num_hidden_layers"})) {
    fields.problem("attention_pattern", "\"" + *pattern + "\" must be one letter, G or L, for " +
                                            "each of the " + std::to_string(layers) + " layers");
  }
  return std::nullopt;
}

// The authors' own Zebra is published as a llama with self_attn_type, layer_group_size, window_size
// and use_fsdp. Its code takes every type but mix and full for local layers.
bool is_published_zebra(JsonFields& fields, const Architecture& architecture) {
  return architecture.layout == StockLayout::full &&  // elsewhere nobody has asked for them
         (fields.given("self_attn_type") || fields.given("layer_group_size") ||
          fields.given("window_size"));
}

std::optional<std::string> published_pattern(JsonFields& fields, std::int64_t layers) {
  const auto type = fields.text("self_attn_type");
  fields.ignore({"layer_group_size"});  // where the type is another than mix
  if (!type) {
    if (fields.sound({"self_attn_type"}))
      fields.problem("self_attn_type",
                     "missing beside layer_group_size or window_size: mix, full or sparse?");
    return std::nullopt;
  }
  if (*type != "mix")
    return std::string(static_cast<std::size_t>(layers), *type == "full" ? 'G' : 'L');
  const auto group = size(fields, "layer_group_size");
  std::string pattern;
  for (std::int64_t layer = 0; layer < layers; ++layer) pattern += layer % group == 0 ? 'G' : 'L';
  return pattern;
}

// What the layers are where nothing lists them. `has_window`: config.json has a sliding window.
std::string default_pattern(JsonFields& fields, const Architecture& architecture,
                            std::int64_t layers, bool has_window) {
  const bool has_last_layers = architecture.layout == StockLayout::last_layers;
  const auto full_layers = has_last_layers ? fields.integer("max_window_layers", 0, kMostLayers)
                                                 .value_or(architecture.max_window_layers)
                                           : 0;
  std::string pattern;
  for (std::int64_t layer = 0; layer < layers; ++layer) {
    bool is_local = has_window;
    if (architecture.layout == StockLayout::full) is_local = false;
    if (architecture.layout == StockLayout::first_of_four) is_local = layer % 4 != 0;
    if (architecture.layout == StockLayout::last_of_four) is_local = layer % 4 != 3;
    if (has_last_layers) is_local = has_window && layer >= full_layers;
    pattern += is_local ? 'L' : 'G';
  }
  return pattern;
}

bool list_decides(StockLayout layout) {
  return layout != StockLayout::full && layout != StockLayout::sliding;
}

std::optional<std::string> pattern_of(JsonFields& fields, const Architecture& architecture,
                                      std::int64_t layers, bool has_window,
                                      const std::optional<std::string>& types) {
  if (architecture.is_zebra()) return zebra_pattern(fields, layers);
  if (is_published_zebra(fields, architecture)) return published_pattern(fields, layers);
  if (list_decides(architecture.layout) && fields.given("layer_types")) return types;
  return default_pattern(fields, architecture, layers, has_window);
}

// Keys in all that a token sees, itself included, which is how HuggingFace counts.
std::optional<std::int64_t> sliding_window(JsonFields& fields, const Architecture& architecture) {
  const auto keys = fields.integer("sliding_window", 1, kLongest);
  const bool absent = fields.find("sliding_window") == nullptr;
  std::optional<std::int64_t> window;
  if (architecture.is_zebra() || is_published_zebra(fields, architecture))
    window = fields.integer("window_size", 0, kLongest);
  if (keys && window && *keys != *window + 1) {
    fields.problem("window_size", std::to_string(*window) + " contradicts sliding_window, " +
                                      std::to_string(*keys) + ", which is one more");
  }
  if (window) return *window + 1;
  // Qwen 3 has a window only where it is switched on (configuration_qwen3.py).
  if (architecture.layout == StockLayout::last_layers &&
      !fields.boolean("use_sliding_window").value_or(false))
    return std::nullopt;
  return absent ? architecture.sliding_window : keys;
}

// Keys of Qwen, which conversions leave behind; the other architectures have no use for them.
void check_keys_of_qwen(JsonFields& fields, const Architecture& architecture, bool has_window,
                        bool any_local) {
  if (architecture.layout == StockLayout::last_layers) {
    fields.ignore({"max_window_layers"});  // where layer_types says more
    return;
  }
  if (fields.boolean("use_sliding_window") == false && has_window)
    fields.problem("use_sliding_window",
                   "false, but there is a sliding_window; remove one of them");
  if (any_local) {
    fields.require_neutral("max_window_layers", {0}, "all layers of this architecture are alike");
  } else {
    fields.ignore({"max_window_layers"});
  }
}

void read_layers(JsonFields& fields, const Architecture& architecture, ModelSection& model) {
  const auto layers = model.num_hidden_layers;
  const auto keys = sliding_window(fields, architecture);
  const auto types = pattern_of_types(fields, layers);
  model.attention_pattern = pattern_of(fields, architecture, layers, keys.has_value(), types);
  if (!model.attention_pattern || !fields.sound({"sliding_window", "window_size"})) return;
  const std::string& pattern = *model.attention_pattern;
  if (types && *types != pattern) {
    fields.problem("layer_types", "contradicts the layers of a " +
                                      std::string(architecture.model_type) +
                                      " model, which are here " + pattern + " (G " +
                                      kFullAttention + ", L " + kSlidingAttention + ")");
  }
  const bool any_local = pattern.find('L') != std::string::npos;
  check_keys_of_qwen(fields, architecture, keys.has_value(), any_local);
  if (any_local && !keys) {
    const bool is_published = is_published_zebra(fields, architecture);
    fields.problem(is_published ? "window_size" : "sliding_window",
                   architecture.layout == StockLayout::last_layers
                       ? "missing, or use_sliding_window is not true, but some layers have "
                         "sliding attention"
                       : "missing, but some layers have sliding attention");
  } else if (any_local) {
    model.window_size = *keys - 1;
  } else if (architecture.layout == StockLayout::full && fields.given("sliding_window")) {
    fields.problem("sliding_window",
                   "a llama model has none; remove it, or is this model_type mistral?");
  }
}

// The base of each layer's rotary embedding, 0 for none (GraniteSWA). Zebra has one for each kind.
void read_layer_thetas(JsonFields& fields, ModelSection& model) {
  constexpr const char* kKey = "layer_rope_theta";
  if (!fields.given(kKey) || !model.attention_pattern) return;
  const nlohmann::json& list = *fields.find(kKey);
  const std::string& pattern = *model.attention_pattern;
  const bool has_numbers = list.is_array() && list.size() == pattern.size() &&
                           std::all_of(list.begin(), list.end(), [](const nlohmann::json& theta) {
                             return theta.is_number() && theta.get<double>() >= 0.0;
                           });
  if (!has_numbers) {
    fields.problem(kKey, "must list a number of at least 0 for each of the " +
                             std::to_string(pattern.size()) + " layers");
    return;
  }
  for (std::size_t layer = 0; layer < pattern.size(); ++layer) {
    const bool is_global = pattern[layer] == 'G';
    auto& own = is_global ? model.global_rope_theta : model.local_rope_theta;
    const double theta = list[layer].get<double>();
    if (own && *own != theta) {
      fields.problem(kKey, std::string("gives ") + (is_global ? "full" : "sliding") +
                               " layers different bases; Zebra has one for all of a kind");
      return;
    }
    own = theta;
  }
  // The list replaces rope_theta.
  const double global = model.global_rope_theta.value_or(0.0),
               local = model.local_rope_theta.value_or(0.0);
  if (const double used = global > 0.0 ? global : local; used > 0.0) model.rope_theta = used;
}

// Scores are multiplied by attention_multiplier there, by head_dim ** -0.5 here.
void check_attention_multiplier(JsonFields& fields, const ModelSection& model) {
  constexpr const char* kKey = "attention_multiplier";
  const auto given = fields.number(kKey);
  if (!model.head_dim || !fields.sound({kKey, "head_dim"})) return;
  const double ours = 1.0 / std::sqrt(static_cast<double>(*model.head_dim));
  const double theirs = given.value_or(1.0);
  if (std::abs(theirs / ours - 1.0) <= kMultiplierTolerance) return;
  fields.problem(kKey, (given ? round_trip(theirs) : std::string("absent, so 1,")) +
                           " cannot be imported: Zebra multiplies scores by head_dim ** -0.5 = " +
                           round_trip(ours));
}

// A choice that began as a switch.
template <NamedEnum E>
void read_choice(JsonFields& fields, const char* key, E& choice) {
  if (!fields.given(key)) return;
  const nlohmann::json& value = *fields.find(key);
  std::string name;
  if (value.is_string()) name = value.get<std::string>();
  if (value.is_boolean()) name = value.get<bool>() ? "true" : "false";
  if (const auto named = value_named<E>(name)) {
    choice = *named;
  } else {
    fields.problem(key, "must be one of " + join(names_of<E>(), ", ") + ", not " + shown(value));
  }
}

void read_zebra_keys(JsonFields& fields, ModelSection& model) {
  auto placement = NormPlacement::pre;
  read_choice(fields, "norm_placement", placement);
  if (placement != NormPlacement::pre) model.norm_placement = placement;
  read_choice(fields, "qk_norm", model.qk_norm);
  read_choice(fields, "attention_sink", model.attention_sink);
  model.global_rope_theta = fields.number("global_rope_theta");
  model.local_rope_theta = fields.number("local_rope_theta");
  for (const char* key : {"global_rope_theta", "local_rope_theta"}) {
    if (fields.number(key).value_or(0.0) < 0.0) fields.problem(key, "must be at least 0");
  }
}

void read_model(JsonFields& fields, const Architecture& architecture, ModelSection& model) {
  model.hidden_size = size(fields, "hidden_size");
  model.intermediate_size = size(fields, "intermediate_size");
  model.num_hidden_layers = size(fields, "num_hidden_layers", kMostLayers);
  model.vocab_size = size(fields, "vocab_size");
  read_heads(fields, architecture, model);
  const auto longest =
      size(fields, "max_position_embeddings", kLongest, architecture.max_position_embeddings);
  model.max_position_embeddings = longest;
  model.rms_norm_eps = required(fields, "rms_norm_eps", fields.number_above("rms_norm_eps", 0.0),
                                architecture.rms_norm_eps, 1.0);
  // Weights that are imported never were drawn from it: 0, which some write, says as little as
  // none.
  const double range = fields.number("initializer_range").value_or(0.0);
  if (range < 0.0) fields.problem("initializer_range", "must be at least 0");
  if (range > 0.0) model.initializer_range = range;
  model.tie_word_embeddings =
      required(fields, "tie_word_embeddings", fields.boolean("tie_word_embeddings"),
               std::optional(architecture.tie_word_embeddings), false);
  read_layers(fields, architecture, model);
  const auto rope = read_huggingface_rope(fields, architecture.rope, longest,
                                          model.attention_pattern.value_or(""));
  model.rope_theta = rope.theta;
  model.local_rope_theta = rope.local_theta;
  model.rope_scaling = rope.scaling;
  if (architecture.norm_placement != NormPlacement::pre)
    model.norm_placement = architecture.norm_placement;
  model.qk_norm = architecture.qk_norm;
  model.attention_sink = architecture.attention_sink;
  if (architecture.is_zebra()) read_zebra_keys(fields, model);
  if (architecture.attention_sink != AttentionSink::none) {
    read_layer_thetas(fields, model);
    check_attention_multiplier(fields, model);
  }
}

void read_tokens(JsonFields& fields, HuggingFaceConfig& config) {
  config.bos_token_id = fields.integer("bos_token_id", 0, kLongest);
  if (!fields.given("eos_token_id")) return;
  const nlohmann::json& ids = *fields.find("eos_token_id");
  if (!ids.is_array()) {
    if (const auto id = fields.integer("eos_token_id", 0, kLongest))
      config.eos_token_ids.push_back(*id);
    return;
  }
  for (const nlohmann::json& id : ids) {
    if (id.is_number_integer()) config.eos_token_ids.push_back(id.get<std::int64_t>());
  }
  if (config.eos_token_ids.empty() || config.eos_token_ids.size() != ids.size())
    fields.problem("eos_token_id", "must be a token id or a list of them");
}

// The file without the keys that are to be ignored: "KEY", or "OUTER.KEY" inside a map.
nlohmann::json without_keys(nlohmann::json json, const std::vector<std::string>& keys,
                            const std::string& origin, Problems& problems) {
  for (const auto& key : keys) {
    nlohmann::json* map = &json;
    std::string name = key;
    // A name may have a dot itself ("transformers.js_config").
    for (auto dot = name.find('.'); !map->contains(name) && dot != std::string::npos;
         dot = name.find('.')) {
      const auto inner = map->find(name.substr(0, dot));
      if (inner == map->end() || !inner->is_object()) break;
      map = &*inner;
      name = name.substr(dot + 1);
    }
    if (map->erase(name) == 0)
      problems.add(origin + ": has no key " + quoted_text(key) + ", which is to be ignored");
  }
  return json;
}

}  // namespace

std::optional<HuggingFaceConfig> read_huggingface_config(
    const std::string& text, const std::string& origin, Problems& problems,
    const std::vector<std::string>& ignored_keys) {
  if (const auto fault = json_object_fault(without_leading_space(text)); !fault.empty()) {
    problems.add(origin + ": is not a JSON object: " + fault);
    return std::nullopt;
  }
  const std::size_t before = problems.all().size();
  const auto json = without_keys(nlohmann::json::parse(text), ignored_keys, origin, problems);
  JsonFields fields(json, origin, "", problems);
  HuggingFaceConfig config;
  if (const nlohmann::json* name = fields.find("model_type"); name != nullptr && name->is_string())
    config.model_type = name->get<std::string>();
  const Architecture* architecture = find_architecture(config.model_type);
  if (architecture == nullptr) {
    const bool given = fields.given("model_type");
    const std::string reason = reason_against(config.model_type);
    fields.problem("model_type",
                   (given ? shown(*fields.find("model_type")) + " cannot be imported" : "missing") +
                       (reason.empty() ? "" : ": " + reason) + "; Zebra reads " +
                       architectures_in_words());
    return std::nullopt;  // the other keys mean what their architecture says
  }
  read_model(fields, *architecture, config.model);
  read_tokens(fields, config);
  refuse_other_mathematics(fields, config.model);
  ignore_bookkeeping(fields);
  config.passed_keys = fields.pass_unknown_that_are_off();
  fields.report_unknown();
  if (problems.all().size() != before) return std::nullopt;
  return config;
}

}  // namespace zebra

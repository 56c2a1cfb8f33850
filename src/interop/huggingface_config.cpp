#include "interop/huggingface_config.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string_view>

#include "base/json_reader.h"
#include "interop/huggingface_rope.h"

namespace zebra {
namespace {

// Beyond any model, and small enough that no product of sizes overflows.
constexpr std::int64_t kLargestDimension = 1 << 24;
constexpr std::int64_t kMostLayers = 1 << 16;

constexpr const char* kFull = "full_attention";
constexpr const char* kSliding = "sliding_attention";

// What transformers 5.24 takes where a key is absent; nothing: the key must be there.
struct Architecture {
  std::string_view model_type;
  std::optional<std::int64_t> key_value_heads, head_dim, max_position_embeddings, sliding_window;
  std::optional<double> rms_norm_eps;
  RopeConventions rope;
};

const Architecture* find_architecture(const std::string& model_type) {
  static const std::array<Architecture, 4> kArchitectures = {{
      {"llama", {}, {}, 2048, {}, 1e-6, {.default_theta = 1e4}},
      {"mistral", 8, {}, 131072, 4096, 1e-6, {.default_theta = 1e4}},
      {"cwm", 8, 128, 131072, 8192, 1e-5, {.default_theta = 1e6, .must_be_given = true}},
      {"zebra", {}, {}, {}, {}, {}, {.is_zebra = true}},
  }};
  const auto* found = std::find_if(
      kArchitectures.begin(), kArchitectures.end(),
      [&](const Architecture& architecture) { return architecture.model_type == model_type; });
  return found == kArchitectures.end() ? nullptr : found;
}

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
    pattern += type == kFull ? 'G' : type == kSliding ? 'L' : '?';
  if (types.is_array() && is_pattern_of(pattern, layers)) return pattern;
  if (fields.sound({"num_hidden_layers"})) {
    fields.problem("layer_types", "must list " + std::string(kFull) + " or " + kSliding +
                                      " for each of the " + std::to_string(layers) + " layers");
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

// What the layers of an architecture are, whatever layer_types says; cwm is what layer_types says.
std::optional<std::string> pattern_of(JsonFields& fields, std::string_view model_type,
                                      std::int64_t layers, bool has_window,
                                      const std::optional<std::string>& types) {
  if (model_type == "zebra") return zebra_pattern(fields, layers);
  if (model_type == "llama") return std::string(static_cast<std::size_t>(layers), 'G');
  if (model_type == "mistral")
    return std::string(static_cast<std::size_t>(layers), has_window ? 'L' : 'G');
  if (types || fields.given("layer_types")) return types;
  std::string pattern;
  for (std::int64_t layer = 0; layer < layers; ++layer) pattern += layer % 4 == 0 ? 'G' : 'L';
  return pattern;
}

// Keys in all that a token sees, itself included, which is how HuggingFace counts.
std::optional<std::int64_t> sliding_window(JsonFields& fields, const Architecture& architecture) {
  const auto keys = fields.integer("sliding_window", 1, kLongest);
  const bool absent = fields.find("sliding_window") == nullptr;
  std::optional<std::int64_t> window;
  if (architecture.rope.is_zebra) window = fields.integer("window_size", 0, kLongest);
  if (keys && window && *keys != *window + 1) {
    fields.problem("window_size", std::to_string(*window) + " contradicts sliding_window, " +
                                      std::to_string(*keys) + ", which is one more");
  }
  if (window) return *window + 1;
  return absent ? architecture.sliding_window : keys;
}

void read_layers(JsonFields& fields, const Architecture& architecture, ModelSection& model) {
  const auto layers = model.num_hidden_layers;
  const auto keys = sliding_window(fields, architecture);
  const auto types = pattern_of_types(fields, layers);
  model.attention_pattern =
      pattern_of(fields, architecture.model_type, layers, keys.has_value(), types);
  if (!model.attention_pattern || !fields.sound({"sliding_window", "window_size"})) return;
  const std::string& pattern = *model.attention_pattern;
  if (types && *types != pattern) {
    fields.problem("layer_types", "contradicts the layers of a " +
                                      std::string(architecture.model_type) +
                                      " model, which are here " + pattern + " (G " + kFull +
                                      ", L " + kSliding + ")");
  }
  const bool any_local = pattern.find('L') != std::string::npos;
  // Keys of Qwen 2, which conversions leave behind; the architectures here have no use for them.
  if (fields.boolean("use_sliding_window") == false && keys)
    fields.problem("use_sliding_window",
                   "false, but there is a sliding_window; remove one of them");
  if (any_local) {
    fields.require_neutral("max_window_layers", {0}, "all layers of this architecture are alike");
  } else {
    fields.ignore({"max_window_layers"});
  }
  if (any_local && !keys) {
    fields.problem("sliding_window", "missing, but some layers have sliding attention");
  } else if (architecture.model_type == "llama" && keys) {
    fields.problem("sliding_window",
                   "a llama model has none; remove it, or is this model_type mistral?");
  } else if (any_local) {
    model.window_size = *keys - 1;
  }
}

void read_zebra_keys(JsonFields& fields, ModelSection& model) {
  model.qk_norm = fields.boolean("qk_norm").value_or(false);
  model.attention_sink = fields.boolean("attention_sink").value_or(false);
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
               std::optional(false), false);
  const auto rope = read_huggingface_rope(fields, architecture.rope, longest);
  model.rope_theta = rope.theta;
  model.rope_scaling = rope.scaling;
  read_layers(fields, architecture, model);
  if (architecture.rope.is_zebra) read_zebra_keys(fields, model);
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

void refuse_other_mathematics(JsonFields& fields) {
  const auto refuse = [&](std::initializer_list<const char*> keys,
                          const std::vector<nlohmann::json>& neutral, const char* why) {
    for (const char* key : keys) fields.require_neutral(key, neutral, why);
  };
  refuse({"hidden_act"}, {"silu", "swish"}, "Zebra's feed-forward layers use SiLU");
  refuse({"attention_bias", "qkv_bias", "mlp_bias", "bias", "use_bias", "use_qkv_bias",
          "add_bias_linear", "add_qkv_bias", "lm_head_bias"},
         {false}, "Zebra's layers have no biases");
  refuse({"pretraining_tp"}, {1}, "Zebra does not cut its matrix products");
  refuse({"partial_rotary_factor", "rotary_pct"}, {1}, "Zebra rotates whole heads");
  refuse({"rope_interleaved"}, {false}, "Zebra turns the two halves of a head against each other");
  refuse({"quantization_config", "quantization"}, {},
         "Zebra reads plain weights; dequantize first");
  refuse({"logit_scale", "logits_scaling", "embedding_multiplier", "residual_multiplier"}, {1},
         "Zebra scales neither logits nor activations");
  refuse({"attn_logit_softcapping", "final_logit_softcapping", "clip_qkv"}, {},
         "Zebra does not bound logits or projections");
  refuse({"use_qk_norm"}, {false}, "the checkpoints of this architecture have none");
  refuse({"per_layer_config", "pruned_heads"}, {nlohmann::json::object()},
         "Zebra's layers are alike");
  refuse({"parallel_attn", "use_parallel_residual"}, {false},
         "in Zebra the feed-forward layer follows attention");
  refuse({"alibi"}, {false}, "Zebra has rotary positions");
  refuse({"use_bidirectional_attention"}, {false}, "Zebra's attention is causal");
  refuse({"is_causal"}, {true}, "Zebra's attention is causal");
  refuse({"is_encoder_decoder", "add_cross_attention", "tie_encoder_decoder"}, {false},
         "Zebra is a decoder");
}

// Where it came from, how it was run, and how text is drawn from it: not what it computes.
void ignore_bookkeeping(JsonFields& fields) {
  fields.ignore({"architectures",
                 "auto_map",
                 "dtype",
                 "is_llama_config",
                 "name_or_path",
                 "tokenizer_class",
                 "torch_dtype",
                 "transformers_version",
                 "unsloth_fixed",
                 "unsloth_version",
                 "_attn_implementation",
                 "_attn_implementation_autoset",
                 "_attn_implementation_internal",
                 "_commit_hash",
                 "_flash_attn_2_enabled",
                 "_name_or_path",
                 "attn_implementation",
                 "transformers.js_config",
                 "use_flash_attention",
                 "use_flash_attention_2",
                 "use_flash_attn",
                 "use_flashattn"});
  fields.ignore({"attention_dropout", "attention_probs_dropout_prob", "attn_pdrop",
                 "classifier_dropout", "embd_pdrop", "hidden_dropout", "hidden_dropout_prob",
                 "neftune_noise_alpha", "resid_pdrop", "residual_dropout"});
  fields.ignore({"gradient_checkpointing", "keys_to_ignore_at_inference", "loss_type",
                 "output_attentions", "output_hidden_states", "return_dict", "torchscript",
                 "use_bfloat16", "use_cache", "chunk_size_feed_forward", "max_sequence_length",
                 "model_max_length", "seq_length", "tf_legacy_loss"});
  fields.ignore({"cross_attention_hidden_size", "decoder_start_token_id", "finetuning_task",
                 "id2label", "is_decoder", "label2id", "num_labels", "pad_token_id", "prefix",
                 "problem_type", "sep_token_id", "task_specific_params", "unk_token_id"});
  fields.ignore({"bad_words_ids",
                 "begin_suppress_tokens",
                 "diversity_penalty",
                 "do_sample",
                 "early_stopping",
                 "encoder_no_repeat_ngram_size",
                 "exponential_decay_length_penalty",
                 "forced_bos_token_id",
                 "forced_eos_token_id",
                 "length_penalty",
                 "max_length",
                 "max_new_tokens",
                 "min_length",
                 "no_repeat_ngram_size",
                 "num_beam_groups",
                 "num_beams",
                 "num_return_sequences",
                 "output_scores",
                 "remove_invalid_values",
                 "repetition_penalty",
                 "return_dict_in_generate",
                 "suppress_tokens",
                 "temperature",
                 "top_k",
                 "top_p",
                 "typical_p"});
}

}  // namespace

std::optional<HuggingFaceConfig> read_huggingface_config(const std::string& text,
                                                         const std::string& origin,
                                                         Problems& problems) {
  if (const auto fault = json_object_fault(without_leading_space(text)); !fault.empty()) {
    problems.add(origin + ": is not a JSON object: " + fault);
    return std::nullopt;
  }
  const auto json = nlohmann::json::parse(text);
  JsonFields fields(json, origin, "", problems);
  HuggingFaceConfig config;
  if (const nlohmann::json* name = fields.find("model_type"); name != nullptr && name->is_string())
    config.model_type = name->get<std::string>();
  const Architecture* architecture = find_architecture(config.model_type);
  if (architecture == nullptr) {
    const bool given = fields.given("model_type");
    fields.problem("model_type",
                   (given ? shown(*fields.find("model_type")) + " cannot be imported" : "missing") +
                       "; Zebra reads llama, mistral, cwm and zebra");
    return std::nullopt;  // the other keys mean what their architecture says
  }
  const std::size_t before = problems.all().size();
  read_model(fields, *architecture, config.model);
  read_tokens(fields, config);
  refuse_other_mathematics(fields);
  fields.require_neutral("ffn_dim", {config.model.intermediate_size},
                         "it contradicts intermediate_size");
  ignore_bookkeeping(fields);
  fields.report_unknown();
  if (problems.all().size() != before) return std::nullopt;
  return config;
}

}  // namespace zebra

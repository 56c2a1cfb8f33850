#include "interop/huggingface_leftovers.h"

#include <nlohmann/json.hpp>

namespace zebra {
namespace {

constexpr const char* kNoBiases = "Zebra's layers have no biases";
constexpr const char* kNoScales = "Zebra scales neither logits nor activations";
constexpr const char* kNoBounds = "Zebra does not bound logits or projections";
constexpr const char* kSilu = "Zebra's feed-forward layers use SiLU";
constexpr const char* kWholeHeads = "Zebra rotates whole heads";
constexpr const char* kPlainWeights = "Zebra reads plain weights; dequantize first";
constexpr const char* kAlike = "Zebra's layers are alike";
constexpr const char* kInARow = "in Zebra the feed-forward layer follows attention";
constexpr const char* kCausal = "Zebra's attention is causal";
constexpr const char* kDecoder = "Zebra is a decoder";
constexpr const char* kRotary = "Zebra has rotary positions";
constexpr const char* kRmsNorm = "Zebra's norms are RMSNorms, and every block has them";
constexpr const char* kDense = "Zebra has one feed-forward layer in each block";

// A key that would change what a model computes, unless it is null or has one of these values.
struct NeutralValues {
  const char* key;
  std::vector<nlohmann::json> values;
  const char* why;
};

const std::vector<NeutralValues>& neutral_values() {
  static const std::vector<NeutralValues> kNeutral = {
      {"hidden_act", {"silu", "swish"}, kSilu},
      {"hidden_activation", {"silu", "swish"}, kSilu},
      {"activation_function", {"silu", "swish", "swiglu"}, kSilu},
      {"gated_mlp", {true}, kSilu},
      {"attention_bias", {false}, kNoBiases},
      {"qkv_bias", {false}, kNoBiases},
      {"mlp_bias", {false}, kNoBiases},
      {"bias", {false}, kNoBiases},
      {"use_bias", {false}, kNoBiases},
      {"use_qkv_bias", {false}, kNoBiases},
      {"add_bias_linear", {false}, kNoBiases},
      {"add_qkv_bias", {false}, kNoBiases},
      {"lm_head_bias", {false}, kNoBiases},
      {"pretraining_tp", {1}, "Zebra does not cut its matrix products"},
      {"partial_rotary_factor", {1}, kWholeHeads},
      {"rotary_pct", {1}, kWholeHeads},
      {"rope_interleaved", {false}, "Zebra turns the two halves of a head against each other"},
      {"use_rope", {true}, kRotary},
      {"alibi", {false}, kRotary},
      {"quantization_config", {}, kPlainWeights},
      {"quantization", {}, kPlainWeights},
      {"logit_scale", {1}, kNoScales},
      {"logits_scaling", {1}, kNoScales},
      {"embedding_multiplier", {1}, kNoScales},
      {"residual_multiplier", {1}, kNoScales},
      {"scale_embedding", {false}, kNoScales},
      {"scale_attn_weights", {true}, "Zebra divides scores by the root of the head's size"},
      {"attn_logit_softcapping", {}, kNoBounds},
      {"final_logit_softcapping", {}, kNoBounds},
      {"clip_qkv", {}, kNoBounds},
      {"rms_norm", {true}, kRmsNorm},
      {"do_layer_norm_before", {true}, kRmsNorm},
      {"num_experts", {0}, kDense},
      {"num_local_experts", {0}, kDense},
      {"num_nextn_predict_layers", {0}, "Zebra predicts one token at a time"},
      {"per_layer_config", {nlohmann::json::object()}, kAlike},
      {"pruned_heads", {nlohmann::json::object()}, kAlike},
      {"parallel_attn", {false}, kInARow},
      {"use_parallel_residual", {false}, kInARow},
      {"use_bidirectional_attention", {false}, kCausal},
      {"is_causal", {true}, kCausal},
      {"is_encoder_decoder", {false}, kDecoder},
      {"add_cross_attention", {false}, kDecoder},
      {"tie_encoder_decoder", {false}, kDecoder}};
  return kNeutral;
}

}  // namespace

void refuse_other_mathematics(JsonFields& fields, const ModelSection& model) {
  for (const auto& [key, values, why] : neutral_values()) fields.require_neutral(key, values, why);
  for (const char* key : {"use_qk_norm", "qk_layernorm"}) {
    fields.require_neutral(key, {model.qk_norm != QkNorm::none},
                           "it contradicts the checkpoints of this architecture");
  }
  fields.require_neutral("ffn_dim", {model.intermediate_size}, "it contradicts intermediate_size");
  if (model.head_dim) {
    fields.require_neutral("query_pre_attn_scalar", {*model.head_dim},
                           "Zebra divides scores by the root of the head's size");
  }
}

void ignore_bookkeeping(JsonFields& fields) {
  fields.ignore({"architectures",
                 "auto_map",
                 "cache_implementation",
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
                 "use_flashattn",
                 "use_fsdp"});
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

}  // namespace zebra

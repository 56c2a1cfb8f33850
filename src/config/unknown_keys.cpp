#include "config/unknown_keys.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "config/catalogue.h"

namespace zebra {
namespace {

/// Words between spaces; the rest as in Alias.
struct AliasRow {
  const char *words, *key, *remark = "";
};

constexpr AliasRow kAliasRows[] = {
    {"d_model dim n_embd embed_dim embedding_dim model_dim emb_dim", "model.hidden_size"},
    {"hidden_dim", "model.hidden_size",
     "or model.intermediate_size where the width inside the feed-forward layer is meant"},
    {"ffn_dim d_ff ffn_hidden_size mlp_dim n_inner feed_forward_dim", "model.intermediate_size"},
    {"n_layers n_layer num_layers depth", "model.num_hidden_layers"},
    {"n_heads n_head num_heads", "model.num_attention_heads"},
    {"n_kv_heads num_kv_heads n_query_groups num_query_groups", "model.num_key_value_heads"},
    {"d_head head_size kv_channels", "model.head_dim"},
    {"n_vocab vocabulary_size padded_vocab_size", "model.vocab_size"},
    {"norm_eps layer_norm_eps layernorm_epsilon", "model.rms_norm_eps"},
    {"norm_position norm_order reordered_norm post_norm", "model.norm_placement"},
    {"qk_layernorm use_qk_norm query_key_norm", "model.qk_norm"},
    {"attention_sinks use_sinks sinks", "model.attention_sink"},
    {"n_positions max_positions", "model.max_position_embeddings"},
    {"rope_base rotary_base theta", "model.rope_theta"},
    {"rope_type", "model.rope_scaling.type"},
    {"tie_embeddings tied_embeddings weight_tying tie_weights", "model.tie_word_embeddings"},
    {"sliding_window", "model.window_size",
     "sliding_window counts the token itself: window_size = sliding_window - 1"},
    {"window local_window attention_window", "model.window_size",
     "the number of previous tokens, without the token itself"},
    {"window_sizes window_stages window_growth ws_schedule sliding_window_schedule",
     "model.window_schedule", "a list: [{until: 0.5, window: 128}]; then window_size holds"},
    {"sliding_window_pattern layer_types layer_pattern", "model.attention_pattern",
     "letters: G for a global layer, L for a local one"},
    {"learning_rate max_lr peak_lr base_lr", "optimizer.lr"},
    {"beta1 beta2 adam_beta1 adam_beta2 adam_betas", "optimizer.betas",
     "both in one list: [0.9, 0.95]"},
    {"epsilon adam_eps adam_epsilon", "optimizer.eps"},
    {"muon_momentum", "optimizer.momentum"},
    {"optimizer_type optimizer_name optim_type", "optimizer.type"},
    {"muon_scale_mode muon_adjust_lr", "optimizer.adjust_lr_fn"},
    {"min_lr lr_min final_lr end_lr", "schedule.min_lr_ratio", "as a share of optimizer.lr"},
    {"warmup warmup_iters num_warmup_steps lr_warmup_steps lr_warmup_iters",
     "schedule.warmup_steps"},
    {"warmup_ratio warmup_fraction", "schedule.warmup_steps", "counted in steps"},
    {"lr_warmup_tokens num_warmup_tokens", "schedule.warmup_tokens"},
    {"lr_scheduler lr_scheduler_type lr_schedule lr_decay_style", "schedule.type"},
    {"decay_iters lr_decay_iters lr_decay_steps cooldown_steps", "schedule.decay_steps"},
    {"max_iters max_iterations total_steps train_iters train_steps num_steps num_train_steps "
     "max_train_steps training_steps steps iterations num_iterations",
     "train.max_steps"},
    {"epochs num_epochs num_train_epochs max_epochs", "train.max_steps",
     "a step takes global_batch_size x sequence_length tokens"},
    {"total_tokens train_tokens num_tokens max_train_tokens", "train.max_tokens"},
    {"batch_size train_batch_size global_batch total_batch_size", "train.global_batch_size",
     "sequences per step over all ranks; per rank and pass it is train.micro_batch_size"},
    {"micro_batch device_batch_size local_batch_size per_device_batch_size "
     "per_device_train_batch_size",
     "train.micro_batch_size"},
    {"accumulation accumulation_steps gradient_accumulation gradient_accumulation_steps grad_accum "
     "grad_accumulation_steps",
     "train.micro_batch_size",
     "accumulation follows as global_batch_size / (micro_batch_size x ranks)"},
    {"dtype torch_dtype mixed_precision amp bf16 fp16", "train.precision"},
    {"clip_grad clip_gradients max_grad_norm max_norm grad_clip_norm gradient_clip_val "
     "gradient_clipping",
     "train.grad_clip"},
    {"zloss z_loss_weight z_loss_multiplier", "train.z_loss"},
    {"trainer training", "train"},
    {"optim", "optimizer"},
    {"scheduler", "schedule"},
    {"output_dir out_dir save_dir save_folder checkpoint_dir", "run.dir"},
    {"random_seed rng_seed", "run.seed"},
    {"accelerator", "run.device"},
    {"tokenizer_path tokenizer_file tokenizer_name tokenizer_model", "data.tokenizer"},
    {"dataset datasets data_path train_data train_path", "data.train", "a list: [{path: FOLDER}]"},
    {"mixture_schedule data_schedule data_stages curriculum annealing_data", "data.stages",
     "a list: [{until: 0.8, train: [{path: FOLDER}]}]; then data.train holds"},
    {"val valid val_data valid_data eval_data validation_data", "data.validation",
     "a list: [{path: FOLDER}]"},
    {"seq_len seq_length seqlen sequence_len context_length context_size block_size n_ctx "
     "max_seq_len max_seq_length max_length",
     "data.sequence_length"},
    {"reset_position_ids reset_attention_mask intra_document_masking", "data.document_mask"},
    {"sample_packing neat_packing packing_strategy pack_sequences pack_dataset", "data.packing",
     "concat or whole"},
    {"fsdp ddp zero zero_stage sharding_strategy data_parallel", "parallel.sharding"},
    {"context_parallel context_parallel_size context_parallel_degree sequence_parallel_degree cp",
     "parallel.context"},
    {"save_interval save_every save_steps save_freq checkpoint_interval", "checkpoint.every_steps"},
    {"save_total_limit max_checkpoints keep_latest_k", "checkpoint.keep_last"},
    {"eval_interval eval_every eval_steps val_interval val_every validate_every",
     "eval.every_steps"},
    {"eval_iters eval_tokens val_max_tokens", "eval.max_tokens", "counted in tokens"},
    {"log_interval log_every log_steps log_freq logging_steps", "logging.every_steps"},
    {"lora qlora peft lora_rank lora_alpha adapter adapters", "",
     "all weights are trained, without adapters; model.init_from starts from those of a model"},
    {"wandb wandb_project report_to mlflow trackio", "",
     "every figure of a run is in metrics.jsonl in its folder; scripts/track.py sends it to wandb, "
     "mlflow or trackio"},
    {"use_tensorboard enable_tensorboard tensorboard_dir", "logging.tensorboard"},
    {"checkpoints checkpointing", "checkpoint"},
    {"distributed parallelism", "parallel"},
    {"evaluation", "eval"},
};

struct Hint {
  std::string text;
  std::string name;  // of the key that was likely meant, when it stands in the same group
  std::string key;   // the same, dotted, when it stands elsewhere
};

/// Every key and group below `info`.
void collect_all(const KeyInfo& info, std::vector<const KeyInfo*>& found) {
  for (const KeyInfo& child : info.children) {
    found.push_back(&child);
    collect_all(child, found);
  }
}

std::vector<std::string> names_in(const KeyInfo& group) {
  std::vector<std::string> names;
  for (const KeyInfo& child : group.children) names.push_back(child.name);
  return names;
}

/// As other spellings would be written here: max-steps, MAX_STEPS.
std::string normalized(const std::string& word) {
  std::string result;
  for (const char c : word) {
    result += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return result;
}

/// "a", "a or b", "a, b or c".
std::string alternatives(std::vector<std::string> keys) {
  const std::string last = keys.back();
  keys.pop_back();
  return keys.empty() ? last : join(keys, ", ") + " or " + last;
}

Hint hint_of_sibling(const std::string& name) { return {"did you mean " + name + "?", name, ""}; }

Hint hint_of_alias(const Alias& alias) {
  if (alias.key.empty()) return {alias.remark, "", ""};
  const std::string remark = alias.remark.empty() ? "" : " (" + alias.remark + ")";
  return {"write " + alias.key + remark, "", alias.key};
}

Hint hint_of_other_place(const std::string& name, const std::vector<std::string>& keys,
                         const KeyInfo& known) {
  if (keys.size() > 1) return {"it belongs elsewhere: " + alternatives(keys), "", ""};
  const std::string& key = keys.front();
  const std::size_t dot = key.rfind('.');
  if (dot == std::string::npos) {
    const bool is_section = known.find(key)->type == KeyType::group;
    return {name + (is_section ? " is a section, at the top level" : " belongs at the top level"),
            "", key};
  }
  return {"it belongs in " + key.substr(0, dot) + ", as " + key, "", key};
}

/// Whether the file gives the key (dotted, outside lists).
bool is_given(const Value& root, const std::string& key) {
  const Value* value = &root;
  for (std::size_t begin = 0;;) {
    const std::size_t dot = key.find('.', begin);
    const Entry* entry = value->find(key.substr(begin, dot - begin));
    if (entry == nullptr || dot == std::string::npos) return entry != nullptr;
    value = &entry->value;
    begin = dot + 1;
  }
}

class KeyChecker {
 public:
  KeyChecker(const Value& root, Report& report, const KeyInfo& known)
      : root_(root), report_(report), known_(known) {
    collect_all(known, all_);
  }

  /// `prefix` is the path of `map` in the file, with a dot; `group` holds the keys known there.
  void check_map(const Value& map, const KeyInfo& group, const std::string& prefix) {
    for (const Entry& entry : map.entries) {
      const std::string key = prefix + entry.key;
      report_.locate(key, entry.origin);
      if (const KeyInfo* info = group.find(entry.key)) {
        check_value(entry.value, *info, key);
        continue;
      }
      const Hint hint = hint_for(entry.key, group);
      report_.problem(key, "unknown key; " + hint.text);
      if (const KeyInfo* sibling = group.find(hint.name)) {
        if (map.find(sibling->name) == nullptr) report_.mark_unsound(prefix + sibling->name);
      } else if (!hint.key.empty() && !is_given(root_, hint.key)) {
        report_.mark_unsound(hint.key);
      }
    }
  }

  /// The hint for what was written where the keys of `group` may stand.
  Hint hint_for(const std::string& written, const KeyInfo& group) const {
    if (const auto dotted = hint_of_dots(written, group)) return *dotted;
    const std::string word = normalized(written);
    if (group.find(word) != nullptr) return hint_of_sibling(word);
    if (const Alias* alias = find_alias(word); alias != nullptr && knows(alias->key)) {
      return hint_of_alias(*alias);
    }
    if (const auto keys = keys_named(word); !keys.empty()) {
      return hint_of_other_place(word, keys, known_);
    }
    const std::vector<std::string> siblings = names_in(group);
    if (const std::string near = nearest_word(word, siblings); !near.empty()) {
      return hint_of_sibling(near);
    }
    std::vector<std::string> names;
    for (const KeyInfo* info : all_) names.push_back(info->name);
    if (const std::string near = nearest_word(word, names); !near.empty()) {
      const auto keys = keys_named(near);
      return {"did you mean " + alternatives(keys) + "?", "", keys.size() == 1 ? keys.front() : ""};
    }
    const bool is_run_file = &known_ == &catalogue();
    const std::string top = is_run_file ? "sections" : "keys";
    return {(group.key.empty() ? top : "keys of " + group.key) + ": " + join(siblings, ", "), "",
            ""};
  }

 private:
  void check_value(const Value& value, const KeyInfo& info, const std::string& key) {
    if (info.type == KeyType::group) check_map(value, info, key + ".");
    if (info.type != KeyType::list) return;
    for (std::size_t i = 0; i < value.items.size(); ++i) {
      const std::string element = key + "[" + std::to_string(i) + "]";
      report_.locate(element, value.items[i].origin);
      check_map(value.items[i], info, element + ".");
    }
  }

  /// Hint for a dotted key that would be right after --set, or nothing.
  std::optional<Hint> hint_of_dots(const std::string& written, const KeyInfo& group) const {
    const std::string key = group.key.empty() ? written : group.key + "." + written;
    for (const KeyInfo* info : all_) {
      if (info->key != key) continue;
      return Hint{
          "dots join keys in --set only; in a file, indent " + info->name + " under its section",
          "", key};
    }
    return std::nullopt;
  }

  std::vector<std::string> keys_named(const std::string& name) const {
    std::vector<std::string> keys;
    for (const KeyInfo* info : all_) {
      if (info->name == name) keys.push_back(info->key);
    }
    return keys;
  }

  /// Whether an alias of that key is one in this file; those without a key are in all.
  bool knows(const std::string& key) const {
    return key.empty() || std::ranges::count(all_, key, &KeyInfo::key) > 0;
  }

  const Value& root_;
  Report& report_;
  const KeyInfo& known_;
  std::vector<const KeyInfo*> all_;  // every key and group, depth first
};

}  // namespace

const std::vector<Alias>& aliases() {
  static const std::vector<Alias> kAliases = [] {
    std::vector<Alias> all;
    for (const auto& [words, key, remark] : kAliasRows)
      all.push_back({split(words, ' '), key, remark});
    return all;
  }();
  return kAliases;
}

const Alias* find_alias(const std::string& word) {
  const auto& all = aliases();
  const auto found = std::ranges::find_if(
      all, [&](const Alias& alias) { return std::ranges::count(alias.words, word) > 0; });
  return found == all.end() ? nullptr : &*found;
}

void check_keys(const Value& root, Report& report, const KeyInfo& known) {
  KeyChecker(root, report, known).check_map(root, known, "");
}

void report_unknown_key(const std::string& dotted, Report& report) {
  const KeyInfo* group = &catalogue();
  std::string written = dotted;
  for (std::size_t dot = written.find('.'); dot != std::string::npos; dot = written.find('.')) {
    const KeyInfo* inner = group->find(written.substr(0, dot));
    if (inner == nullptr || inner->type != KeyType::group) break;
    group = inner;
    written.erase(0, dot + 1);
  }
  const Value none;
  const Hint hint = KeyChecker(none, report, catalogue()).hint_for(written, *group);
  report.problem(dotted, "unknown key; " + hint.text);
}

}  // namespace zebra

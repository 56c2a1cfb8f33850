#include "config/aliases.h"

#include <algorithm>

namespace zebra {
namespace {

const std::vector<Alias>& model_aliases() {
  static const std::vector<Alias> kAliases = {
      {{"d_model", "dim", "n_embd", "embed_dim", "embedding_dim", "model_dim", "emb_dim"},
       "model.hidden_size",
       ""},
      {{"hidden_dim"},
       "model.hidden_size",
       "or model.intermediate_size where the width inside the feed-forward layer is meant"},
      {{"ffn_dim", "d_ff", "ffn_hidden_size", "mlp_dim", "n_inner", "feed_forward_dim"},
       "model.intermediate_size",
       ""},
      {{"n_layers", "n_layer", "num_layers", "depth"}, "model.num_hidden_layers", ""},
      {{"n_heads", "n_head", "num_heads"}, "model.num_attention_heads", ""},
      {{"n_kv_heads", "num_kv_heads", "n_query_groups", "num_query_groups"},
       "model.num_key_value_heads",
       ""},
      {{"d_head", "head_size", "kv_channels"}, "model.head_dim", ""},
      {{"n_vocab", "vocabulary_size", "padded_vocab_size"}, "model.vocab_size", ""},
      {{"norm_eps", "layer_norm_eps", "layernorm_epsilon"}, "model.rms_norm_eps", ""},
      {{"n_positions", "max_positions"}, "model.max_position_embeddings", ""},
      {{"rope_base", "rotary_base", "theta"}, "model.rope_theta", ""},
      {{"rope_type"}, "model.rope_scaling.type", ""},
      {{"tie_embeddings", "tied_embeddings", "weight_tying", "tie_weights"},
       "model.tie_word_embeddings",
       ""},
      {{"sliding_window"},
       "model.window_size",
       "sliding_window counts the token itself: window_size = sliding_window - 1"},
      {{"window", "local_window", "attention_window"},
       "model.window_size",
       "the number of previous tokens, without the token itself"},
      {{"sliding_window_pattern", "layer_types", "layer_pattern"},
       "model.attention_pattern",
       "letters: G for a global layer, L for a local one"},
  };
  return kAliases;
}

const std::vector<Alias>& training_aliases() {
  static const std::vector<Alias> kAliases = {
      {{"learning_rate", "max_lr", "peak_lr", "base_lr"}, "optimizer.lr", ""},
      {{"beta1", "beta2", "adam_beta1", "adam_beta2", "adam_betas"},
       "optimizer.betas",
       "both in one list: [0.9, 0.95]"},
      {{"epsilon", "adam_eps", "adam_epsilon"}, "optimizer.eps", ""},
      {{"min_lr", "lr_min", "final_lr", "end_lr"},
       "schedule.min_lr_ratio",
       "as a share of optimizer.lr"},
      {{"warmup", "warmup_iters", "num_warmup_steps", "lr_warmup_steps", "lr_warmup_iters"},
       "schedule.warmup_steps",
       ""},
      {{"warmup_ratio", "warmup_fraction", "warmup_tokens"},
       "schedule.warmup_steps",
       "counted in steps"},
      {{"lr_scheduler", "lr_scheduler_type", "lr_schedule", "lr_decay_style"}, "schedule.type", ""},
      {{"decay_iters", "lr_decay_iters", "lr_decay_steps", "cooldown_steps"},
       "schedule.decay_steps",
       ""},
      {{"max_iters", "max_iterations", "total_steps", "train_iters", "train_steps", "num_steps",
        "num_train_steps", "max_train_steps", "training_steps", "steps", "iterations",
        "num_iterations"},
       "train.max_steps",
       ""},
      {{"epochs", "num_epochs", "num_train_epochs", "max_epochs", "total_tokens", "train_tokens"},
       "train.max_steps",
       "a step takes global_batch_size x sequence_length tokens"},
      {{"batch_size", "train_batch_size", "global_batch", "total_batch_size"},
       "train.global_batch_size",
       "sequences per step over all ranks; per rank and pass it is train.micro_batch_size"},
      {{"micro_batch", "device_batch_size", "local_batch_size", "per_device_batch_size",
        "per_device_train_batch_size"},
       "train.micro_batch_size",
       ""},
      {{"accumulation", "accumulation_steps", "gradient_accumulation",
        "gradient_accumulation_steps", "grad_accum", "grad_accumulation_steps"},
       "train.micro_batch_size",
       "accumulation follows as global_batch_size / (micro_batch_size x ranks)"},
      {{"dtype", "torch_dtype", "mixed_precision", "amp", "bf16", "fp16"}, "train.precision", ""},
      {{"clip_grad", "clip_gradients", "max_grad_norm", "max_norm", "grad_clip_norm",
        "gradient_clip_val", "gradient_clipping"},
       "train.grad_clip",
       ""},
      {{"zloss", "z_loss_weight", "z_loss_multiplier"}, "train.z_loss", ""},
      {{"trainer", "training"}, "train", ""},
      {{"optim"}, "optimizer", ""},
      {{"scheduler"}, "schedule", ""},
  };
  return kAliases;
}

const std::vector<Alias>& run_aliases() {
  static const std::vector<Alias> kAliases = {
      {{"output_dir", "out_dir", "save_dir", "save_folder", "checkpoint_dir"}, "run.dir", ""},
      {{"random_seed", "rng_seed"}, "run.seed", ""},
      {{"accelerator"}, "run.device", ""},
      {{"tokenizer_path", "tokenizer_file", "tokenizer_name", "tokenizer_model"},
       "data.tokenizer",
       ""},
      {{"dataset", "datasets", "data_path", "train_data", "train_path"},
       "data.train",
       "a list: [{path: FOLDER}]"},
      {{"val", "valid", "val_data", "valid_data", "eval_data", "validation_data"},
       "data.validation",
       "a list: [{path: FOLDER}]"},
      {{"seq_len", "seq_length", "seqlen", "sequence_len", "context_length", "context_size",
        "block_size", "n_ctx", "max_seq_len", "max_seq_length", "max_length"},
       "data.sequence_length",
       ""},
      {{"reset_position_ids", "reset_attention_mask", "intra_document_masking"},
       "data.document_mask",
       ""},
      {{"fsdp", "ddp", "zero", "zero_stage", "sharding_strategy", "data_parallel"},
       "parallel.sharding",
       ""},
      {{"save_interval", "save_every", "save_steps", "save_freq", "checkpoint_interval"},
       "checkpoint.every_steps",
       ""},
      {{"save_total_limit", "max_checkpoints", "keep_latest_k"}, "checkpoint.keep_last", ""},
      {{"eval_interval", "eval_every", "eval_steps", "val_interval", "val_every", "validate_every"},
       "eval.every_steps",
       ""},
      {{"eval_iters", "eval_tokens", "val_max_tokens"}, "eval.max_tokens", "counted in tokens"},
      {{"log_interval", "log_every", "log_steps", "log_freq", "logging_steps"},
       "logging.every_steps",
       ""},
      {{"wandb", "wandb_project", "tensorboard", "report_to", "mlflow"},
       "",
       "every figure of a run is in metrics.jsonl in its folder, which any tracker can read"},
      {{"checkpoints", "checkpointing"}, "checkpoint", ""},
      {{"distributed", "parallelism"}, "parallel", ""},
      {{"evaluation"}, "eval", ""},
  };
  return kAliases;
}

}  // namespace

const std::vector<Alias>& aliases() {
  static const std::vector<Alias> kAliases = [] {
    std::vector<Alias> all = model_aliases();
    all.insert(all.end(), training_aliases().begin(), training_aliases().end());
    all.insert(all.end(), run_aliases().begin(), run_aliases().end());
    return all;
  }();
  return kAliases;
}

const Alias* find_alias(const std::string& word) {
  const auto& all = aliases();
  const auto found = std::find_if(all.begin(), all.end(), [&](const Alias& alias) {
    return std::find(alias.words.begin(), alias.words.end(), word) != alias.words.end();
  });
  return found == all.end() ? nullptr : &*found;
}

}  // namespace zebra

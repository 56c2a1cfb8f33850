#pragma once

#include "config/catalogue.h"
#include "config/config.h"
#include "config/model_base.h"

// The one declaration of every key: name, member, rules, and what it means. Reading, `--set`, range
// checks, the resolved file, the reference, the schema, differences and hints about misspelt keys
// all follow from it through visitors with
//
//   field(name, member, rules, help)   a key with a value of its own
//   group(name, member, rules, help)   a map of keys (a section, or a group inside one)
//   list(name, member, rules, help)    a list of such maps
//   other(name, rules, help)           a key that a reader of its own understands
//
// Sweep files (ablation/sweep_file.cpp) are described in the same way, read and checked by the same
// visitors.
//
// The default of a key is what a default-constructed struct holds, unless its rules say otherwise.

namespace zebra {

/// Keeps every product of a batch size and a number of ranks far inside 64 bits.
inline constexpr double kLargestBatch = 1 << 30;
inline constexpr double kMostLayers = 1 << 16;

template <class V>
void describe(V& v, RunSection& s) {
  v.field("name", s.name, anything().defaults_to("last component of `run.dir`"),
          "What the run is called in logs and reports.");
  v.field("dir", s.dir, anything().required(),
          "Folder that receives everything the run writes; it is made when absent.");
  v.field("seed", s.seed, at_least(0), "Decides the initial weights and the order of the data.");
  v.field("device", s.device, anything().may_change_on_resume(),
          "Where the model lives; `auto` takes a GPU where there is one.");
}

template <class V>
void describe(V& v, RopeScalingSection& s) {
  v.field("type", s.type, anything(),
          "How positions beyond the original length are encoded: `linear` divides positions by the "
          "factor, `dynamic` raises theta with the length (NTK), `yarn` blends both by frequency, "
          "`llama3` divides low frequencies by the factor (Llama 3.1).");
  v.field("factor", s.factor, at_least(1),
          "How many times longer than the original; 1 for `none`.");
  v.field("original_max_position_embeddings", s.original_max_position_embeddings,
          at_least(1).defaults_to("none; required for `dynamic`, `yarn` and `llama3`"),
          "Longest sequence, in tokens, of the training before scaling.");
  v.field("beta_fast", s.beta_fast, above(0),
          "`yarn`: dimensions that turn more often than this over the original length stay as they "
          "are.");
  v.field("beta_slow", s.beta_slow, above(0),
          "`yarn`: dimensions that turn less often than this are interpolated in full.");
  v.field("low_freq_factor", s.low_freq_factor, above(0),
          "`llama3`: dimensions that turn less often than this over the original length are "
          "interpolated in full.");
  v.field("high_freq_factor", s.high_freq_factor, above(0),
          "`llama3`: dimensions that turn more often than this stay as they are.");
  v.field("layers", s.layers, anything(),
          "Which layers are scaled: `all`, or only `global` ones, since a window never reaches "
          "beyond the original length.");
}

template <class V>
void describe_shape(V& v, ModelSection& s) {
  const Rules size = at_least(1).required("or choose a model.preset or model.init_from");
  v.field("preset", s.preset, one_of(preset_names()).defaults_to("none"),
          "A named shape to start from; keys given beside it win.");
  v.field("init_from", s.init_from, anything().defaults_to("none; weights start at random"),
          "A run (`RUN`, `RUN@step`, `RUN@best`) or checkpoint folder, such as `zebra import` "
          "writes, whose weights training starts from, with a fresh optimizer. Its shape, layout "
          "and positions apply unless keys given beside it say otherwise.");
  v.field("hidden_size", s.hidden_size, size, "Width of the residual stream.");
  v.field("intermediate_size", s.intermediate_size, size,
          "Width inside the SwiGLU feed-forward layer, commonly 8/3 of `hidden_size`.");
  v.field("num_hidden_layers", s.num_hidden_layers,
          between(1, kMostLayers).required("or choose a model.preset or model.init_from"),
          "Number of blocks (attention and feed-forward).");
  v.field("num_attention_heads", s.num_attention_heads, size, "Query heads per layer.");
  v.field("num_key_value_heads", s.num_key_value_heads,
          at_least(1).defaults_to("`num_attention_heads`"),
          "Key and value heads per layer; fewer than query heads is grouped-query attention (a "
          "divisor of them).");
  v.field("head_dim", s.head_dim,
          between(2, 256).defaults_to("`hidden_size` / `num_attention_heads`"),
          "Width of one head; even.");
  v.field("vocab_size", s.vocab_size, at_least(1).defaults_to("the tokenizer's"),
          "Rows of the embedding; may exceed the tokenizer's vocabulary, not be less.");
  v.field("rms_norm_eps", s.rms_norm_eps, above(0),
          "Added to the mean square inside each RMSNorm.");
  v.field("initializer_range", s.initializer_range, above(0),
          "Standard deviation of the initial weights; narrow models learn sooner with more, such "
          "as 1 / sqrt(`hidden_size`).");
  v.field("tie_word_embeddings", s.tie_word_embeddings, anything(),
          "Whether the output head shares the weights of the embedding.");
  v.field("norm_placement", s.norm_placement, anything().defaults_to("`pre`"),
          "Where a block has its norms: `pre`, before attention and before the feed-forward layer "
          "(Llama); `reordered`, behind them, on what they add to the residual stream (OLMo 2 and "
          "3).");
  v.field("qk_norm", s.qk_norm, anything(),
          "Whether queries and keys pass an RMSNorm of their own before the rotary embedding: "
          "`true`, each head by itself (Qwen 3); `projection`, all heads of a token together (OLMo "
          "3).");
  v.field("attention_sink", s.attention_sink, anything(),
          "Whether the softmax has one more logit per head, learned, that takes weight and gives "
          "nothing (an attention sink): `true`, in local layers; `all`, in every layer.");
}

template <class V>
void describe_positions(V& v, ModelSection& s) {
  v.field("max_position_embeddings", s.max_position_embeddings,
          at_least(1).defaults_to("`data.sequence_length`"),
          "Longest sequence, in tokens, that the model is declared for.");
  v.field("rope_theta", s.rope_theta, above(0), "Base of the rotary embedding's wavelengths.");
  v.field("global_rope_theta", s.global_rope_theta, at_least(0).defaults_to("`rope_theta`"),
          "The same for global layers only; 0 leaves them without rotary embedding.");
  v.field("local_rope_theta", s.local_rope_theta, at_least(0).defaults_to("`rope_theta`"),
          "The same for local layers only; 0 leaves them without rotary embedding.");
  v.group("rope_scaling", s.rope_scaling, anything(),
          "Stretches the rotary embedding to longer sequences.");
}

template <class V>
void describe_end_of_stage(V& v, TrainingPoint& until) {
  v.field("until", until, above(0).required(),
          "The stage's last step: a fraction of `train.max_steps` between 0 and 1 (rounded to the "
          "nearest step), or a whole number of steps below it. It ascends, and all stages give it "
          "in the same way.");
}

template <class V>
void describe(V& v, WindowStage& s) {
  describe_end_of_stage(v, s.until);
  v.field("window", s.window, at_least(1).required(),
          "How many previous tokens a token sees meanwhile; at most `window_size`.");
}

template <class V>
void describe_layout(V& v, ModelSection& s) {
  v.field("self_attn_type", s.self_attn_type, anything().defaults_to("`mix`"),
          "Short form: `mix` has one global layer in each group, `full` only global and `local` "
          "only local layers.");
  v.field("layer_group_size", s.layer_group_size, at_least(1).defaults_to("4"),
          "Short form, for `mix`: layers per group, of which one is global; 1 makes every layer "
          "global.");
  v.field("global_layer", s.global_layer, anything().defaults_to("`first`"),
          "Short form, for `mix`: which layer of its group is the global one.");
  v.field("always_global", s.always_global, anything().defaults_to("`none`"),
          "Short form: layers that are global whatever the rest of the layout says: the `first`, "
          "the `last`, or `both`.");
  v.field("window_size", s.window_size,
          at_least(0).defaults_to("none; required when a layer is local"),
          "How many previous tokens a token sees in a local layer, besides itself (HuggingFace's "
          "`sliding_window` is one more).");
  v.list("window_schedule", s.window_schedule,
         anything()
             .defaults_to("none; `window_size` from the start")
             .such_as("{until: 0.5, window: 128}"),
         "Stages of training in which local layers have another window; after the last one they "
         "have `window_size`, which is also what a finished model has.");
  v.field("attention_pattern", s.attention_pattern, anything().defaults_to("from the short forms"),
          "One letter per layer, G for global and L for local; a shorter pattern such as `GLLL` "
          "repeats. Overrides the short forms.");
}

template <class V>
void describe(V& v, ModelSection& s) {
  describe_shape(v, s);
  describe_positions(v, s);
  describe_layout(v, s);
}

template <class V>
void describe(V& v, DataSource& s) {
  v.field(
      "path", s.path, anything().required(),
      "Folder of a token dataset, as `zebra data pack` writes it, or token files that `zebra data "
      "adopt` takes.");
  v.field("weight", s.weight, above(0).defaults_to("proportional to its tokens"),
          "Relative share of the samples, for validation of the loss; either every source of a "
          "list has one, or none.");
}

template <class V>
void describe(V& v, TrainingSource& s) {
  describe(v, static_cast<DataSource&>(s));
  v.field("loss_weight", s.loss_weight,
          between(kLeastLossWeight, kMostLossWeight)
              .with_advice("leave a source that shall not count out of the list"),
          "What each target of this source counts in the loss, relative to those of the other "
          "sources; what it counts among the samples is `weight`.");
}

template <class V>
void describe(V& v, DataStage& s) {
  describe_end_of_stage(v, s.until);
  v.list("train", s.train, at_least(1).required().such_as("{path: FOLDER}"),
         "Token datasets to train on meanwhile.");
}

template <class V>
void describe(V& v, DataSection& s) {
  v.field("tokenizer", s.tokenizer, anything().required(),
          "SentencePiece model or tokenizer.json; the one with which the datasets were packed.");
  const Rules datasets = anything().such_as("{path: FOLDER}");
  v.list("train", s.train, datasets,
         "Token datasets to train on, after the last of the `stages`; required where steps are.");
  v.list("stages", s.stages,
         anything()
             .defaults_to("none; `train` from the start")
             .such_as("{until: 0.8, train: [{path: FOLDER}]}"),
         "Stages of training with other datasets, or other weights of the same ones; after the "
         "last one it is those of `train`.");
  v.list("validation", s.validation, datasets, "Token datasets to validate on.");
  v.field("sequence_length", s.sequence_length, at_least(1).required(),
          "Tokens per training sequence.");
  v.field("document_mask", s.document_mask, anything(),
          "Whether documents in one sequence are kept apart: they do not see each other, positions "
          "restart, and a target across a boundary is not counted.");
  v.field(
      "packing", s.packing, anything(),
      "How training sequences are made of documents: `concat` cuts the text of all of them, one "
      "behind the other, at fixed places; `whole` puts whole documents together, by best fit, "
      "and fills up with padding, which nothing sees and nothing predicts.");
  v.field("overflow", s.overflow, anything(),
          "What `packing: whole` does with documents that are longer than a sequence: `error` "
          "refuses to start, `drop` leaves them out, `split` cuts them into sequences of their "
          "own and a rest; the last two are counted.");
}

template <class V>
void describe(V& v, OptimizerSection& s) {
  v.field(
      "type", s.type, anything(),
      "`muon` makes the updates of the matrices inside the blocks orthogonal (Q, K, V, gate and "
      "up each by itself); embedding, head, norms and sinks have AdamW all the same.");
  v.field("lr", s.lr, above(0), "Peak learning rate.");
  v.field("weight_decay", s.weight_decay, at_least(0),
          "Decoupled decay of matrices, embedding and head; norms have none.");
  v.field("betas", s.betas, at_least(0).below(1), "Decay of the first and the second moment.");
  v.field("eps", s.eps, above(0), "Added to the root of the second moment.");
  v.field("momentum", s.momentum, at_least(0).below(1),
          "`muon` only: decay of the momentum (Nesterov's).");
  v.field("adjust_lr_fn", s.adjust_lr_fn, anything(),
          "`muon` only: what multiplies the learning rate of a matrix, as torch.optim.Muon names "
          "it. `match_rms_adamw` gives updates as large as AdamW's, so that its learning rate and "
          "decay carry over: 0.2 sqrt(max(rows, columns)); `original`: sqrt(max(1, rows / "
          "columns)); `spectral_unclamped`: sqrt(rows / columns).");
}

template <class V>
void describe(V& v, ScheduleSection& s) {
  v.field("type", s.type, anything(),
          "After the warm-up: `cosine` falls to the end of training, `wsd` stays and falls over "
          "the last `decay_steps` (1 - sqrt), `constant` stays.");
  v.field("warmup_steps", s.warmup_steps, at_least(0).or_else("warmup_tokens"),
          "Steps over which the rate rises linearly from 0.");
  v.field("warmup_tokens", s.warmup_tokens, at_least(0).defaults_to("none"),
          "In place of `warmup_steps`: as many steps as these tokens make, rounded down, at least "
          "one, whatever the batch; they are what a resolved file has.");
  v.field("min_lr_ratio", s.min_lr_ratio, between(0, 1),
          "Final learning rate as a share of `optimizer.lr`.");
  v.field("decay_steps", s.decay_steps,
          at_least(1)
              .defaults_to("for `wsd` 20 % of `train.max_steps` (rounded down, at least 1)")
              .or_else("decay_tokens"),
          "`wsd` only: the last steps, in which the rate falls.");
  v.field("decay_tokens", s.decay_tokens, at_least(1).defaults_to("none"),
          "In place of `decay_steps`, as `warmup_tokens`.");
  v.field("window_warmup_steps", s.window_warmup_steps, at_least(0).or_else("window_warmup_tokens"),
          "Steps over which the window of local layers grows linearly from 1 to "
          "`model.window_size`; 0: it has its full width from the start. Stages are "
          "`model.window_schedule`.");
  v.field("window_warmup_tokens", s.window_warmup_tokens, at_least(0).defaults_to("none"),
          "In place of `window_warmup_steps`, as `warmup_tokens`.");
}

template <class V>
void describe(V& v, AlertRule& s) {
  v.field("figure", s.figure, anything().required().may_change_on_resume(),
          "What is watched, in every step; from `layer_grad_norm` on the largest of all layers, in "
          "the steps of `logging.layers_every`.");
  v.field("above", s.above, anything().required().may_change_on_resume(), "The bound.");
  v.field("do", s.action, anything().may_change_on_resume(),
          "What is done when the figure passes it: a warning (`log`), also a checkpoint "
          "(`checkpoint`), or a checkpoint and the end of the run, as failed (`stop`).");
}

template <class V>
void describe(V& v, TrainSection& s) {
  v.field(
      "max_steps", s.max_steps, at_least(0).required().or_else("max_tokens").may_change_on_resume(),
      "Optimizer steps in all; 0 only in what `zebra import` writes, which has no `data.train`.");
  v.field("max_tokens", s.max_tokens, at_least(1).defaults_to("none").may_change_on_resume(),
          "In place of `max_steps`, as `schedule.warmup_tokens`.");
  v.field("global_batch_size", s.global_batch_size, between(1, kLargestBatch).required(),
          "Sequences per step over all ranks; a multiple of `micro_batch_size` x ranks / "
          "`parallel.context`.");
  v.field("micro_batch_size", s.micro_batch_size,
          between(1, kLargestBatch)
              .defaults_to("`global_batch_size` / ranks x `parallel.context`")
              .may_change_on_resume(),
          "Sequences per rank (or per group of `parallel.context`) in one forward and backward "
          "pass; a smaller one needs less memory, and "
          "gradients are accumulated.");
  v.field(
      "precision", s.precision, anything(),
      "`bf16` computes in bfloat16 with float32 master weights, gradients and optimizer state.");
  v.field("activation_checkpointing", s.activation_checkpointing, anything().may_change_on_resume(),
          "Which activations are computed again in the backward pass instead of kept: those of "
          "every block (`full`), all but the attention outputs (`selective`), or those of every "
          "second block (`every_2`).");
  v.field("grad_clip", s.grad_clip, at_least(0),
          "Largest norm of the gradient, scaled down to it beyond; 0 for no clipping.");
  v.field("skip_above", s.skip_above, at_least(0),
          "Skips a step whose gradient norm exceeds this many times the running median; 0 skips "
          "only steps that are not finite.");
  v.field("z_loss", s.z_loss, at_least(0),
          "Weight of the squared log-partition term that keeps logits small; 0 for none.");
  v.field("loss_weighting", s.loss_weighting, anything(),
          "What counts alike in the loss of a step: every target (`token`), or every document "
          "that has targets in a sequence, whatever their number (`sequence`).");
  v.field("deterministic", s.deterministic, anything(),
          "Whether the same seed, machine and ranks give the same bits. On a GPU global layers of "
          "long sequences then take longer.");
  v.field("cuda_graph", s.cuda_graph, anything().may_change_on_resume(),
          "Whether a GPU gets the work of a micro-batch as one graph, recorded once: quicker where "
          "sequences are short or the model is small. The same bits.");
  v.list("alert", s.alert,
         anything().may_change_on_resume().defaults_to("none").such_as(
             "{figure: attention_logit_lower, above: 50, do: stop}"),
         "Bounds that figures of a healthy run stay below (docs/layer-health.md).");
}

template <class V>
void describe(V& v, ParallelSection& s) {
  v.field("sharding", s.sharding, anything(),
          "What the ranks split among them: nothing, the optimizer's state (ZeRO-1), also the "
          "gradients (ZeRO-2), or also the weights (`full`: ZeRO-3, FSDP).");
  v.field("replicas", s.replicas, at_least(1),
          "Copies of the sharded state: each is split among ranks / replicas neighbouring ranks, "
          "such as those of one host. Without sharding every rank is a copy.");
  v.field("context", s.context, at_least(1),
          "Ranks that share each sequence, neighbouring ones: local layers exchange the keys of a "
          "window, global ones gather all. 1: every rank has sequences of its own.");
  v.field("reduce_precision", s.reduce_precision, anything(),
          "In what the gradients of the ranks are added; `bf16` halves the bytes on the wire.");
  v.field("first_step_timeout", s.first_step_timeout, above(0),
          "Seconds in which no rank gets any further, up to the end of the first step, after which "
          "the job is given up.");
  v.field("timeout", s.timeout, above(0), "The same for all later steps.");
  v.field("check_replicas_every", s.check_replicas_every, at_least(0),
          "Steps between comparisons of the weights of all copies, bit for bit; 0 for none.");
}

template <class V>
void describe(V& v, CheckpointSection& s) {
  v.field("every_steps", s.every_steps, at_least(1),
          "Steps between checkpoints; the last step and a signal save one too.");
  v.field("keep_last", s.keep_last, at_least(1), "How many of the newest checkpoints stay.");
  v.field("keep_every", s.keep_every, at_least(0),
          "Checkpoints of steps that are a multiple of this stay for good; 0 for none.");
  v.field("keep_best", s.keep_best, at_least(0),
          "How many of those with the lowest validation loss at their own step stay as well.");
  v.field("asynchronous", s.asynchronous, anything(),
          "Whether training goes on while a checkpoint is written: it waits only for a copy of the "
          "state in host memory, which then holds it twice.");
  v.field("when_busy", s.when_busy, anything(),
          "What becomes of a checkpoint that is due while the one before is still being written: "
          "training waits for it (`wait`), or this one is left out (`skip`).");
}

template <class V>
void describe(V& v, EvalSection& s) {
  v.field("every_steps", s.every_steps, at_least(0),
          "Steps between validations; 0 for none during training.");
  v.field("max_tokens", s.max_tokens, at_least(1),
          "Validates on so many tokens of `data.validation` at most, in whole windows; its "
          "datasets have equal shares.");
}

template <class V>
void describe(V& v, LoggingSection& s) {
  v.field("every_steps", s.every_steps, at_least(1),
          "Steps between lines on the console and in `metrics.jsonl`.");
  v.field(
      "tensorboard", s.tensorboard, anything(),
      "Whether every figure of `metrics.jsonl`, and the samples, are also written to the folder "
      "`tensorboard` of the run, as TensorBoard reads them.");
  v.field("layers_every", s.layers_every, at_least(0),
          "Steps between rows in `metrics.jsonl` about each layer: norms of gradients, weights and "
          "updates, activations, attention logits; 0 for none.");
}

template <class V>
void describe(V& v, RunFile& c) {
  v.group("run", c.run, anything(), "The run as a whole: its name, its folder, and the machine.");
  v.group("model", c.model, anything(),
          "The shape of the model: a Llama-like body in which global layers (full causal "
          "attention) alternate with local ones (a window). Names are HuggingFace's where it has "
          "one. Four sizes are required unless a `preset` gives them. The layout of the layers "
          "comes from the short forms `self_attn_type`, `layer_group_size` and `global_layer`, or "
          "is spelt out as `attention_pattern`, which is what the resolved configuration holds.");
  v.group("data", c.data, anything(),
          "What to train and validate on, and how it is cut into sequences.");
  v.group("optimizer", c.optimizer, anything(),
          "AdamW or Muon, on float32 weights whatever the precision of the model.");
  v.group("schedule", c.schedule, anything(),
          "How the learning rate, and the window of local layers, move over the steps.");
  v.group("train", c.train, anything(), "Length, batch, numbers and safeguards of the training.");
  v.group("parallel", c.parallel, anything().may_change_on_resume(),
          "How the work is spread over several ranks.");
  v.group("checkpoint", c.checkpoint, anything().may_change_on_resume(),
          "When checkpoints are saved, and how many stay.");
  v.group("eval", c.eval, anything().may_change_on_resume(), "Validation during training.");
  v.group("logging", c.logging, anything().may_change_on_resume(),
          "What is reported, and how often.");
}

}  // namespace zebra

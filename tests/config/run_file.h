#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "config/load.h"

namespace zebra {

/// A valid run file of seven lines to change with overrides. Line 2 holds the model, 3 the data, 6
/// the training.
inline const std::string kRunFile =
    "run: {dir: runs/odd}\n"
    "model: {hidden_size: 48, intermediate_size: 80, num_hidden_layers: 5, num_attention_heads: 6, "
    "window_size: 7}\n"
    "data: {tokenizer: tok.model, train: [{path: data/a}], sequence_length: 33}\n"
    "optimizer: {lr: 2.0e-3}\n"
    "schedule: {warmup_steps: 3}\n"
    "train: {max_steps: 21, global_batch_size: 12, micro_batch_size: 2}\n"
    "logging: {every_steps: 1}\n";

/// kRunFile with overrides.
inline RunFile config_with(const std::vector<std::string>& overrides, int ranks = 1) {
  return parse_run_file(kRunFile, "run.yaml", overrides, ranks);
}

/// The message of the InputError, or "accepted" when there was none.
inline std::string refusal_of(const std::string& yaml,
                              const std::vector<std::string>& overrides = {}, int ranks = 1) {
  try {
    parse_run_file(yaml, "run.yaml", overrides, ranks);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

inline std::string refusal_with(const std::vector<std::string>& overrides, int ranks = 1) {
  return refusal_of(kRunFile, overrides, ranks);
}

}  // namespace zebra

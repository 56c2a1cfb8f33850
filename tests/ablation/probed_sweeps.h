#pragma once

#include <string>

#include "ablation/base_run_folder.h"
#include "support/tiny_data.h"

namespace zebra::testing {

/// A base run with data, and sweeps of it that train on probes.
struct ProbedSweeps {
  ProbedSweeps() { make_tiny_data(data); }

  static std::string base(const TemporaryFolder& data) {
    const auto at = data.path().string();
    return "run: {seed: 1}\n"
           "model: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2, "
           "num_attention_heads: 4, vocab_size: 300, window_size: 7}\n"
           "data: {tokenizer: " +
           at + "/tok.model, train: [{path: " + at + "/train}], sequence_length: 48}\n" +
           "train: {max_steps: 4, global_batch_size: 4}\n";
  }
  Sweep sweep(const std::string& windows, const std::string& more = "") const {
    return folder.sweep("axes: {model.window_size: " + windows + ", run.seed: [1]}\n" +
                        "probes: {training_share: 0.5, training_sequences: 40, values: 16" + more +
                        "}\n");
  }
  TemporaryFolder data;
  BaseRunFolder folder{base(data)};
};

}  // namespace zebra::testing

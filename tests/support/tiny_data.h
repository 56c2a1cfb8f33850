#pragma once

#include <filesystem>
#include <string>

#include "base/file.h"
#include "base/random.h"
#include "config/load.h"
#include "data/pack.h"
#include "data/tokenizer_training.h"
#include "support/temporary_folder.h"

namespace zebra::testing {

/// Text with some structure, a function of the seed: `documents` documents, separated as JSON
/// lines.
inline std::string tiny_documents(std::uint64_t seed, int documents) {
  static const char* kWords[] = {"zebra",  "stripe", "global", "local",
                                 "window", "token",  "layer",  "attention"};
  const RandomStream stream(seed);
  std::string text;
  std::uint64_t index = 0;
  for (int d = 0; d < documents; ++d) {
    text += "{\"text\": \"";
    const int words = 20 + static_cast<int>(stream.bits(index++) % 60);
    for (int w = 0; w < words; ++w) text += std::string(kWords[stream.bits(index++) % 8]) + " ";
    text += "\"}\n";
  }
  return text;
}

/// A trained tokenizer and two packed datasets in `folder`: tok.model, train, valid.
inline void make_tiny_data(const TemporaryFolder& folder) {
  write_text(folder / "train.jsonl", tiny_documents(1, 120));
  write_text(folder / "valid.jsonl", tiny_documents(2, 20));
  TokenizerTrainingOptions tokenizer;
  tokenizer.input.inputs = {(folder / "train.jsonl").string()};
  tokenizer.vocab_size = 300;
  tokenizer.output = folder / "tok.model";
  train_tokenizer(tokenizer);
  for (const std::string part : {"train", "valid"}) {
    PackOptions pack_options;
    pack_options.input.inputs = {(folder / (part + ".jsonl")).string()};
    pack_options.tokenizer = folder / "tok.model";
    pack_options.output = folder / part;
    pack_options.threads = 1;
    pack(pack_options);
  }
}

/// A run on that data, resolved, with the tokenizer's vocabulary.
inline Config tiny_run(const TemporaryFolder& folder,
                       const std::vector<std::string>& overrides = {}) {
  const std::string at = folder.path().string();
  return resolve(
      parse_run_file("run: {dir: " + at +
                         "/run, seed: 3, device: cpu}\n"
                         "model: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 3, "
                         "num_attention_heads: 4, num_key_value_heads: 2,\n"
                         "        layer_group_size: 2, window_size: 7}\n"
                         "data: {tokenizer: " +
                         at + "/tok.model, train: [{path: " + at +
                         "/train}], validation: [{path: " + at +
                         "/valid}],\n"
                         "       sequence_length: 48}\n"
                         "optimizer: {lr: 3.0e-3}\n"
                         "schedule: {warmup_steps: 2}\n"
                         "train: {max_steps: 12, global_batch_size: 4, micro_batch_size: 2}\n"
                         "checkpoint: {every_steps: 5, keep_last: 2}\n"
                         "eval: {every_steps: 6, max_tokens: 480}\n"
                         "logging: {every_steps: 1}\n",
                     "tiny.yaml", overrides),
      300);
}

}  // namespace zebra::testing

#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "ablation/sweep.h"
#include "support/temporary_folder.h"

namespace zebra::testing {

/// A run file of seven lines for variants. Line 1 holds the run, 2 the model, 3 the data, 5 the
/// training; run.dir is left to the sweep. Steps of 12 sequences of 64 tokens.
inline const std::string kBaseRun =
    "run: {seed: 4}\n"
    "model: {hidden_size: 48, intermediate_size: 80, num_hidden_layers: 4, num_attention_heads: 6, "
    "vocab_size: 100, window_size: 7}\n"
    "data: {tokenizer: tok.model, train: [{path: data/a}], sequence_length: 64}\n"
    "schedule: {warmup_steps: 3}\n"
    "train: {max_steps: 20, global_batch_size: 12, micro_batch_size: 2}\n"
    "optimizer: {lr: 2.0e-3}\n"
    "logging: {every_steps: 1}\n";

/// A folder with a base run file; sweeps are given as the lines that follow name, dir and base,
/// so that the first of them is line 4 of "sweep.yaml".
class BaseRunFolder {
 public:
  explicit BaseRunFolder(const std::string& base = kBaseRun) {
    write_text(folder_ / "base.yaml", base);
  }

  std::filesystem::path operator/(const std::string& name) const { return folder_ / name; }

  std::string text(const std::string& lines) const {
    return "name: odd\ndir: " + (folder_ / "out").string() +
           "\nbase: " + (folder_ / "base.yaml").string() + "\n" + lines;
  }

  Sweep sweep(const std::string& lines) const {
    return parse_sweep(text(lines), "sweep.yaml", vocabulary);
  }

  std::vector<Arm> arms(const std::string& lines) const { return sweep(lines).arms; }

  /// The message of the InputError with this folder's name as FOLDER, or "accepted".
  std::string refusal(const std::string& lines) const { return refusal_of_text(text(lines)); }

  std::string refusal_of_text(const std::string& yaml) const {
    try {
      parse_sweep(yaml, "sweep.yaml", vocabulary);
    } catch (const InputError& error) {
      return without_folder(error.what());
    }
    return "accepted";
  }

  static std::int64_t vocabulary(const Config& config) { return config.model.vocab_size.value(); }

 private:
  std::string without_folder(std::string message) const {
    const std::string name = folder_.path().string();
    for (std::size_t at = message.find(name); at != std::string::npos; at = message.find(name)) {
      message.replace(at, name.size(), "FOLDER");
    }
    return message;
  }

  TemporaryFolder folder_;
};

inline std::vector<std::string> names_of_arms(const std::vector<Arm>& arms) {
  std::vector<std::string> names;
  for (const Arm& arm : arms) names.push_back(arm.name);
  return names;
}

}  // namespace zebra::testing

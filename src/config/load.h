#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/config.h"

namespace zebra {

/// Reads run files (later ones win), then `--set` overrides ("section.key=VALUE", VALUE is YAML),
/// fills derived defaults and validates.
///
/// Maps merge key by key, scalars and lists replace. Relative paths become absolute (from the
/// working directory), `${VAR}` is expanded in every value, top-level `x-…` keys are ignored, a
/// `model.preset` comes before other model keys. Throws InputError with every problem found, each
/// with file, line, key and the fix. `ranks` is the number of processes that share
/// train.global_batch_size.
RunFile load_run_file(const std::vector<std::filesystem::path>& files,
                      const std::vector<std::string>& overrides, int ranks = 1);

/// The same from YAML text; `origin` stands for the file's name in messages.
RunFile parse_run_file(const std::string& yaml, const std::string& origin,
                       const std::vector<std::string>& overrides = {}, int ranks = 1);

/// The run that a loaded file describes. The model's vocabulary is model.vocab_size, or as many
/// pieces as the tokenizer has. Throws InputError when it is less than that.
Config resolve(const RunFile& file, std::int64_t tokenizer_vocabulary);

/// The same for a file that names the vocabulary, as those in run folders and checkpoints do.
/// Throws InputError when it does not.
Config resolve(const RunFile& file);

/// What `resolve` makes the same configuration of.
RunFile as_run_file(const Config& config);

/// A loaded file as YAML text that load_run_file reads back to the same values: keys in declared
/// order, absent ones left out, numbers to round-trip.
std::string to_yaml(const RunFile& file);
std::string to_yaml(const Config& config);

/// A key whose resolved values differ, each as YAML; "(absent)" for one that is not there.
struct ConfigDifference {
  std::string key, before, after;
};
std::vector<ConfigDifference> differences(const Config& before, const Config& after);

/// Whether a resumed run may change `key` (dotted): those of parallel, checkpoint, eval and
/// logging, run.device, and micro_batch_size, activation_checkpointing and max_steps of train.
/// False for a key that does not exist.
bool may_change_on_resume(const std::string& key);

/// The reference of all keys as Markdown (docs/configuration.md), and their JSON Schema (draft 07).
std::string config_reference();
std::string config_schema();

}  // namespace zebra

#include "checkpoint/fork.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "base/message.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/moved_run.h"
#include "checkpoint/verification.h"
#include "config/catalogue.h"
#include "config/yaml.h"
#include "data/training_data.h"

namespace zebra {
namespace {

/// Keys on which the names or shapes of a model's tensors depend.
constexpr std::array<std::string_view, 11> kShapeKeys = {
    "model.hidden_size",         "model.intermediate_size",
    "model.num_hidden_layers",   "model.num_attention_heads",
    "model.num_key_value_heads", "model.head_dim",
    "model.vocab_size",          "model.tie_word_embeddings",
    "model.norm_placement",      "model.qk_norm",
    "model.attention_sink"};

/// On which it depends what training state there is.
constexpr const char* kStateKey = "optimizer.type";

/// Keys that say what a resolved attention_pattern says already.
constexpr std::array kShortForms = {"model.self_attn_type", "model.layer_group_size",
                                    "model.global_layer"};

struct SettledKey {
  const char *key, *why;
};
constexpr SettledKey kSettledKeys[] = {
    {"run.dir", "is what --output says; leave it out"},
    {"run.name", "is what --name says; leave it out"},
    {"data.tokenizer", "must stay the checkpoint's, whose tokens its weights know; leave it out"},
    {"model.preset", "changes nothing, the checkpoint's own shape wins; leave it out"},
    {"model.init_from", "cannot be, the weights are the checkpoint's; leave it out"}};

/// What the overrides give, laid over one another. Throws InputError when one does not parse.
Value merged(const std::vector<std::string>& overrides) {
  Value all;
  all.kind = Value::Kind::map;
  Problems problems;
  for (const auto& text : overrides) {
    try {
      merge(all, parse_override(text));
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  }
  problems.throw_if_any();
  return all;
}

bool gives(const Value& overrides, const std::string& key) {
  const auto dot = key.find('.');
  const Entry* section = overrides.find(key.substr(0, dot));
  return section != nullptr && section->value.find(key.substr(dot + 1)) != nullptr;
}

/// The checkpoint's configuration with the overrides. A short form of the layout gets its way over
/// the resolved pattern; shape and weights come from the checkpoint, whatever its run took them
/// from.
Config load_with(const std::filesystem::path& file, const Value& given,
                 const std::vector<std::string>& overrides) {
  std::vector<std::string> all = overrides;
  const bool has_short_form =
      std::ranges::any_of(kShortForms, [&](const char* key) { return gives(given, key); });
  if (has_short_form && !gives(given, "model.attention_pattern"))
    all.emplace_back("model.attention_pattern=");
  // What the saved file says in steps may be said in tokens.
  for (const KeyInfo* info : leaves(catalogue())) {
    const auto section = info->key.substr(0, info->key.rfind('.') + 1);
    const bool is_said_otherwise = gives(given, section + info->rules.alternative);
    if (is_said_otherwise && !gives(given, info->key)) all.push_back(info->key + "=");
  }
  all.emplace_back("model.preset=");
  all.emplace_back("model.init_from=");
  return resolve(load_run_file({file}, all));
}

/// Adds what would give the model other tensors than the checkpoint holds.
void check_shapes(const Config& saved, const std::vector<ConfigDifference>& changes,
                  Problems& problems) {
  for (const auto& [key, before, after] : changes) {
    const std::string change = key + ": " + before + " -> " + after + ": ";
    if (key == kStateKey) {
      problems.add(change +
                   "the checkpoint holds no state of that optimizer; name the checkpoint as "
                   "model.init_from in a run file to start a run from its weights");
    } else if (!may_change_in_fork(key)) {
      problems.add(change + "would change the shapes of tensors, which a fork takes as they are");
    } else if (key == "model.attention_pattern" &&
               saved.model.attention_sink == AttentionSink::local) {
      problems.add(change +
                   "only local layers have an attention sink (model.attention_sink), so "
                   "the checkpoint lacks some or has too many");
    }
  }
}

bool is_training_data(const std::string& key) {
  return key == "data.train" || key == "data.stages";
}

/// Whether the model, judged anew after this change, might get another validation loss.
bool changes_validation(const ConfigDifference& change) {
  const auto& key = change.key;
  if (is_training_data(key) || key == "model.initializer_range") return false;
  return key.starts_with("model.") || key.starts_with("data.") || key == "train.precision" ||
         key == "eval.max_tokens";
}

/// The training state from which the fork goes on.
nlohmann::ordered_json forked_state(const Checkpoint& checkpoint, const Fork& fork) {
  auto training = checkpoint.training();
  if (std::ranges::any_of(fork.changes, is_training_data, &ConfigDifference::key)) {
    const Tokenizer tokenizer(checkpoint.tokenizer_path());
    training["dataset_fingerprints"] =
        fingerprints_of(open_training_datasets(fork.config, tokenizer));
  }
  training.erase("metrics_rows");  // they stay with the original run
  if (std::ranges::any_of(fork.changes, changes_validation)) training.erase("validation_loss");
  training["forked_from"] = {{"checkpoint", std::filesystem::absolute(fork.origin).string()},
                             {"step", checkpoint.step()}};
  return training;
}

/// Writes the run folder of a fork under another name.
void write_run(const Fork& fork, const std::filesystem::path& run,
               const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
  std::uint64_t bytes = 0, bytes_done = 0;
  for (const auto& [name, record] : fork.manifest.files) bytes += record.size;
  const auto copy = [&](const std::string& name, const std::filesystem::path& to) {
    const auto from = fork.origin / name;
    FileWriter writer(to / name);
    const auto hash = hash_in_blocks(from, [&](std::string_view block) {
      writer.write(block);
      bytes_done = std::min(bytes_done + block.size(), bytes);
      if (progress) progress(bytes_done, bytes);
    });
    if (hash != fork.manifest.files.at(name).hash) {
      throw InputError(from.string() +
                       ": is corrupt: its content does not match the manifest's hash; fork another "
                       "checkpoint");
    }
    writer.commit();
  };
  const auto folder = checkpoint_folder(run, fork.manifest.step);
  std::filesystem::create_directories(folder);
  Manifest manifest = fork.manifest;
  const std::string config = to_yaml(fork.config);
  for (const auto& [name, record] : fork.manifest.files)
    if (name != Checkpoint::kConfigFile) copy(name, folder);
  manifest.files[Checkpoint::kConfigFile] =
      write_recorded_file(folder / Checkpoint::kConfigFile, config);
  write_recorded_file(folder / Manifest::kFileName, manifest.to_text());
  for (const char* name : {kSentencePieceFile, kTokenizerJsonFile, kTokenizerConfigFile})
    if (fork.manifest.files.contains(name)) copy(name, run);
  write_recorded_file(run / Checkpoint::kConfigFile, config);
  for (const auto& path : {folder, folder.parent_path()}) flush_to_disk(path);
}

}  // namespace

bool may_change_in_fork(const std::string& key) {
  return key != kStateKey && std::ranges::find(kShapeKeys, key) == kShapeKeys.end();
}

Fork plan_fork(const std::filesystem::path& origin, const ForkOptions& options) {
  Checkpoint checkpoint(origin);
  auto manifest = Manifest::of(origin);
  if (!shards_by_group(manifest).contains("exp_avg")) {
    throw InputError(origin.string() +
                     ": holds weights and no training state to go on from; name it as "
                     "model.init_from in a run file to start a run from its weights");
  }
  const Config saved = checkpoint.config();
  const Value given = merged(options.overrides);
  const auto run = folder_path(std::filesystem::absolute(options.output).lexically_normal());
  Problems problems;
  check_new_folder(run, problems);
  for (const auto& [key, why] : kSettledKeys)
    if (gives(given, key)) problems.add(std::string("--set ") + key + ": " + why);
  Fork fork{origin, {}, {}, std::move(manifest)};
  try {
    fork.config = load_with(origin / Checkpoint::kConfigFile, given, options.overrides);
  } catch (const InputError& error) {
    problems.add(error.what());
    problems.throw_if_any();
  }
  follow_moved_data(fork.config.data, fork.config.run.dir, checkpoint.run_folder());
  fork.config.run.dir = run;
  fork.config.run.name = options.name.empty() ? run.filename().string() : options.name;
  fork.config.data.tokenizer = run / main_tokenizer_file(fork.manifest.files);
  fork.changes = differences(saved, fork.config);
  std::erase_if(fork.changes, [](const ConfigDifference& change) {
    return std::ranges::find(kSettledKeys, change.key, &SettledKey::key) != std::end(kSettledKeys);
  });
  check_shapes(saved, fork.changes, problems);
  problems.throw_if_any();
  fork.manifest.training = forked_state(checkpoint, fork);
  return fork;
}

void write_fork(
    const Fork& fork,
    const std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>& progress) {
  write_new_folder(fork.config.run.dir,
                   [&](const std::filesystem::path& beside) { write_run(fork, beside, progress); });
}

std::string fork_text(const Fork& fork, bool is_written) {
  const auto& run = fork.config.run;
  const auto& train = fork.config.train;
  const auto step = fork.manifest.step;
  std::string text = (is_written ? "forked " : "would fork ") + fork.origin.string() + " to " +
                     run.dir.string() + "\n";
  for (const auto& [key, before, after] : fork.changes)
    text += "  " + key + ": " + before + " -> " + after + "\n";
  const std::string batch = std::to_string(train.global_batch_size);
  text += "The data go on at sample " + with_commas(step * train.global_batch_size) + ": step " +
          std::to_string(step) + " x train.global_batch_size " + batch + ".\n";
  if (train.max_steps <= step) {
    text += "Nothing is left to train: train.max_steps is " + std::to_string(train.max_steps) +
            "; raise it with --set train.max_steps=N.\n";
  }
  if (!is_written) return text + "Dry run: nothing was written.\n";
  return text + "Train it with: zebra train " + shell_word((run.dir / "config.yaml").string()) +
         "\n";
}

}  // namespace zebra

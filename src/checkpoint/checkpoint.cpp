#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <functional>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/folder.h"
#include "checkpoint/moved_run.h"
#include "checkpoint/verification.h"
#include "config/load.h"
#include "distributed/communicator.h"

namespace zebra {
namespace {

// This rank's shard of every group, as a manifest that names nothing else.
Manifest write_shard(const std::filesystem::path& folder, const CheckpointContent& content,
                     int shard, const std::function<void()>& progress) {
  Manifest manifest;
  for (const auto& [group, tensors] : content.groups) {
    if (tensors.empty()) continue;
    std::vector<NamedValues> fragments;
    for (const auto& [tensor, begin, values] : tensors) {
      const std::int64_t end = begin + values.numel();
      fragments.push_back({fragment_key(tensor.name, begin, end), values});
      auto& record = manifest.tensors[tensor.name];
      record.shape = tensor.shape;
      record.fragments = {{shard, begin, end}};
      record.groups.insert(group);
    }
    const std::string file = shard_file_name(group, shard);
    manifest.files[file] = write_safetensors(folder / file, fragments, progress);
  }
  return manifest;
}

void add_shard(Manifest& whole, const Manifest& shard) {
  whole.files.insert(shard.files.begin(), shard.files.end());
  for (const auto& [name, record] : shard.tensors) {
    auto& fragments = whole.tensors[name].fragments;
    whole.tensors[name].shape = record.shape;
    whole.tensors[name].groups = record.groups;
    fragments.insert(fragments.end(), record.fragments.begin(), record.fragments.end());
    std::sort(fragments.begin(), fragments.end(),
              [](const auto& a, const auto& b) { return a.begin < b.begin; });
  }
}

void complete(const std::filesystem::path& beside, const std::filesystem::path& folder,
              const CheckpointContent& content, const std::vector<std::string>& shards) {
  Manifest manifest;
  for (const auto& shard : shards) add_shard(manifest, Manifest::from_text_of_shard(shard, beside));
  manifest.drop_equal_groups();
  manifest.step = content.step;
  manifest.training = content.training;
  manifest.files[Checkpoint::kConfigFile] =
      write_recorded_file(beside / Checkpoint::kConfigFile, to_yaml(content.config));
  for (const auto& [name, bytes] : content.tokenizer)
    manifest.files[name] = write_recorded_file(beside / name, bytes);
  if (content.before_manifest) content.before_manifest();
  write_recorded_file(beside / Manifest::kFileName, manifest.to_text());
  flush_to_disk(beside);
  std::filesystem::rename(beside, folder);
  flush_to_disk(folder.parent_path());
}

// Texts among ranks: where that fails, another rank is gone.
template <class Share>
auto among_ranks(const std::string& what, const Share& share) {
  try {
    return share();
  } catch (const std::exception& error) {
    throw CollectiveError(what, without_backtrace(error.what()));
  }
}

// Runs one stage of a save on every rank. Throws on all ranks what went wrong on any.
void stage(TextCollectives& texts, const std::string& what, const std::function<void()>& work) {
  std::string failure;
  try {
    work();
  } catch (const std::exception& error) {
    failure = without_backtrace(error.what());
  }
  const auto failed_with = among_ranks(what, [&] { return texts.all_gather(failure); });
  Problems failures;
  for (int rank = 0; rank < texts.ranks(); ++rank) {
    const auto& text = failed_with[static_cast<std::size_t>(rank)];
    if (text.empty()) continue;
    failures.add((texts.ranks() > 1 ? "rank " + std::to_string(rank) + ": " : "") + text);
  }
  if (!failures.empty()) throw RunError(join(failures.all(), "; "));
}

}  // namespace

void write_checkpoint(const std::filesystem::path& folder, const CheckpointContent& content,
                      TextCollectives& texts, const std::function<void()>& progress) {
  const bool is_first = texts.is_first();
  std::filesystem::path beside;
  try {
    // The folder's name is the first rank's: another start of the job must not meet it.
    beside = among_ranks("the name of a checkpoint",
                         [&] { return texts.broadcast(partial_path(folder).string()); });
    stage(texts, "the folder of a checkpoint", [&] {
      if (!is_first) return;
      std::filesystem::remove_all(beside);
      std::filesystem::create_directories(beside);
    });
    std::string shard;
    stage(texts, "the parts of a checkpoint",
          [&] { shard = write_shard(beside, content, texts.rank(), progress).to_text(); });
    const auto shards =
        among_ranks("what the parts of a checkpoint hold", [&] { return texts.gather(shard); });
    stage(texts, "the manifest of a checkpoint", [&] {
      if (is_first) complete(beside, folder, content, shards);
    });
  } catch (const CollectiveError&) {
    throw;
  } catch (const std::exception& error) {
    std::error_code ignored;
    if (is_first && !beside.empty()) std::filesystem::remove_all(beside, ignored);
    throw RunError(folder.string() + ": cannot save the checkpoint: " + error.what());
  }
}

Checkpoint::Checkpoint(std::filesystem::path folder) : folder_(std::move(folder)) {
  if (!has_manifest(folder_)) {
    throw InputError(folder_.string() + ": is not a whole checkpoint: it has no " +
                     Manifest::kFileName);
  }
  manifest_ = Manifest::of(folder_);
  Problems problems;
  for (const auto& fault : size_faults(folder_, manifest_))
    problems.add(fault + "; remove this checkpoint to go on from the one before");
  problems.throw_if_any();
}

void Checkpoint::verify(const std::string& file,
                        const std::function<void(std::string_view block)>& each_block) {
  if (verified_.contains(file)) return;
  const auto found = manifest_.files.find(file);
  if (found == manifest_.files.end())
    throw InputError(folder_.string() + ": its manifest does not name " + file);
  const auto path = folder_ / file;
  if ((each_block ? hash_in_blocks(path, each_block) : hash_of_file(path)) != found->second.hash) {
    throw InputError(path.string() +
                     ": is corrupt: its content does not match the manifest's hash; remove this "
                     "checkpoint to go on from the one before");
  }
  verified_.insert(file);
}

void Checkpoint::verify_group(const std::string& group,
                              const std::function<void(std::size_t bytes)>& progress) {
  const auto groups = shards_by_group(manifest_);
  for (const auto part : groups.at(group))
    verify(shard_file_name(group, part), [&](std::string_view block) { progress(block.size()); });
}

Config Checkpoint::config() {
  verify(kConfigFile);
  verify(main_tokenizer_file(manifest_.files));
  if (manifest_.files.contains(kTokenizerConfigFile)) verify(kTokenizerConfigFile);
  Config config = resolve(load_run_file({folder_ / kConfigFile}, {}));
  follow_moved_data(config.data, config.run.dir, run_folder());
  config.data.tokenizer = tokenizer_path();
  return config;
}

std::filesystem::path Checkpoint::run_folder() const {
  return std::filesystem::absolute(folder_).parent_path().parent_path();
}

const SafetensorsFile& Checkpoint::shard(const std::string& group, std::int64_t shard) {
  const std::string name = shard_file_name(group, shard);
  auto& file = shards_[name];
  if (file == nullptr) {
    verify(name);
    file = std::make_unique<SafetensorsFile>(folder_ / name);
  }
  return *file;
}

void Checkpoint::read(const std::string& group, const NamedTensor& tensor, std::int64_t begin,
                      const torch::Tensor& out) {
  const auto found = manifest_.tensors.find(tensor.name);
  if (found == manifest_.tensors.end())
    throw InputError(folder_.string() + ": holds no tensor " + tensor.name);
  if (found->second.shape != tensor.shape) {
    throw InputError(folder_.string() + ": tensor " + tensor.name +
                     " has another shape than the model; is this the checkpoint of another run?");
  }
  const torch::NoGradGuard no_grad;
  const std::int64_t end = begin + out.numel();
  std::int64_t filled = begin;
  for (const auto& fragment : found->second.fragments) {
    const auto from = std::max(fragment.begin, begin), to = std::min(fragment.end, end);
    if (from >= to) continue;
    const auto stored = shard(group, fragment.shard)
                            .tensor(fragment_key(tensor.name, fragment.begin, fragment.end));
    if (stored.dim() != 1 || stored.numel() != fragment.end - fragment.begin || from != filled) {
      throw InputError(folder_.string() + ": the fragments of tensor " + tensor.name +
                       " do not fit together");
    }
    out.narrow(0, from - begin, to - from)
        .copy_(stored.narrow(0, from - fragment.begin, to - from));
    filled = to;
  }
  if (filled != end)
    throw InputError(folder_.string() + ": tensor " + tensor.name + " is not stored whole");
}

}  // namespace zebra

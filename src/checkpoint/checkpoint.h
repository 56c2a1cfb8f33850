#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/manifest.h"
#include "checkpoint/safetensors.h"
#include "config/config.h"
#include "data/tokenizer_files.h"
#include "distributed/job.h"
#include "model/parameter.h"

namespace zebra {

/// Elements [begin, begin + values.numel()) of a tensor.
struct CheckpointTensor {
  NamedTensor tensor;
  std::int64_t begin;
  torch::Tensor values;  ///< 1-D; float32, or the type in which an imported weight came
};

/// What one rank writes; step, config and training are the same on all.
struct CheckpointContent {
  std::int64_t step;
  Config config;
  TokenizerFiles tokenizer;  ///< whole, so that the checkpoint stands alone
  nlohmann::ordered_json training;
  std::vector<std::pair<std::string, std::vector<CheckpointTensor>>> groups;
  /// Called by the first rank when all but the manifest is written; may be empty.
  std::function<void()> before_manifest = {};
};

/// Writes the checkpoint beside `folder`: every rank its own shard, all at once; then the first
/// rank the manifest, and it renames the whole into place. All files are flushed before. Nothing
/// half-written is ever taken for whole. All ranks call it, on one shared file system; `progress`
/// is called after each tensor of this rank.
///
/// Returns, or throws RunError, on all ranks alike; after a RunError `folder` does not exist.
/// Throws CollectiveError when another rank is gone.
void write_checkpoint(const std::filesystem::path& folder, const CheckpointContent& content,
                      TextCollectives& texts, const std::function<void()>& progress = {});

/// A whole checkpoint, for reading. Each file is checked against the manifest's hash before its
/// first use.
class Checkpoint {
 public:
  // In its folder, beside the manifest, the tensors and the tokenizer's files.
  static constexpr const char* kConfigFile = "config.yaml";

  /// Throws InputError when the manifest is missing or broken, or a file is missing or has another
  /// size.
  explicit Checkpoint(std::filesystem::path folder);

  const std::filesystem::path& folder() const { return folder_; }
  std::int64_t step() const { return manifest_.step; }
  const nlohmann::ordered_json& training() const { return manifest_.training; }
  std::filesystem::path tokenizer_path() const {
    return folder_ / main_tokenizer_file(manifest_.files);
  }

  /// The run that it lies in, if it does lie in one.
  std::filesystem::path run_folder() const;

  /// The configuration it was saved under; data.tokenizer is the checkpoint's own copy, and
  /// datasets that moved along with the run are where they are now.
  Config config();

  /// Checks the files of a group before they are read; `progress` hears of every block how many
  /// bytes it has. Throws InputError as read.
  void verify_group(const std::string& group,
                    const std::function<void(std::size_t bytes)>& progress);

  /// Fills `out` (1-D, any type and device) with elements [begin, begin + out.numel()) of `tensor`.
  /// Throws InputError when the checkpoint holds no such tensor, or one of another shape, or its
  /// file is corrupt.
  void read(const std::string& group, const NamedTensor& tensor, std::int64_t begin,
            const torch::Tensor& out);

 private:
  void verify(const std::string& file,
              const std::function<void(std::string_view block)>& each_block = {});
  const SafetensorsFile& shard(const std::string& group, std::int64_t shard);

  std::filesystem::path folder_;
  Manifest manifest_;
  std::set<std::string> verified_;
  std::map<std::string, std::unique_ptr<SafetensorsFile>> shards_;
};

}  // namespace zebra

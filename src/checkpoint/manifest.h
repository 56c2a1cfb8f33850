#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace zebra {

/// A file is not what its format demands: cut off, changed, or never written whole. What else can
/// be wrong with a checkpoint (a newer format, another model's shapes) is a plain InputError.
struct CheckpointDamage : InputError {
  using InputError::InputError;
};

/// Elements [begin, end) of a tensor, stored in shard `shard` of each group
/// ("weights", "exp_avg", "exp_avg_sq", "momentum"): key "NAME@begin:end" in
/// "GROUP-00000.safetensors".
struct Fragment {
  std::int64_t shard, begin, end;
};

struct TensorRecord {
  std::vector<std::int64_t> shape;    ///< sizes from 0, their product fits
  std::vector<Fragment> fragments;    ///< ascending, none empty
  std::set<std::string> groups = {};  ///< that hold it; none: all that are stored

  bool is_in(const std::string& group) const { return groups.empty() || groups.contains(group); }
};

/// What a checkpoint holds. A checkpoint is whole when, and only when, its manifest.json is there.
/// docs/checkpoint-format.md says what may change without a new version.
struct Manifest {
  static constexpr int kFormatVersion = 2;  ///< the newest; written where groups differ
  static constexpr const char* kFileName = "manifest.json";

  std::int64_t step = 0;
  std::map<std::string, FileRecord> files;
  std::map<std::string, TensorRecord> tensors;
  nlohmann::ordered_json training;  ///< the trainer's own state: an object or null

  /// That of the oldest format that can say it: 1 where every tensor is in all groups.
  int format_version() const;

  /// Leaves out which groups hold a tensor where all hold every one.
  void drop_equal_groups();

  /// JSON that ends with a hash of all its bytes but the hash's own 32 digits.
  std::string to_text() const;

  /// The manifest of a whole checkpoint: the fragments of every tensor tile it without gap or
  /// overlap, every shard that they name is in `files` for "weights" and for each other group that
  /// holds the tensor, and names of files lead nowhere but into the folder. Members that it does
  /// not know are ignored. Throws CheckpointDamage with all that is wrong, or a plain InputError
  /// when the manifest is whole but of a newer format version or of another format. Messages begin
  /// with `path`.
  static Manifest from_text(const std::string& text, const std::filesystem::path& path);

  /// That of a checkpoint's folder. Throws InputError when it cannot be read.
  static Manifest of(const std::filesystem::path& folder);

  /// The same for what one rank wrote: fragments need not tile their tensors.
  static Manifest from_text_of_shard(const std::string& text, const std::filesystem::path& path);
};

/// {"shape": [4, 2], "fragments": [[0, 0, 8]]}, as in a manifest.
nlohmann::ordered_json to_json(const TensorRecord& record);

std::string shard_file_name(const std::string& group, std::int64_t shard);
std::string fragment_key(const std::string& name, std::int64_t begin, std::int64_t end);

/// Writes a file of a checkpoint, flushed to the disk, and returns what the manifest says of it.
FileRecord write_recorded_file(const std::filesystem::path& path, const std::string& text);

/// The numbers of the shards that each group of tensors ("weights", "exp_avg", …) consists of.
std::map<std::string, std::set<std::int64_t>> shards_by_group(const Manifest& manifest);

}  // namespace zebra

#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checkpoint/safetensors.h"

namespace zebra {

/// Elements [begin, end) of a tensor, stored in part `part` of each group
/// ("weights", "exp_avg", "exp_avg_sq"): key "NAME@begin:end" in
/// "GROUP-00000.safetensors".
struct Fragment {
  std::int64_t part, begin, end;
};

struct TensorRecord {
  std::vector<std::int64_t> shape;
  std::vector<Fragment> fragments;  ///< ascending, without gaps
};

/// What a checkpoint holds. A checkpoint is whole when, and only when, its manifest.json is there.
struct Manifest {
  static constexpr int kFormatVersion = 1;
  static constexpr const char* kFileName = "manifest.json";

  std::int64_t step = 0;
  std::map<std::string, FileRecord> files;
  std::map<std::string, TensorRecord> tensors;
  nlohmann::ordered_json training;  ///< the trainer's own state

  /// JSON that ends with a hash of all its bytes but the hash's own 32 digits.
  std::string to_text() const;

  /// Throws InputError when the text is not a whole manifest of a known version; `path` is for the
  /// message.
  static Manifest from_text(const std::string& text, const std::filesystem::path& path);
};

std::string part_file_name(const std::string& group, std::int64_t part);
std::string fragment_key(const std::string& name, std::int64_t begin, std::int64_t end);

}  // namespace zebra

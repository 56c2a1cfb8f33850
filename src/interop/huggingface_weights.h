#pragma once

#include <torch/types.h>

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/safetensors.h"

namespace zebra {

using TensorsByName = std::map<std::string, torch::Tensor>;

/// "2 tensors (a, b)", the first eight by name.
std::string counted_tensors(const std::vector<std::string>& names);

/// Whether there is something of that name; no where that cannot be told.
inline bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

/// The tensors of a HuggingFace folder, over all its files: model.safetensors, or
/// model.safetensors.index.json and the files that it names. Views of the mapped files, which must
/// outlive them. What is wrong with the folder is added to `problems`.
class StoredTensors {
 public:
  StoredTensors(const std::filesystem::path& folder, Problems& problems);

  const TensorsByName& tensors() const { return tensors_; }
  std::vector<std::unique_ptr<SafetensorsFile>> take_files() { return std::move(files_); }

 private:
  void open(const std::string& name);
  /// Opens each file once, and holds what is in them against what the index says.
  void open_index();
  void compare(const std::filesystem::path& index, const std::string& file,
               const std::vector<std::string>& named);

  std::filesystem::path folder_;
  Problems& problems_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  TensorsByName tensors_;
};

}  // namespace zebra

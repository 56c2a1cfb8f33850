#pragma once

#include <torch/torch.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"

namespace zebra {

/// Size and hash of a file as a manifest records them.
struct FileRecord {
  std::uint64_t size = 0;
  std::string hash;
};

struct NamedValues {
  std::string name;
  torch::Tensor values;  ///< float32, bfloat16 or int64, any device
};

/// Writes a safetensors file (https://github.com/huggingface/safetensors: little-endian header
/// length, JSON header, data) with the tensors in the given order, and flushes it to the disk.
/// Tensors are copied to the host one at a time. Throws RunError when it cannot be written.
FileRecord write_safetensors(const std::filesystem::path& path,
                             const std::vector<NamedValues>& tensors);

/// A safetensors file, mapped. Throws InputError when its header does not describe its bytes.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  std::vector<std::string> names() const;

  /// The tensor on the CPU: a view of the mapped file where it lies aligned, else a copy. Valid
  /// while this object lives and never to be written to.
  torch::Tensor tensor(const std::string& name) const;

 private:
  struct Entry {
    torch::ScalarType type;
    std::vector<std::int64_t> shape;
    std::uint64_t begin;  // in the file
  };

  std::filesystem::path path_;
  MappedFile file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace zebra

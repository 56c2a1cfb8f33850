#pragma once

#include <torch/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/safetensors_header.h"

namespace zebra {

struct NamedValues {
  std::string name;
  torch::Tensor values;  ///< float32, bfloat16, float16, int64 or int32, any device
};

/// A tensor that a file is to hold.
struct TensorHeader {
  std::string name;
  torch::ScalarType type;
  std::vector<std::int64_t> shape;
};

/// Writes a safetensors file (https://github.com/huggingface/safetensors: little-endian header
/// length, JSON header, data) whose values come piece by piece. Throws RunError when it cannot be
/// written.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const std::filesystem::path& path, const std::vector<TensorHeader>& tensors);

  /// The next values, in the order of the tensors, of their type, on any device.
  void write(const torch::Tensor& values);

  /// Flushes the file to the disk, once all values are there.
  FileRecord commit();

 private:
  void write(const void* data, std::size_t bytes);

  FileWriter writer_;
  Hasher hasher_;
};

/// Writes a file of tensors that are all there, in the given order, and flushes it to the disk.
/// Tensors are copied to the host one at a time; `progress` is called after each. Throws RunError
/// when it cannot be written.
FileRecord write_safetensors(const std::filesystem::path& path,
                             const std::vector<NamedValues>& tensors,
                             const std::function<void()>& progress = {});

/// A safetensors file, mapped. Throws CheckpointDamage when its header does not describe its bytes
/// exactly. Whoever shortens the file while it is mapped ends the program (SIGBUS).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);

  std::vector<std::string> names() const;

  /// The tensor on the CPU: a view of the mapping where it lies aligned, else a copy. Never to be
  /// written to. A view keeps the mapping alive, so it outlives this object; it holds no memory but
  /// what of the file was touched. Throws InputError when there is no such tensor, or one of a type
  /// that LibTorch has not.
  torch::Tensor tensor(const std::string& name) const;

 private:
  std::filesystem::path path_;
  std::shared_ptr<const MappedFile> file_;
  SafetensorsEntries entries_;
};

}  // namespace zebra

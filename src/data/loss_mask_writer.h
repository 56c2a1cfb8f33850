#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>

#include "data/token_dataset_format.h"

namespace zebra {

/// Writes loss_mask.bin, which is there only where some token does not count as a target: the file
/// is begun with the first of them. Throws RunError.
class LossMaskWriter {
 public:
  LossMaskWriter(std::filesystem::path path, std::uint64_t chunk_bytes);

  /// That many tokens more, which all count or all do not.
  void append(bool count_as_targets, std::uint64_t count);

  /// A token more for each value, 0 where it does not count.
  void append(std::span<const std::uint8_t> counts);

  /// Flushes and closes the file; nothing where all tokens count.
  std::optional<ChunkedFileContent> commit();

 private:
  void begin_file();
  void write_block(std::uint8_t value, std::uint64_t count);

  std::filesystem::path path_;
  std::uint64_t chunk_bytes_;
  std::uint64_t counted_ = 0;  // before the file was begun
  std::unique_ptr<ChunkedFileWriter> file_;
};

}  // namespace zebra

#include "data/loss_mask_writer.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace zebra {

LossMaskWriter::LossMaskWriter(std::filesystem::path path, std::uint64_t chunk_bytes)
    : path_(std::move(path)), chunk_bytes_(chunk_bytes) {}

void LossMaskWriter::append(bool count_as_targets, std::uint64_t count) {
  if (!count_as_targets) begin_file();
  if (file_ == nullptr) {
    counted_ += count;
  } else {
    write_block(count_as_targets ? 1 : 0, count);
  }
}

void LossMaskWriter::append(std::span<const std::uint8_t> counts) {
  if (file_ == nullptr && std::ranges::find(counts, std::uint8_t{0}) == counts.end()) {
    counted_ += counts.size();
    return;
  }
  begin_file();
  std::vector<std::uint8_t> values(counts.size());
  std::ranges::transform(counts, values.begin(),
                         [](std::uint8_t value) { return std::uint8_t{value != 0}; });
  file_->write(values.data(), values.size());
}

std::optional<ChunkedFileContent> LossMaskWriter::commit() {
  if (file_ == nullptr) return std::nullopt;
  return file_->commit();
}

void LossMaskWriter::begin_file() {
  if (file_ != nullptr) return;
  file_ = std::make_unique<ChunkedFileWriter>(path_, chunk_bytes_);
  write_block(1, counted_);
}

void LossMaskWriter::write_block(std::uint8_t value, std::uint64_t count) {
  std::array<std::uint8_t, 4096> block;
  block.fill(value);
  while (count > 0) {
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(count, block.size()));
    file_->write(block.data(), part);
    count -= part;
  }
}

}  // namespace zebra

#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

struct SafetensorsEntry {
  std::string_view type;            ///< as a header spells it, such as "BF16"; a literal
  std::vector<std::int64_t> shape;  ///< numel fits, also with every 0 left out
  std::uint64_t begin, end;         ///< in the file
};

using SafetensorsEntries = std::map<std::string, SafetensorsEntry>;

/// Elements of a tensor of these sizes; nothing when their product would exceed `largest` were
/// every size of 0 left out: strides are products of the others.
std::optional<std::uint64_t> product_of_sizes(std::span<const std::uint64_t> sizes,
                                              std::uint64_t largest);

/// What the header of a whole safetensors file says: the tensors by name. Their ranges tile the
/// file from the end of its header to its own end, and each is as long as its type and shape
/// demand. Throws CheckpointDamage, a message that begins with `path`, when that is not so or the
/// format is broken in any other way.
SafetensorsEntries safetensors_entries(std::span<const std::byte> file,
                                       const std::filesystem::path& path);

/// The same from the JSON text alone and the number of bytes that follow it in the file.
SafetensorsEntries safetensors_entries(std::string_view json, std::uint64_t data_bytes,
                                       const std::filesystem::path& path);

}  // namespace zebra

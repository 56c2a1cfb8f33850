#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace zebra {

/// Every element type of the safetensors format, whether or not LibTorch has it.
enum class SafetensorsType {
  boolean,
  f4,
  f6_e2m3,
  f6_e3m2,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  f8_e8m0,
  f8_e4m3fnuz,
  f8_e5m2fnuz,
  i16,
  u16,
  f16,
  bf16,
  i32,
  u32,
  f32,
  c64,
  f64,
  i64,
  u64,
};

/// As a header spells it, such as "BF16".
const char* name_of(SafetensorsType type);

struct SafetensorsEntry {
  SafetensorsType type;
  std::vector<std::int64_t> shape;  ///< numel fits, also with every 0 left out
  std::uint64_t begin, end;         ///< in the file
};

using SafetensorsEntries = std::map<std::string, SafetensorsEntry>;

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

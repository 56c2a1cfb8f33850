#include "checkpoint/safetensors_header.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <tuple>

#include "base/json_reader.h"
#include "checkpoint/manifest.h"

namespace zebra {
namespace {

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the limit of the reference implementation
constexpr std::uint64_t kMostBits = std::numeric_limits<std::int64_t>::max();

// Every element type of the format, whether or not LibTorch has it.
struct TypeDescription {
  std::string_view name;
  std::uint64_t bits;
};
constexpr TypeDescription kTypes[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64}};

// A fault of the header; the caller knows the file.
struct HeaderFault {
  std::string what;
};

[[noreturn]] void refuse_tensor(const std::string& tensor, const std::string& what) {
  throw HeaderFault{"tensor " + quoted_text(tensor) + " " + what};
}

const nlohmann::json& member(const nlohmann::json& entry, const std::string& tensor,
                             const char* name) {
  const auto* found = member_of(entry, name);
  if (found == nullptr) refuse_tensor(tensor, std::string("has no ") + name);
  return *found;
}

const TypeDescription& type_of(const nlohmann::json& entry, const std::string& tensor) {
  const auto& name = member(entry, tensor, "dtype");
  if (!name.is_string()) refuse_tensor(tensor, "has a dtype that is not a string");
  for (const auto& known : kTypes) {
    if (name.get_ref<const std::string&>() == known.name) return known;
  }
  refuse_tensor(tensor, "has the unknown type " + quoted_text(name.get_ref<const std::string&>()));
}

std::vector<std::uint64_t> numbers_of(const nlohmann::json& entry, const std::string& tensor,
                                      const char* name) {
  auto counts = counts_of<std::uint64_t>(member(entry, tensor, name));
  if (!counts)
    refuse_tensor(tensor,
                  std::string("has a ") + name + " that is not a list of unsigned integers");
  return *std::move(counts);
}

// Bytes of a tensor; nothing when they are not whole or their bits would not fit into 63 bits.
std::optional<std::uint64_t> bytes_of(const std::vector<std::uint64_t>& shape, std::uint64_t bits) {
  const auto elements = product_of_sizes(shape, kMostBits / bits);
  if (!elements || *elements * bits % 8 != 0) return std::nullopt;
  return *elements * bits / 8;
}

SafetensorsEntry entry_of(const nlohmann::json& json, const std::string& tensor) {
  if (!json.is_object()) refuse_tensor(tensor, "is not described by an object");
  const auto& type = type_of(json, tensor);
  const auto shape = numbers_of(json, tensor, "shape");
  const auto offsets = numbers_of(json, tensor, "data_offsets");
  const auto bytes = bytes_of(shape, type.bits);
  if (!bytes) refuse_tensor(tensor, "has a shape of too many bytes or of a broken one");
  if (offsets.size() != 2 || offsets[0] > offsets[1] || offsets[1] - offsets[0] != *bytes)
    refuse_tensor(tensor, "has data_offsets that do not fit its type and shape");
  return {type.name, {shape.begin(), shape.end()}, offsets[0], offsets[1]};
}

void check_metadata(const nlohmann::json& metadata) {
  const auto is_string = [](const nlohmann::json& value) { return value.is_string(); };
  if (!metadata.is_object() || !std::all_of(metadata.begin(), metadata.end(), is_string))
    throw HeaderFault{"its __metadata__ is not a map of strings"};
}

// The ranges must tile [0, data_bytes): a byte that belongs to no tensor, or to two, is damage.
void check_tiling(const SafetensorsEntries& entries, std::uint64_t data_bytes) {
  std::vector<SafetensorsEntries::const_pointer> in_order;
  for (const auto& entry : entries) in_order.push_back(&entry);
  std::sort(in_order.begin(), in_order.end(), [](const auto* a, const auto* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  std::uint64_t end = 0;
  for (const auto* entry : in_order) {
    if (entry->second.begin != end)
      refuse_tensor(entry->first, "leaves a gap before it, or overlaps another");
    end = entry->second.end;
  }
  if (end != data_bytes) {
    throw HeaderFault{"its header describes " + std::to_string(end) + " bytes of data, but " +
                      std::to_string(data_bytes) + " follow it"};
  }
}

SafetensorsEntries parse_header(std::string_view json, std::uint64_t data_bytes) {
  if (json.size() > kLongestHeader)
    throw HeaderFault{"its header is longer than " + std::to_string(kLongestHeader) + " bytes"};
  if (const auto fault = json_object_fault(json); !fault.empty())
    throw HeaderFault{"in its header: " + fault};
  const auto header = nlohmann::json::parse(json);
  SafetensorsEntries entries;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__")
      check_metadata(entry);
    else
      entries.emplace(name, entry_of(entry, name));
  }
  check_tiling(entries, data_bytes);
  return entries;
}

SafetensorsEntries parse_header(std::span<const std::byte> file) {
  if (file.size() < kLengthBytes) throw HeaderFault{"it is shorter than 8 bytes"};
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > file.size() - kLengthBytes) throw HeaderFault{"its header reaches beyond its end"};
  const auto* text = reinterpret_cast<const char*>(file.data()) + kLengthBytes;
  const std::uint64_t data_begin = kLengthBytes + length;
  auto entries = parse_header({text, length}, file.size() - data_begin);
  for (auto& [name, entry] : entries) {
    entry.begin += data_begin;
    entry.end += data_begin;
  }
  return entries;
}

template <class... Input>
SafetensorsEntries entries_of(const std::filesystem::path& path, const Input&... input) {
  try {
    return parse_header(input...);
  } catch (const HeaderFault& fault) {
    throw CheckpointDamage(path.string() + ": is not a whole safetensors file: " + fault.what);
  }
}

}  // namespace

std::optional<std::uint64_t> product_of_sizes(std::span<const std::uint64_t> sizes,
                                              std::uint64_t largest) {
  std::uint64_t product = 1;
  bool is_empty = false;
  for (const auto size : sizes) {
    is_empty = is_empty || size == 0;
    if (size > 0 && product > largest / size) return std::nullopt;
    if (size > 0) product *= size;
  }
  return is_empty ? 0 : product;
}

SafetensorsEntries safetensors_entries(std::span<const std::byte> file,
                                       const std::filesystem::path& path) {
  return entries_of(path, file);
}

SafetensorsEntries safetensors_entries(std::string_view json, std::uint64_t data_bytes,
                                       const std::filesystem::path& path) {
  return entries_of(path, json, data_bytes);
}

}  // namespace zebra

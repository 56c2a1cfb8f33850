#include "checkpoint/safetensors.h"

#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/error.h"
#include "base/hash.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::uint64_t kLengthBytes = 8;
constexpr std::size_t kHeaderAlignment = 8;

struct TypeName {
  torch::ScalarType type;
  const char* name;
};
constexpr TypeName kTypeNames[] = {{torch::kFloat32, "F32"},
                                   {torch::kBFloat16, "BF16"},
                                   {torch::kInt64, "I64"},
                                   {torch::kInt32, "I32"}};

const char* name_of(torch::ScalarType type) {
  for (const auto& known : kTypeNames) {
    if (known.type == type) return known.name;
  }
  throw std::invalid_argument("a safetensors file of this type of tensor is never written");
}

std::optional<torch::ScalarType> type_of(const std::string& name) {
  for (const auto& known : kTypeNames) {
    if (name == known.name) return known.type;
  }
  return std::nullopt;
}

std::string header_of(const std::vector<NamedValues>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};  // transformers refuses files without it
  std::uint64_t begin = 0;
  for (const auto& [name, values] : tensors) {
    const std::uint64_t end = begin + values.nbytes();
    header[name] = {{"dtype", name_of(values.scalar_type())},
                    {"shape", values.sizes().vec()},
                    {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  return text;
}

// Product of the sizes times the bytes of an element; nothing when a size is negative or the
// product overflows.
std::optional<std::uint64_t> bytes_of(const std::vector<std::int64_t>& shape,
                                      torch::ScalarType type) {
  std::uint64_t bytes = c10::elementSize(type);
  for (const auto size : shape) {
    if (size < 0) return std::nullopt;
    if (size != 0 &&
        bytes > std::numeric_limits<std::uint64_t>::max() / static_cast<std::uint64_t>(size))
      return std::nullopt;
    bytes *= static_cast<std::uint64_t>(size);
  }
  return bytes;
}

}  // namespace

FileRecord write_safetensors(const std::filesystem::path& path,
                             const std::vector<NamedValues>& tensors) {
  FileWriter writer(path);
  Hasher hasher;
  const auto write = [&](const void* data, std::size_t bytes) {
    writer.write(data, bytes);
    hasher.update(data, bytes);
  };
  const std::string header = header_of(tensors);
  const std::uint64_t length = header.size();
  write(&length, sizeof length);
  write(header.data(), header.size());
  for (const auto& [name, values] : tensors) {
    const auto host = values.detach().to(torch::kCPU).contiguous();
    write(host.const_data_ptr(), host.nbytes());
  }
  writer.commit();
  return {writer.bytes_written(), hasher.digest()};
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  const auto refuse = [&](const std::string& what) -> InputError {
    return InputError(path.string() + ": not a whole safetensors file: " + what);
  };
  if (file_.size() < kLengthBytes) throw refuse("it is shorter than its header");
  std::uint64_t length = 0;
  std::memcpy(&length, file_.data(), kLengthBytes);
  if (length > file_.size() - kLengthBytes) throw refuse("its header reaches beyond its end");

  const auto* text = reinterpret_cast<const char*>(file_.data()) + kLengthBytes;
  const auto header =
      nlohmann::json::parse(text, text + length, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) throw refuse("its header is not a JSON object");
  const std::uint64_t data_begin = kLengthBytes + length;
  const std::uint64_t data_bytes = file_.size() - data_begin;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") continue;
    try {
      const auto type = type_of(entry.at("dtype").get<std::string>());
      if (!type)
        throw refuse("tensor " + name + " has the unknown type " + entry.at("dtype").dump());
      const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
      const auto offsets = entry.at("data_offsets").get<std::vector<std::uint64_t>>();
      const auto bytes = bytes_of(shape, *type);
      if (offsets.size() != 2 || offsets[1] > data_bytes || offsets[0] > offsets[1] ||
          bytes != offsets[1] - offsets[0]) {
        throw refuse("the offsets of tensor " + name + " do not fit its shape or the file");
      }
      entries_[name] = {*type, shape, data_begin + offsets[0]};
    } catch (const nlohmann::json::exception&) {
      throw refuse("the header's entry of tensor " + name + " lacks dtype, shape or data_offsets");
    }
  }
}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

torch::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) throw InputError(path_.string() + ": holds no tensor " + name);
  const auto& entry = found->second;
  const auto options = torch::TensorOptions().dtype(entry.type);
  const std::byte* data = file_.data() + entry.begin;
  if (entry.begin % c10::elementSize(entry.type) != 0) {
    auto copy = torch::empty(entry.shape, options);
    // An empty tensor has no memory, and memcpy takes no null pointer.
    if (copy.nbytes() > 0) std::memcpy(copy.mutable_data_ptr(), data, copy.nbytes());
    return copy;
  }
  // from_blob wants a mutable pointer; the mapping is read-only, so a write would end the program,
  // not harm the file.
  return torch::from_blob(const_cast<std::byte*>(data), entry.shape, options);
}

}  // namespace zebra

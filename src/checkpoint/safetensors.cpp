#include "checkpoint/safetensors.h"

#include <cstring>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "base/error.h"
#include "base/file.h"
#include "base/json_reader.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kHeaderAlignment = 8;

struct TypePair {
  torch::ScalarType torch;
  std::string_view stored;
};
// Those that are written come first. BOOL is left out: in a bool of C++ a byte other than 0 and 1
// is undefined.
constexpr TypePair kStoredTypes[] = {
    {torch::kFloat32, "F32"}, {torch::kBFloat16, "BF16"}, {torch::kHalf, "F16"},
    {torch::kInt64, "I64"},   {torch::kInt32, "I32"},     {torch::kFloat64, "F64"},
    {torch::kInt16, "I16"},   {torch::kInt8, "I8"},       {torch::kUInt8, "U8"}};

std::string_view stored_type(torch::ScalarType type) {
  for (const auto& pair : kStoredTypes) {
    if (pair.torch == type) return pair.stored;
  }
  throw std::invalid_argument("a safetensors file of this type of tensor is never written");
}

torch::ScalarType torch_type(std::string_view type, const std::string& tensor,
                             const std::filesystem::path& path) {
  for (const auto& pair : kStoredTypes) {
    if (pair.stored == type) return pair.torch;
  }
  throw InputError(path.string() + ": tensor " + quoted_text(tensor) + " is of type " +
                   std::string(type) +
                   ", which Zebra does not compute with; convert it to F32, BF16 or F16");
}

std::string header_of(const std::vector<TensorHeader>& tensors) {
  Json header = {{"__metadata__", {{"format", "pt"}}}};  // transformers refuses files without it
  std::uint64_t begin = 0;
  for (const auto& [name, type, shape] : tensors) {
    const auto elements = static_cast<std::uint64_t>(c10::multiply_integers(shape));
    const std::uint64_t end = begin + elements * c10::elementSize(type);
    header[name] = {{"dtype", stored_type(type)}, {"shape", shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.append((kHeaderAlignment - text.size() % kHeaderAlignment) % kHeaderAlignment, ' ');
  return text;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path,
                                     const std::vector<TensorHeader>& tensors)
    : writer_(path) {
  const std::string header = header_of(tensors);
  const std::uint64_t length = header.size();
  write(&length, sizeof length);
  write(header.data(), header.size());
}

void SafetensorsWriter::write(const torch::Tensor& values) {
  const auto host = values.detach().to(torch::kCPU).contiguous();
  write(host.const_data_ptr(), host.nbytes());
}

void SafetensorsWriter::write(const void* data, std::size_t bytes) {
  writer_.write(data, bytes);
  hasher_.update(data, bytes);
}

FileRecord SafetensorsWriter::commit() {
  writer_.commit();
  return {writer_.bytes_written(), hasher_.digest()};
}

FileRecord write_safetensors(const std::filesystem::path& path,
                             const std::vector<NamedValues>& tensors,
                             const std::function<void()>& progress) {
  std::vector<TensorHeader> headers;
  for (const auto& [name, values] : tensors)
    headers.push_back({name, values.scalar_type(), values.sizes().vec()});
  SafetensorsWriter writer(path, headers);
  for (const auto& [name, values] : tensors) {
    writer.write(values);
    if (progress) progress();
  }
  return writer.commit();
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : path_(path),
      file_(std::make_shared<const MappedFile>(path)),
      entries_(safetensors_entries(file_->bytes(), path)) {}

std::vector<std::string> SafetensorsFile::names() const {
  std::vector<std::string> names;
  for (const auto& [name, entry] : entries_) names.push_back(name);
  return names;
}

torch::Tensor SafetensorsFile::tensor(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end())
    throw InputError(path_.string() + ": holds no tensor " + quoted_text(name));
  const auto& entry = found->second;
  const auto type = torch_type(entry.type, name, path_);
  const auto options = torch::TensorOptions().dtype(type);
  const std::byte* data = file_->data() + entry.begin;
  if (entry.begin % c10::elementSize(type) != 0) {
    auto copy = torch::empty(entry.shape, options);
    // An empty tensor has no memory, and memcpy takes no null pointer.
    if (copy.nbytes() > 0) std::memcpy(copy.mutable_data_ptr(), data, copy.nbytes());
    return copy;
  }
  // from_blob wants a mutable pointer; the mapping is read-only, so a write would end the program,
  // not harm the file. The deleter holds the mapping.
  return torch::from_blob(
      const_cast<std::byte*>(data), entry.shape, [file = file_](void*) {}, options);
}

}  // namespace zebra

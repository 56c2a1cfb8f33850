#include "checkpoint/checkpoint.h"

#include <unistd.h>

#include <algorithm>

#include "base/error.h"
#include "base/hash.h"
#include "config/load.h"

namespace zebra {
namespace {

constexpr const char* kConfigFile = "config.yaml";
constexpr const char* kTokenizerFile = "tokenizer.model";

FileRecord write_text(const std::filesystem::path& path, const std::string& text) {
  FileWriter writer(path);
  writer.write(text);
  writer.commit();
  return {text.size(), hash_of(text)};
}

void write_content(const std::filesystem::path& folder, const CheckpointContent& content) {
  Manifest manifest;
  manifest.step = content.step;
  manifest.training = content.training;
  manifest.files[kConfigFile] = write_text(folder / kConfigFile, to_yaml(content.config));
  manifest.files[kTokenizerFile] =
      write_text(folder / kTokenizerFile, read_file(content.tokenizer));
  for (const auto& [group, tensors] : content.groups) {
    std::vector<NamedValues> fragments;
    for (const auto& [tensor, begin, values] : tensors) {
      const std::int64_t end = begin + values.numel();
      fragments.push_back({fragment_key(tensor.name, begin, end), values});
      manifest.tensors[tensor.name] = {tensor.shape, {{0, begin, end}}};
    }
    const std::string file = part_file_name(group, 0);
    manifest.files[file] = write_safetensors(folder / file, fragments);
  }
  write_text(folder / Manifest::kFileName, manifest.to_text());
  flush_to_disk(folder);
}

}  // namespace

void write_checkpoint(const std::filesystem::path& folder, const CheckpointContent& content) {
  const std::filesystem::path beside = folder.string() + ".partial-" + std::to_string(::getpid());
  try {
    std::filesystem::remove_all(beside);
    std::filesystem::create_directories(beside);
    write_content(beside, content);
    std::filesystem::rename(beside, folder);
    flush_to_disk(folder.parent_path());
  } catch (const std::exception& error) {
    std::error_code ignored;
    std::filesystem::remove_all(beside, ignored);
    throw RunError(folder.string() + ": cannot save the checkpoint: " + error.what());
  }
}

Checkpoint::Checkpoint(std::filesystem::path folder) : folder_(std::move(folder)) {
  const auto manifest_path = folder_ / Manifest::kFileName;
  if (std::error_code ignored; !std::filesystem::exists(manifest_path, ignored)) {
    throw InputError(folder_.string() + ": is not a whole checkpoint: it has no " +
                     Manifest::kFileName);
  }
  manifest_ = Manifest::from_text(read_file(manifest_path), manifest_path);
  Problems problems;
  for (const auto& [name, record] : manifest_.files) {
    std::error_code error;
    const auto size = std::filesystem::file_size(folder_ / name, error);
    if (error) {
      problems.add((folder_ / name).string() +
                   ": missing, but named in the manifest; remove this checkpoint to go on from the "
                   "one before");
    } else if (size != record.size) {
      problems.add((folder_ / name).string() + ": has " + std::to_string(size) +
                   " bytes, the manifest says " + std::to_string(record.size) +
                   "; remove this checkpoint to go on from the one before");
    }
  }
  problems.throw_if_any();
}

void Checkpoint::verify(const std::string& file) {
  if (verified_.contains(file)) return;
  const auto found = manifest_.files.find(file);
  if (found == manifest_.files.end())
    throw InputError(folder_.string() + ": its manifest does not name " + file);
  if (hash_of_file(folder_ / file) != found->second.hash) {
    throw InputError((folder_ / file).string() +
                     ": is corrupt: its content does not match the manifest's hash; remove this "
                     "checkpoint to go on from the one before");
  }
  verified_.insert(file);
}

Config Checkpoint::config() {
  verify(kConfigFile);
  verify(kTokenizerFile);
  Config config = load_config({folder_ / kConfigFile}, {});
  config.data.tokenizer = tokenizer_path();
  return config;
}

const SafetensorsFile& Checkpoint::part(const std::string& group, std::int64_t part) {
  const std::string name = part_file_name(group, part);
  auto& file = parts_[name];
  if (file == nullptr) {
    verify(name);
    file = std::make_unique<SafetensorsFile>(folder_ / name);
  }
  return *file;
}

void Checkpoint::read(const std::string& group, const NamedTensor& tensor, std::int64_t begin,
                      const torch::Tensor& out) {
  const auto found = manifest_.tensors.find(tensor.name);
  if (found == manifest_.tensors.end())
    throw InputError(folder_.string() + ": holds no tensor " + tensor.name);
  if (found->second.shape != tensor.shape) {
    throw InputError(folder_.string() + ": tensor " + tensor.name +
                     " has another shape than the model; is this the checkpoint of another run?");
  }
  const torch::NoGradGuard no_grad;
  const std::int64_t end = begin + out.numel();
  std::int64_t filled = begin;
  for (const auto& fragment : found->second.fragments) {
    const auto from = std::max(fragment.begin, begin), to = std::min(fragment.end, end);
    if (from >= to) continue;
    const auto stored =
        part(group, fragment.part).tensor(fragment_key(tensor.name, fragment.begin, fragment.end));
    if (stored.dim() != 1 || stored.numel() != fragment.end - fragment.begin || from != filled) {
      throw InputError(folder_.string() + ": the fragments of tensor " + tensor.name +
                       " do not fit together");
    }
    out.narrow(0, from - begin, to - from)
        .copy_(stored.narrow(0, from - fragment.begin, to - from));
    filled = to;
  }
  if (filled != end)
    throw InputError(folder_.string() + ": tensor " + tensor.name + " is not stored whole");
}

}  // namespace zebra

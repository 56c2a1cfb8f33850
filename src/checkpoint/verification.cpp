#include "checkpoint/verification.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/damage.h"
#include "checkpoint/safetensors.h"

namespace zebra {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 22;
constexpr const char* kPartEnding = ".safetensors";
constexpr const char* kFolderPrefix = "step-";

/// A file in a checkpoint's folder; nothing when there is none. Throws InputError when that cannot
/// be known.
std::optional<std::filesystem::file_status> status_of(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (status.type() == std::filesystem::file_type::not_found) return std::nullopt;
  if (error) throw InputError(path.string() + ": cannot be read: " + error.message());
  return status;
}

/// Nothing, with a fault added, where the manifest is missing or damaged.
std::optional<Manifest> read_manifest(const std::filesystem::path& folder,
                                      std::vector<std::string>& faults) {
  const auto path = folder / Manifest::kFileName;
  if (!status_of(folder)) throw InputError(folder.string() + ": no such checkpoint folder");
  if (!status_of(path)) {
    faults.push_back(path.string() +
                     ": missing, so this is no whole checkpoint: a save or a deletion was "
                     "interrupted, or the file was lost");
    return std::nullopt;
  }
  try {
    return Manifest::from_text(read_file(path), path);
  } catch (const CheckpointDamage& damage) {
    faults.emplace_back(damage.what());
    return std::nullopt;
  }
}

/// What is wrong with a file without reading it; empty when nothing is.
std::string size_fault(const std::filesystem::path& path, const FileRecord& record) {
  const auto status = status_of(path);
  if (!status) return path.string() + ": missing, but named in the manifest";
  if (!std::filesystem::is_regular_file(*status)) return path.string() + ": is no file";
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  if (error) throw InputError(path.string() + ": its size cannot be read: " + error.message());
  if (size == record.size) return "";
  return path.string() + ": has " + std::to_string(size) + " bytes, the manifest says " +
         std::to_string(record.size);
}

bool is_part(const std::string& file) { return file.ends_with(kPartEnding); }

using Fragments = std::map<std::string, std::int64_t>;  // elements by key

/// What every group must hold in each of its parts.
std::map<std::int64_t, Fragments> fragments_by_part(const Manifest& manifest) {
  std::map<std::int64_t, Fragments> parts;
  for (const auto& [name, tensor] : manifest.tensors) {
    for (const auto& [part, begin, end] : tensor.fragments)
      parts[part][fragment_key(name, begin, end)] = end - begin;
  }
  return parts;
}

// A name and how many more there are: one sentence for each file, however many tensors it misses.
std::string first_of(const std::vector<std::string>& names) {
  return names.front() +
         (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "");
}

// step-00000200; nothing for other names.
std::optional<std::int64_t> step_in_name(const std::filesystem::path& folder) {
  const std::string name = folder_path(folder).filename().string();
  if (!name.starts_with(kFolderPrefix)) return std::nullopt;
  const char* begin = name.data() + std::strlen(kFolderPrefix);
  const char* end = name.data() + name.size();
  std::int64_t step = 0;
  const auto result = std::from_chars(begin, end, step);
  if (begin == end || result.ec != std::errc() || result.ptr != end) return std::nullopt;
  return step;
}

/// A contradiction of the manifest with the folder's name.
void add_step_fault(const std::filesystem::path& folder, const Manifest& manifest,
                    std::vector<std::string>& faults) {
  if (const auto step = step_in_name(folder); step && *step != manifest.step) {
    faults.push_back((folder / Manifest::kFileName).string() + ": is of step " +
                     std::to_string(manifest.step) + ", the folder's name says step " +
                     std::to_string(*step));
  }
}

std::vector<std::string> files_of(const Manifest& manifest, VerifyShare share) {
  std::vector<std::pair<std::string, std::uint64_t>> files;
  for (const auto& [name, record] : manifest.files) files.emplace_back(name, record.size);
  std::stable_sort(files.begin(), files.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::uint64_t> loads(static_cast<std::size_t>(share.ranks));
  std::vector<std::string> own;
  for (const auto& [name, size] : files) {
    const auto least = std::min_element(loads.begin(), loads.end());
    *least += size + 1;  // opening a file costs something too
    if (least - loads.begin() == share.rank) own.push_back(name);
  }
  return own;
}

/// What is wrong with a part whose bytes are those that were written; empty when nothing is.
std::string part_fault(const std::filesystem::path& path, const Fragments& expected) {
  try {
    const SafetensorsFile file(path);
    const auto names = file.names();
    const std::set<std::string> held(names.begin(), names.end());
    std::vector<std::string> missing;
    for (const auto& [key, elements] : expected) {
      if (!held.contains(key)) {
        missing.push_back(key);
      } else if (const auto tensor = file.tensor(key);
                 tensor.dim() != 1 || tensor.numel() != elements) {
        return path.string() + ": tensor " + key + " has another size than its name says";
      }
    }
    return missing.empty() ? "" : path.string() + ": lacks tensor " + first_of(missing);
  } catch (const InputError& error) {
    return error.what();
  }
}

/// The files of a share, checked one after the other.
class ShareCheck {
 public:
  ShareCheck(const std::filesystem::path& folder, const Manifest& manifest,
             const std::vector<std::string>& files, std::vector<std::string>& faults)
      : folder_(folder), manifest_(manifest), faults_(faults), parts_(fragments_by_part(manifest)) {
    for (const auto& [group, parts] : parts_by_group(manifest))
      for (const auto part : parts) part_of_file_[part_file_name(group, part)] = part;
    for (const auto& name : files) {
      const auto& record = manifest.files.at(name);
      const auto fault = size_fault(folder / name, record);
      if (fault.empty()) {
        files_.push_back(name);
        bytes_ += record.size;
      } else {
        faults.push_back(fault);
      }
    }
  }

  void run(const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    std::size_t parts = 0, changed_parts = 0;
    for (const auto& name : files_) {
      const bool changed = check(name, progress);
      parts += is_part(name) ? 1 : 0;
      changed_parts += is_part(name) && changed ? 1 : 0;
    }
    if (parts > 1 && changed_parts == parts) {
      faults_.push_back((folder_ / Manifest::kFileName).string() +
                        ": is probably that of another checkpoint: none of the parts matches it");
    }
  }

 private:
  // Whether the content is not the one that was written.
  bool check(const std::string& name,
             const std::function<void(std::uint64_t, std::uint64_t)>& progress) {
    const auto path = folder_ / name;
    const auto hash = hash_in_blocks(path, [&](std::string_view block) {
      bytes_done_ += block.size();
      if (progress) progress(bytes_done_, bytes_);
    });
    if (hash != manifest_.files.at(name).hash) {
      faults_.push_back(path.string() + ": its content does not match the manifest's hash");
      return true;
    }
    if (!is_part(name)) return false;
    const auto part = part_of_file_.find(name);
    const auto expected = part == part_of_file_.end() ? parts_.end() : parts_.find(part->second);
    const auto fault = part_fault(path, expected == parts_.end() ? Fragments{} : expected->second);
    if (!fault.empty()) faults_.push_back(fault);
    return false;
  }

  const std::filesystem::path& folder_;
  const Manifest& manifest_;
  std::vector<std::string>& faults_;
  std::map<std::int64_t, Fragments> parts_;
  std::map<std::string, std::int64_t> part_of_file_;
  std::vector<std::string> files_;  // those of the right size
  std::uint64_t bytes_ = 0, bytes_done_ = 0;
};

}  // namespace

std::vector<std::string> checkpoint_faults(
    const std::filesystem::path& folder, VerifyShare share,
    const std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>& progress) {
  std::vector<std::string> faults;
  const auto manifest = read_manifest(folder, faults);
  if (!manifest) return faults;
  if (share.rank == 0) add_step_fault(folder, *manifest, faults);
  ShareCheck(folder, *manifest, files_of(*manifest, share), faults).run(progress);
  return faults;
}

std::vector<std::string> checkpoint_size_faults(const std::filesystem::path& folder) {
  std::vector<std::string> faults;
  const auto manifest = read_manifest(folder, faults);
  if (!manifest) return faults;
  add_step_fault(folder, *manifest, faults);
  for (const auto& [name, record] : manifest->files) {
    const auto fault = size_fault(folder / name, record);
    if (!fault.empty()) faults.push_back(fault);
  }
  return faults;
}

std::string hash_in_blocks(const std::filesystem::path& path,
                           const std::function<void(std::string_view block)>& each_block) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rbe"));
  if (!file) throw InputError(path.string() + ": cannot open it: " + std::strerror(errno));
  Hasher hasher;
  std::string block(kBlockBytes, '\0');
  for (;;) {
    const std::size_t count = std::fread(block.data(), 1, block.size(), file.get());
    if (std::ferror(file.get()) != 0)
      throw InputError(path.string() + ": cannot read it: " + std::strerror(errno));
    if (count == 0) return hasher.digest();
    const std::string_view bytes(block.data(), count);
    hasher.update(bytes);
    each_block(bytes);
  }
}

}  // namespace zebra

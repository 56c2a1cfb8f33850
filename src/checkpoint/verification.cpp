#include "checkpoint/verification.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/system.h"
#include "checkpoint/folder.h"
#include "checkpoint/safetensors.h"

namespace zebra {
namespace {

constexpr std::size_t kBlockBytes = std::size_t{1} << 22;
constexpr std::size_t kOutcomeWidth = 7;
constexpr const char* kShardEnding = ".safetensors";

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
    return Manifest::of(folder);
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

bool is_shard(const std::string& file) { return file.ends_with(kShardEnding); }

using Fragments = std::map<std::string, std::int64_t>;  // elements by key

/// What each shard of each group must hold.
std::map<std::string, Fragments> fragments_by_file(const Manifest& manifest) {
  std::map<std::string, Fragments> files;
  for (const auto& [group, shards] : shards_by_group(manifest)) {
    for (const auto& [name, tensor] : manifest.tensors) {
      if (!tensor.is_in(group)) continue;
      for (const auto& [shard, begin, end] : tensor.fragments) {
        if (shards.contains(shard))
          files[shard_file_name(group, shard)][fragment_key(name, begin, end)] = end - begin;
      }
    }
  }
  return files;
}

// A name and how many more there are: one sentence for each file, however many tensors it misses.
std::string first_of(const std::vector<std::string>& names) {
  return names.front() +
         (names.size() > 1 ? " and " + std::to_string(names.size() - 1) + " more" : "");
}

/// A contradiction of the manifest with the folder's name.
void add_step_fault(const std::filesystem::path& folder, const Manifest& manifest,
                    std::vector<std::string>& faults) {
  const auto name = checkpoint_name(folder_path(folder).filename().string());
  if (name && name->ending.empty() && name->step != manifest.step) {
    faults.push_back((folder / Manifest::kFileName).string() + ": is of step " +
                     std::to_string(manifest.step) + ", the folder's name says step " +
                     std::to_string(name->step));
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

/// What is wrong with a shard whose bytes are those that were written; empty when nothing is.
std::string shard_fault(const std::filesystem::path& path, const Fragments& expected) {
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
      : folder_(folder),
        manifest_(manifest),
        faults_(faults),
        fragments_(fragments_by_file(manifest)) {
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

  void run(const VerificationProgress& progress) {
    std::size_t shards = 0, changed_shards = 0;
    for (const auto& name : files_) {
      const bool changed = check(name, progress);
      shards += is_shard(name) ? 1 : 0;
      changed_shards += is_shard(name) && changed ? 1 : 0;
    }
    if (shards > 1 && changed_shards == shards) {
      faults_.push_back((folder_ / Manifest::kFileName).string() +
                        ": is probably that of another checkpoint: none of the parts matches it");
    }
  }

 private:
  // Whether the content is not the one that was written.
  bool check(const std::string& name, const VerificationProgress& progress) {
    const auto path = folder_ / name;
    const auto hash = hash_in_blocks(path, [&](std::string_view block) {
      bytes_done_ += block.size();
      if (progress) progress(bytes_done_, bytes_);
    });
    if (hash != manifest_.files.at(name).hash) {
      faults_.push_back(path.string() + ": its content does not match the manifest's hash");
      return true;
    }
    if (!is_shard(name)) return false;
    const auto expected = fragments_.find(name);
    const auto fault =
        shard_fault(path, expected == fragments_.end() ? Fragments{} : expected->second);
    if (!fault.empty()) faults_.push_back(fault);
    return false;
  }

  const std::filesystem::path& folder_;
  const Manifest& manifest_;
  std::vector<std::string>& faults_;
  std::map<std::string, Fragments> fragments_;
  std::vector<std::string> files_;  // those of the right size
  std::uint64_t bytes_ = 0, bytes_done_ = 0;
};

}  // namespace

std::vector<std::string> checkpoint_faults(const std::filesystem::path& folder, VerifyShare share,
                                           const VerificationProgress& progress) {
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
  std::ranges::copy(size_faults(folder, *manifest), std::back_inserter(faults));
  return faults;
}

std::vector<std::string> size_faults(const std::filesystem::path& folder,
                                     const Manifest& manifest) {
  std::vector<std::string> faults;
  for (const auto& [name, record] : manifest.files)
    if (auto fault = size_fault(folder / name, record); !fault.empty())
      faults.push_back(std::move(fault));
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

Verification verify_checkpoint(const std::filesystem::path& folder, bool had_manifest,
                               const VerificationProgress& progress) {
  Verification result;
  result.folder = folder;
  const double began = monotonic_seconds();
  try {
    result.reasons = checkpoint_faults(folder, {}, [&](std::uint64_t done, std::uint64_t bytes) {
      result.bytes = done;
      if (progress) progress(done, bytes);
    });
    result.outcome =
        result.reasons.empty() ? VerificationOutcome::whole : VerificationOutcome::broken;
  } catch (const InputError& error) {
    result.reasons = {error.what()};
    result.outcome = VerificationOutcome::unknown;
  }
  result.seconds = monotonic_seconds() - began;
  // A run's deletion begins with the manifest.
  if (result.outcome != VerificationOutcome::whole && had_manifest && !has_manifest(folder)) {
    result.outcome = VerificationOutcome::deleted;
    result.reasons.clear();
  }
  return result;
}

std::string name_of(VerificationOutcome outcome) {
  static constexpr const char* kNames[] = {"OK", "BROKEN", "UNKNOWN", "DELETED"};
  return kNames[static_cast<std::size_t>(outcome)];
}

std::string verification_text(const Verification& result) {
  std::string text = name_of(result.outcome);
  text.resize(kOutcomeWidth, ' ');
  text += "  " + result.folder.string();
  if (result.outcome == VerificationOutcome::whole) {
    text += "  " + with_byte_unit(static_cast<double>(result.bytes)) + " in " +
            fixed(result.seconds, 1) + " s";
  }
  text += "\n";
  for (const auto& reason : result.reasons)
    text += std::string(kOutcomeWidth + 2, ' ') + reason + "\n";
  return text;
}

nlohmann::ordered_json verification_json(const Verification& result) {
  return {{"checkpoint", result.folder.string()},
          {"outcome", name_of(result.outcome)},
          {"bytes", result.bytes},
          {"seconds", result.seconds},
          {"reasons", result.reasons}};
}

}  // namespace zebra

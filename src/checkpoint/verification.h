#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/manifest.h"

namespace zebra {

/// The files of a checkpoint that one of several ranks looks at: they are dealt out, the largest
/// first, each to the rank that has the fewest bytes so far.
struct VerifyShare {
  int rank = 0;
  int ranks = 1;
};

using VerificationProgress =
    std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>;  ///< may be empty

/// What is wrong with the bytes of a checkpoint, one sentence for each file, naming it; empty when
/// it is whole. Every file of this rank's share is read and compared with the manifest's hash, in
/// blocks; `progress` hears after each how many bytes of the share are done. A manifest that cannot
/// be used is reported by every rank, what it says about the tensors by the first.
///
/// Never throws for damage. Throws InputError for what is none and yet must stop everything: no
/// such folder, a newer format version, files that cannot be read (permissions, an I/O error).
std::vector<std::string> checkpoint_faults(const std::filesystem::path& folder,
                                           VerifyShare share = {},
                                           const VerificationProgress& progress = {});

/// Those faults that the manifest and the sizes of the files show, without reading any other file.
std::vector<std::string> checkpoint_size_faults(const std::filesystem::path& folder);

/// Of those, what the sizes alone show.
std::vector<std::string> size_faults(const std::filesystem::path& folder, const Manifest& manifest);

/// In the order of their names.
enum class VerificationOutcome {
  whole,
  broken,
  unknown,  ///< it cannot be read
  deleted,  ///< meanwhile, by the run, which trains on
};

/// "OK", "BROKEN", "UNKNOWN", "DELETED".
std::string name_of(VerificationOutcome outcome);

/// What became of the verification of one checkpoint.
struct Verification {
  std::filesystem::path folder;
  VerificationOutcome outcome = VerificationOutcome::whole;
  std::vector<std::string> reasons;  ///< of broken and unknown
  std::uint64_t bytes = 0;           ///< read
  double seconds = 0;
};

/// checkpoint_faults of all files. `had_manifest`: when the checkpoint was looked up, before the
/// verifications of others took their time. Never throws for what is wrong with the checkpoint.
Verification verify_checkpoint(const std::filesystem::path& folder, bool had_manifest,
                               const VerificationProgress& progress = {});

/// A line for people, and one for each reason.
std::string verification_text(const Verification& result);
nlohmann::ordered_json verification_json(const Verification& result);

/// Hash of a file's content, as hash_of, which `each_block` sees on the way; never more than a
/// block of it is in memory. Throws InputError when it cannot be read.
std::string hash_in_blocks(const std::filesystem::path& path,
                           const std::function<void(std::string_view block)>& each_block);

}  // namespace zebra

#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
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

/// What is wrong with the bytes of a checkpoint, one sentence for each file, naming it; empty when
/// it is whole. Every file of this rank's share is read and compared with the manifest's hash, in
/// blocks; `progress` hears after each how many bytes of the share are done. A manifest that cannot
/// be used is reported by every rank, what it says about the tensors by the first.
///
/// Never throws for damage. Throws InputError for what is none and yet must stop everything: no
/// such folder, a newer format version, files that cannot be read (permissions, an I/O error).
std::vector<std::string> checkpoint_faults(
    const std::filesystem::path& folder, VerifyShare share = {},
    const std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>& progress = {});

/// Those faults that the manifest and the sizes of the files show, without reading any other file.
std::vector<std::string> checkpoint_size_faults(const std::filesystem::path& folder);

/// Hash of a file's content, as hash_of, which `each_block` sees on the way; never more than a
/// block of it is in memory. Throws InputError when it cannot be read.
std::string hash_in_blocks(const std::filesystem::path& path,
                           const std::function<void(std::string_view block)>& each_block);

}  // namespace zebra

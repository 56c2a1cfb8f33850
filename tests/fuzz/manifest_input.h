#pragma once

#include <filesystem>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/manifest.h"

namespace zebra::testing {

/// `body` (a manifest up to its hash) with the hash that makes it whole.
inline std::string with_hash(std::string_view body) {
  const std::string ending = "\"\n}\n";
  const std::string text = std::string(body) + ",\n \"hash\": \"";
  return text + hash_of(text + ending) + ending;
}

/// Throws std::logic_error where a manifest that was accepted breaks what its header promises.
inline void check_manifest(const Manifest& manifest) {
  if (manifest.step < 0) throw std::logic_error("the step is negative");
  for (const auto& [name, record] : manifest.files) {
    const std::filesystem::path folder = "/a/b";
    if ((folder / name).lexically_normal().parent_path() != folder)
      throw std::logic_error("a file lies elsewhere");
    if (record.hash.size() != 32) throw std::logic_error("a hash is too short or too long");
  }
  for (const auto& [name, record] : manifest.tensors) {
    unsigned __int128 elements = 1;  // sizes before a 0 multiply to less than 64 bits
    for (const auto size : record.shape) elements *= static_cast<std::uint64_t>(size);
    std::int64_t end = 0;
    for (const auto& fragment : record.fragments) {
      if (fragment.begin != end || fragment.end <= fragment.begin)
        throw std::logic_error("fragments are out of order");
      end = fragment.end;
      if (!manifest.files.contains(shard_file_name("weights", fragment.shard)))
        throw std::logic_error("a fragment lies nowhere");
    }
    if (elements != static_cast<std::uint64_t>(end))
      throw std::logic_error("fragments do not add up");
  }
  const std::string text = manifest.to_text();
  if (Manifest::from_text(text, "again").to_text() != text)
    throw std::logic_error("it does not come back");
}

/// Reads `input` as a manifest and as one without its hash. Anything thrown is a finding.
inline void try_manifest(std::string_view input) {
  for (const auto& text : {std::string(input), with_hash(input)}) {
    try {
      Manifest::from_text_of_shard(text, "part");
    } catch (const InputError&) {
    }
    try {
      check_manifest(Manifest::from_text(text, "whole"));
    } catch (const InputError&) {
    }
  }
}

}  // namespace zebra::testing

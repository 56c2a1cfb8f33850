#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace zebra {

/// What content that begins with `start` is instead of text (Parquet, an archive, UTF-16, …) and
/// the way out, as the end of a sentence that begins with the file; empty where it may be text.
std::string known_binary_kind(std::string_view start);

/// The same for content that has a byte 0, as text has not.
std::string zero_byte_kind(std::string_view start);

/// The folder that the Python package `datasets` saved, where `file` is one of the JSON files that
/// it puts beside the data: that of one split, or of all of them.
std::optional<std::filesystem::path> saved_dataset_with(const std::filesystem::path& file);

/// What such a folder is, as the end of a sentence that begins with it.
inline constexpr const char* kSavedDatasetKind =
    "is what the package datasets saved, no text; turn it into JSONL: python "
    "scripts/hf_to_jsonl.py FOLDER | zebra data … --input -";

}  // namespace zebra

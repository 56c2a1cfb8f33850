#include "data/content_kind.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace zebra {
namespace {

using std::string_view_literals::operator""sv;

struct Kind {
  std::size_t at;
  std::string_view magic, name, way_out;
};

constexpr std::string_view kUnpack = "unpack it and name the folder of its files";
constexpr std::string_view kTable =
    "turn it into JSONL: python scripts/hf_to_jsonl.py FILE | zebra data … --input -";
constexpr std::string_view kTwice =
    "unpack it once: gzip or zstd --decompress --stdout FILE | zebra data … --input -";
constexpr std::string_view kConvert =
    "convert it: iconv --from-code UTF-16 --to-code UTF-8 FILE | zebra data … --input -";

// In this order: the mark of UTF-32 begins with that of UTF-16.
constexpr std::array kKinds = {
    Kind{0, "PAR1\x15"sv, "a Parquet file", kTable},
    Kind{0, "PARE\x15"sv, "an encrypted Parquet file", "decrypt it, and write its text to JSONL"},
    Kind{0, "ARROW1\0\0"sv, "an Arrow file", kTable},
    Kind{0, "\xFF\xFF\xFF\xFF"sv, "an Arrow stream (as the package datasets saves)", kTable},
    Kind{0, "Obj\x01"sv, "an Avro file", "turn it into JSONL first"},
    Kind{0, "\xFD\x37zXZ\0"sv, "compressed with xz",
         "unpack it: xz --decompress --stdout FILE | zebra data … --input -"},
    Kind{4, "1AY&SY"sv, "compressed with bzip2",
         "unpack it: bzip2 --decompress --stdout FILE | zebra data … --input -"},
    Kind{0, "\x1F\x8B\x08"sv, "compressed twice", kTwice},
    Kind{0, "\x28\xB5\x2F\xFD"sv, "compressed twice", kTwice},
    Kind{0, "\x04\x22\x4D\x18"sv, "compressed with lz4",
         "unpack it: lz4 --decompress --stdout FILE | zebra data … --input -"},
    Kind{0, "LZIP\x01"sv, "compressed with lzip",
         "unpack it: lzip --decompress --stdout FILE | zebra data … --input -"},
    Kind{0, "PK\x03\x04"sv, "a zip archive (docx, epub and xlsx are such, too)", kUnpack},
    Kind{0, "7z\xBC\xAF\x27\x1C"sv, "a 7z archive", kUnpack},
    Kind{0, "Rar!\x1A\x07"sv, "a rar archive", kUnpack},
    Kind{257, "ustar"sv, "a tar archive", kUnpack},
    Kind{0, "%PDF-"sv, "a PDF document", "take the text out of it, as pdftotext does"},
    Kind{0, "SQLite format 3\0"sv, "an SQLite database", "write its text to JSONL first"},
    Kind{0, "\x89HDF\r\n"sv, "an HDF5 file", "write its text to JSONL first"},
    Kind{0, "version https://git-lfs.github.com/spec/v1\n"sv,
         "a Git LFS pointer to a file that is not here", "get the file: git lfs pull"},
    Kind{0, "\x93NUMPY"sv, "a NumPy array", "give the text, or JSONL"},
    Kind{0, "\xFF\xFE\0\0"sv, "text in UTF-32",
         "convert it: iconv --from-code UTF-32 --to-code UTF-8 FILE | zebra data … --input -"},
    Kind{0, "\xFF\xFE"sv, "text in UTF-16", kConvert},
    Kind{0, "\xFE\xFF"sv, "text in UTF-16", kConvert},
};

}  // namespace

std::string known_binary_kind(std::string_view start) {
  const auto kind = std::ranges::find_if(kKinds, [start](const Kind& candidate) {
    return start.size() > candidate.at && start.substr(candidate.at).starts_with(candidate.magic);
  });
  if (kind == kKinds.end()) return "";
  return "is " + std::string(kind->name) + ", no plain text; " + std::string(kind->way_out);
}

std::string zero_byte_kind(std::string_view start) {
  const std::size_t at = start.find('\0');
  if (at == std::string_view::npos) return "";
  return "is no plain text: byte " + with_commas(static_cast<std::int64_t>(at)) +
         " is 0 (as in binary files and in UTF-16, which iconv --from-code UTF-16 --to-code UTF-8 "
         "converts); --format text takes it for text all the same";
}

std::optional<std::filesystem::path> saved_dataset_with(const std::filesystem::path& file) {
  const auto name = file.filename();
  if (name != "dataset_info.json" && name != "state.json") return std::nullopt;
  const auto folder = file.parent_path();
  const bool has_data = std::any_of(
      std::filesystem::directory_iterator(folder), std::filesystem::directory_iterator(),
      [](const auto& entry) { return entry.path().extension() == ".arrow"; });
  if (!has_data) return std::nullopt;
  const auto all = folder.parent_path();
  return std::filesystem::exists(all / "dataset_dict.json") ? all : folder;
}

}  // namespace zebra

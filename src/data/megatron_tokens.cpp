#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.h"
#include "data/foreign_bytes.h"
#include "data/foreign_tokens.h"
#include "data/token_bytes.h"

// NAME.idx: nine bytes of magic, uint64 version 1, uint8 type, uint64 S, uint64 D, then for each
// of S sequences its int32 length and behind them its int64 place in bytes, at last D int64: the
// numbers of the sequences with which documents begin, and S. Multimodal files have an int8 for
// each sequence behind that.

namespace zebra {
namespace {

constexpr std::string_view kMegatronMagic("MMIDIDX\0\0", 9);
constexpr std::uint64_t kMegatronVersionAt = 9, kMegatronTypeAt = 17, kMegatronSequencesAt = 18,
                        kMegatronDocumentsAt = 26, kMegatronHeaderBytes = 34;

std::int64_t megatron_token_bytes(const std::filesystem::path& index, int code) {
  switch (code) {
    case 8:
      return 2;  // uint16
    case 4:
      return 4;  // int32
    case 5:
      return 8;  // int64
    default:
      refuse_file(index, "has the type code " + std::to_string(code) +
                             "; tokens are of type 8 (uint16), 4 (int32) or 5 (int64)");
  }
}

struct MegatronIndex {
  std::span<const std::byte> bytes;
  std::uint64_t sequences = 0, entries = 0;  // entries: of the list of documents, S at its end

  std::int32_t length(std::uint64_t sequence) const {
    return value_at<std::int32_t>(bytes, kMegatronHeaderBytes + 4 * sequence);
  }
  std::uint64_t place(std::uint64_t sequence) const {
    return value_at<std::uint64_t>(bytes, kMegatronHeaderBytes + 4 * sequences + 8 * sequence);
  }
  std::uint64_t first_sequence(std::uint64_t document) const {
    return value_at<std::uint64_t>(bytes, kMegatronHeaderBytes + 12 * sequences + 8 * document);
  }
};

void check_megatron_header(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  if (bytes.size() < kMegatronHeaderBytes) {
    refuse_file(path, "is truncated: an index has at least " + bytes_text(kMegatronHeaderBytes) +
                          ", this one " + bytes_text(bytes.size()) + "; copy it again");
  }
  const std::string_view start(reinterpret_cast<const char*>(bytes.data()), kMegatronMagic.size());
  if (start != kMegatronMagic)
    refuse_file(path, "is no index of Megatron: it does not begin with MMIDIDX");
  const auto version = value_at<std::uint64_t>(bytes, kMegatronVersionAt);
  if (other_byte_order(version, 8) == 1) refuse_big_endian(path);
  if (version != 1)
    refuse_file(path, "has version " + std::to_string(version) + ", version 1 is known");
}

MegatronIndex megatron_index(const std::filesystem::path& path, std::span<const std::byte> bytes) {
  check_megatron_header(path, bytes);
  const MegatronIndex index{bytes, value_at<std::uint64_t>(bytes, kMegatronSequencesAt),
                            value_at<std::uint64_t>(bytes, kMegatronDocumentsAt)};
  const std::uint64_t most = bytes.size() / 4;  // so that the sum below does not overflow
  if (index.sequences > most || index.entries > most) {
    refuse_file(path,
                "is truncated: it names more sequences or documents than it has bytes for; "
                "copy it again");
  }
  const auto expected = kMegatronHeaderBytes + 12 * index.sequences + 8 * index.entries;
  if (bytes.size() != expected + index.sequences)
    check_file_size(path, bytes.size(), expected, "its header");
  return index;
}

/// Where the documents end; all sequences must stand one after another and belong to one.
std::vector<std::uint64_t> megatron_document_ends(const std::filesystem::path& path,
                                                  const MegatronIndex& index,
                                                  std::uint64_t token_bytes) {
  if (index.entries == 0 || index.first_sequence(0) != 0)
    refuse_file(path, "its list of documents does not begin with 0");
  std::vector<std::uint64_t> ends;
  std::uint64_t sequence = 0, tokens = 0;
  for (std::uint64_t document = 1; document < index.entries; ++document) {
    const auto behind = index.first_sequence(document);
    if (behind < sequence || behind > index.sequences) {
      refuse_file(path, "document " + std::to_string(document - 1) + " ends with sequence " +
                            std::to_string(behind) + " of " + std::to_string(index.sequences) +
                            ", the one in front with " + std::to_string(sequence) +
                            ": the index is damaged; copy it again");
    }
    for (; sequence < behind; ++sequence) {
      const auto length = index.length(sequence);
      if (length < 0 || index.place(sequence) != tokens * token_bytes) {
        refuse_file(path, "sequence " + std::to_string(sequence) + " has " +
                              std::to_string(length) + " tokens from byte " +
                              std::to_string(index.place(sequence)) + " on, not from byte " +
                              std::to_string(tokens * token_bytes) +
                              " on: only files whose sequences stand one after another are taken");
      }
      tokens += static_cast<std::uint64_t>(length);
    }
    add_document_end(ends, tokens);
  }
  if (sequence != index.sequences)
    refuse_file(path, "the sequences from " + std::to_string(sequence) + " on are in no document");
  return ends;
}

}  // namespace

ForeignTokens read_megatron(const std::filesystem::path& index_path) {
  const MappedFile file(index_path);
  const auto index = megatron_index(index_path, file.bytes());
  ForeignTokens result;
  result.format = "Megatron";
  result.token_bytes =
      megatron_token_bytes(index_path, std::to_integer<int>(file.bytes()[kMegatronTypeAt]));
  auto ends =
      megatron_document_ends(index_path, index, static_cast<std::uint64_t>(result.token_bytes));
  if (ends.empty()) refuse_file(index_path, "names no tokens");
  result.tokens = static_cast<std::int64_t>(ends.back());
  result.document_ends = std::move(ends);
  result.file = index_path;
  result.file.replace_extension(".bin");
  const MappedFile tokens(result.file);
  check_file_size(result.file, tokens.size(), result.bytes(), index_path.string());
  result.part = {0, tokens.size()};
  return result;
}

}  // namespace zebra

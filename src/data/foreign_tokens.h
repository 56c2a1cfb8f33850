#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/token_dataset_format.h"

namespace zebra {

// Token files that other programs wrote. All integers in them are little-endian.

/// Where the token that separates documents stands: at the start of each, or at its end.
enum class SeparatorPlace { start, end };

/// Which tokens of a file of others count as targets.
struct ForeignLossMask {
  std::filesystem::path file;
  std::uint64_t first_byte = 0;
  bool is_bits = false;   // one bit a token, the lowest of a byte first; else one byte, 0 or 1
  bool is_ahead = false;  // what stands for a token says whether the one behind it counts
};

/// Tokens that stand one after another in a file, and what is known of their documents.
struct ForeignTokens {
  std::string format;  // "Megatron", for messages
  std::filesystem::path file;
  FilePart part;
  std::int64_t token_bytes = 2;  // 2, 4 or 8
  std::int64_t tokens = 0;       // at least 1
  /// From the file's index: where each document that has tokens ends; the last is `tokens`.
  std::optional<std::vector<std::uint64_t>> document_ends;
  /// Without an index: which token commonly separates documents in such files.
  SeparatorPlace separator_place = SeparatorPlace::end;
  bool separator_is_bos = false;  // else EOS
  std::optional<ForeignLossMask> loss_mask;

  std::uint64_t bytes() const {
    return static_cast<std::uint64_t>(tokens) * static_cast<std::uint64_t>(token_bytes);
  }
};

/// Whether the path is a token file of another program, or a folder with such files and without a
/// dataset.json, as far as names and first bytes tell.
bool names_foreign_tokens(const std::filesystem::path& path);

/// What the path stands for, in order: a file (.idx, .ds, .npy, .bin, index.json), the common start
/// of the names of a .bin and .idx, or a folder (all such files in it and below, sorted by path;
/// hidden ones are left out). `token_bytes` is taken for files that do not say it.
///
/// Throws an InputError that lists all that is wrong: no such file, a truncated one, a wrong byte
/// order, a type that holds no tokens, an index that does not fit.
std::vector<ForeignTokens> find_foreign_tokens(const std::filesystem::path& path,
                                               std::int64_t token_bytes);

// One for each format; each throws InputError like find_foreign_tokens.

/// Megatron-LM, NeMo: NAME.idx beside NAME.bin.
ForeignTokens read_megatron(const std::filesystem::path& index);

/// datatrove, nanotron: NAME.ds, beside it NAME.ds.index, NAME.ds.loss and NAME.ds.metadata where
/// they were written. `token_bytes` is taken where no metadata say it.
ForeignTokens read_datatrove(const std::filesystem::path& file, std::int64_t token_bytes);

/// llm.c, modded-nanogpt: one file with a header of 1,024 bytes.
ForeignTokens read_llm_c(const std::filesystem::path& file);

/// llm.q, Surogate: the same with other fields, loss masks and positions.
ForeignTokens read_llm_q(const std::filesystem::path& file);

/// OLMo, Dolma: NAME.npy, raw or with a NumPy header, beside it NAME.csv.gz where it was written,
/// and the loss mask where it has the name that goes with NAME. `token_bytes` is taken for a raw
/// one.
ForeignTokens read_olmo(const std::filesystem::path& file, std::int64_t token_bytes);

/// Whether a file is a loss mask of such tokens by its name.
bool is_olmo_loss_mask(const std::filesystem::path& file);

/// litdata's TokensLoader: a folder with index.json and its chunks, in the order of the index.
std::vector<ForeignTokens> read_litdata(const std::filesystem::path& index);

}  // namespace zebra

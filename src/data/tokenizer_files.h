#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace zebra {

// How the files of a tokenizer are named beside a model: in run folders, checkpoints and exports.
inline constexpr const char* kSentencePieceFile = "tokenizer.model";
inline constexpr const char* kTokenizerJsonFile = "tokenizer.json";
inline constexpr const char* kTokenizerConfigFile = "tokenizer_config.json";  // beside the former

/// Bytes by file name: the tokenizer whole, as it stands beside a model.
using TokenizerFiles = std::map<std::string, std::string>;

/// The files of the tokenizer at `path`: the SentencePiece model, or tokenizer.json with the
/// tokenizer_config.json that lies beside it. What the file is its content says, not its name.
/// Throws InputError when one cannot be read.
TokenizerFiles read_tokenizer_files(const std::filesystem::path& path);

/// Of files by name, the one that opens as a tokenizer: kTokenizerJsonFile where it is there, else
/// kSentencePieceFile.
template <class Files>
const char* main_tokenizer_file(const Files& files) {
  return files.contains(kTokenizerJsonFile) ? kTokenizerJsonFile : kSentencePieceFile;
}

/// The tokenizer that lies in `folder` beside a model; where there are two, the SentencePiece
/// model, from which the other was made.
std::filesystem::path tokenizer_in(const std::filesystem::path& folder);

}  // namespace zebra

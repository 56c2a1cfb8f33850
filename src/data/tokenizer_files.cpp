#include "data/tokenizer_files.h"

#include <system_error>

#include "base/file.h"

namespace zebra {
namespace {

// A SentencePiece model begins with a line feed and the length of a piece.
bool holds_json_object(const std::string& content) {
  const auto first = content.find_first_not_of(" \t\r\n");
  return first != std::string::npos && content[first] == '{';
}

}  // namespace

TokenizerFiles read_tokenizer_files(const std::filesystem::path& path) {
  std::string content = read_file(path);
  TokenizerFiles files;
  if (!holds_json_object(content)) {
    files[kSentencePieceFile] = std::move(content);
    return files;
  }
  files[kTokenizerJsonFile] = std::move(content);
  const auto config = path.parent_path() / kTokenizerConfigFile;
  if (std::error_code ignored; std::filesystem::exists(config, ignored))
    files[kTokenizerConfigFile] = read_file(config);
  return files;
}

std::filesystem::path tokenizer_in(const std::filesystem::path& folder) {
  std::error_code ignored;
  const bool has_json = !std::filesystem::exists(folder / kSentencePieceFile, ignored) &&
                        std::filesystem::exists(folder / kTokenizerJsonFile, ignored);
  return folder / (has_json ? kTokenizerJsonFile : kSentencePieceFile);
}

}  // namespace zebra

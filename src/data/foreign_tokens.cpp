#include "data/foreign_tokens.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>

#include "data/foreign_bytes.h"
#include "data/token_bytes.h"

namespace zebra {
namespace {

namespace fs = std::filesystem;

enum class ForeignFormat { none, megatron, datatrove, llm_c, llm_q, olmo, litdata };

constexpr const char* kLitdataIndex = "index.json";
constexpr std::string_view kLlmQMagic = "BIN.TOK\n";

constexpr const char* kKnownFormats =
    "known are Megatron's .bin with .idx, datatrove's .ds, llm.c's and llm.q's .bin, OLMo's .npy "
    "and litdata's folders with index.json; text is packed by `zebra data pack`";

std::string first_bytes(const fs::path& file, std::size_t count) {
  std::string start(count, '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.read(start.data(), static_cast<std::streamsize>(count));
  start.resize(static_cast<std::size_t>(stream.gcount()));
  return start;
}

/// Of a .bin without an index, in either byte order.
ForeignFormat format_of_bin(const fs::path& file) {
  const std::string start = first_bytes(file, kLlmQMagic.size());
  if (start == kLlmQMagic) return ForeignFormat::llm_q;
  if (start.size() < 4) return ForeignFormat::none;
  std::uint32_t magic = 0;
  std::memcpy(&magic, start.data(), sizeof magic);
  for (const std::uint64_t known : {20240520, 20240801}) {
    if (magic == known || other_byte_order(magic, 4) == known) return ForeignFormat::llm_c;
  }
  return ForeignFormat::none;
}

fs::path index_beside(const fs::path& bin) { return fs::path(bin).replace_extension(".idx"); }

ForeignFormat format_of_file(const fs::path& file) {
  if (!fs::is_regular_file(file)) return ForeignFormat::none;
  const auto ending = file.extension();
  if (ending == ".idx") return ForeignFormat::megatron;
  if (ending == ".ds") return ForeignFormat::datatrove;
  if (ending == ".npy") return is_olmo_loss_mask(file) ? ForeignFormat::none : ForeignFormat::olmo;
  if (file.filename() == kLitdataIndex) return ForeignFormat::litdata;
  if (ending != ".bin") return ForeignFormat::none;
  return fs::exists(index_beside(file)) ? ForeignFormat::megatron : format_of_bin(file);
}

/// The token files of a folder, sorted; of a .bin and .idx only the latter, of a folder of litdata
/// only its index.
std::vector<fs::path> files_of_folder(const fs::path& folder) {
  if (fs::exists(folder / kLitdataIndex)) return {folder / kLitdataIndex};
  std::vector<fs::path> files;
  for (auto entry = fs::recursive_directory_iterator(folder);
       entry != fs::recursive_directory_iterator(); ++entry) {
    const auto& path = entry->path();
    if (path.filename().string().starts_with('.')) {
      if (entry->is_directory()) entry.disable_recursion_pending();
      continue;
    }
    const auto format = format_of_file(path);
    const bool is_other_half = format == ForeignFormat::megatron && path.extension() == ".bin";
    if (format != ForeignFormat::none && !is_other_half) files.push_back(path);
    if (entry->is_directory() && fs::exists(path / kLitdataIndex)) {
      files.push_back(path / kLitdataIndex);
      entry.disable_recursion_pending();
    }
  }
  std::ranges::sort(files);
  return files;
}

/// The files that a path given by a user stands for; throws where it stands for none.
std::vector<fs::path> files_of(const fs::path& path) {
  if (fs::exists(path / kDescriptionFile)) {
    refuse_file(path,
                "is a token dataset already: name it in data.train, or put several together "
                "with `zebra data merge`");
  }
  if (fs::is_directory(path)) {
    auto files = files_of_folder(path);
    if (files.empty()) refuse_file(path, std::string("holds no token file; ") + kKnownFormats);
    return files;
  }
  if (format_of_file(path) != ForeignFormat::none) return {path};
  // Megatron's own commands name both files by their common start.
  if (fs::exists(path.string() + ".idx")) return {path.string() + ".idx"};
  if (!fs::exists(path)) refuse_file(path, "does not exist; correct the path");
  if (is_olmo_loss_mask(path))
    refuse_file(path, "is a loss mask by its name; name the file of the tokens, it is found then");
  refuse_file(path, std::string("is no token file of a known format; ") + kKnownFormats);
}

std::vector<ForeignTokens> read_foreign(const fs::path& file, std::int64_t token_bytes) {
  switch (format_of_file(file)) {
    case ForeignFormat::megatron:
      return {read_megatron(index_beside(file))};
    case ForeignFormat::datatrove:
      return {read_datatrove(file, token_bytes)};
    case ForeignFormat::llm_c:
      return {read_llm_c(file)};
    case ForeignFormat::llm_q:
      return {read_llm_q(file)};
    case ForeignFormat::olmo:
      return {read_olmo(file, token_bytes)};
    case ForeignFormat::litdata:
      return read_litdata(file);
    case ForeignFormat::none:
      break;
  }
  refuse_file(file, "is gone");
}

}  // namespace

bool names_foreign_tokens(const fs::path& path) {
  try {
    return !files_of(path).empty();
  } catch (const InputError&) {
    return false;
  } catch (const fs::filesystem_error&) {
    return false;
  }
}

std::vector<ForeignTokens> find_foreign_tokens(const fs::path& path, std::int64_t token_bytes) {
  std::vector<ForeignTokens> result;
  Problems problems;
  try {
    for (const auto& file : files_of(path)) {
      try {
        for (auto& tokens : read_foreign(file, token_bytes)) result.push_back(std::move(tokens));
      } catch (const InputError& error) {
        problems.add(error.what());
      }
    }
  } catch (const fs::filesystem_error& error) {
    problems.add(path.string() + ": cannot be read: " + error.code().message());
  }
  problems.throw_if_any();
  return result;
}

}  // namespace zebra

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace zebra {

/// A file to read, or standard input (kStandardInput).
struct InputFile {
  std::string path;
  bool from_folder = false;  // found in a folder, not named by the user
};

struct InputFiles {
  std::vector<InputFile> files;
  std::uint64_t bytes = 0;  // on the disk, all together; 0 when standard input is among them
};

/// The files that `inputs` stand for, in the order given; a folder stands for the regular files in
/// it and below, sorted by path, without those whose name or folder's name begins with a dot.
///
/// With `extensions` (".py") only files of a folder that end in one of them are taken; an ending
/// .gz or .zst is looked past. Throws one InputError that lists every input that is missing, is an
/// empty file, or is a folder without a file to take.
InputFiles list_input_files(const std::vector<std::string>& inputs,
                            const std::vector<std::string>& extensions);

/// `path` without an ending .gz or .zst.
std::string without_compression_suffix(const std::string& path);

}  // namespace zebra

#include "interop/huggingface_weights.h"

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "base/file.h"
#include "base/json_reader.h"
#include "base/message.h"
#include "base/system.h"
#include "base/text.h"
#include "interop/huggingface_config.h"

namespace zebra {
namespace {

constexpr const char* kWeightsFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";
constexpr std::size_t kMostNamed = 8;

// How the weights of a folder without safetensors become some.
std::string way_to_convert(const std::filesystem::path& folder) {
  const bool has_pickles =
      is_there(folder / "pytorch_model.bin") || is_there(folder / "pytorch_model.bin.index.json");
  if (!has_pickles) {
    return "weights in another format (consolidated.safetensors) are converted by transformers' "
           "save_pretrained";
  }
  std::vector<std::string> words =
      python_command("huggingface/bin_to_safetensors.py", {folder.string(), "CONVERTED"});
  for (auto& word : words) word = shell_word(word);
  return "pytorch_model.bin is converted, together with the rest of the folder, by: " +
         join(words, " ");
}

}  // namespace

std::string counted_tensors(const std::vector<std::string>& names) {
  const std::size_t named = std::min(names.size(), kMostNamed);
  std::string text =
      join({names.begin(), names.begin() + static_cast<std::ptrdiff_t>(named)}, ", ");
  if (named < names.size()) text += ", and " + std::to_string(names.size() - named) + " more";
  return std::to_string(names.size()) + (names.size() == 1 ? " tensor (" : " tensors (") + text +
         ")";
}

StoredTensors::StoredTensors(const std::filesystem::path& folder, Problems& problems)
    : folder_(folder), problems_(problems) {
  const bool one_file = is_there(folder / kWeightsFile), index = is_there(folder / kIndexFile);
  if (one_file && index) {
    problems.add(folder.string() + ": holds both " + kWeightsFile + " and " + kIndexFile +
                 "; remove the one that is not meant");
  } else if (index) {
    problems.collect([&] { open_index(); });
  } else if (one_file) {
    problems.collect([&] { open(kWeightsFile); });
  } else {
    problems.add(folder.string() + ": holds neither " + kWeightsFile + " nor " + kIndexFile + "; " +
                 way_to_convert(folder));
  }
}

void StoredTensors::open(const std::string& name) {
  files_.push_back(std::make_unique<SafetensorsFile>(folder_ / name));
  const SafetensorsFile& file = *files_.back();
  for (const auto& tensor : file.names()) {
    problems_.collect([&] {
      const bool is_first = tensors_.emplace(tensor, file.tensor(tensor)).second;
      if (!is_first)
        problems_.add((folder_ / name).string() + ": tensor " + tensor + " is in another file too");
    });
  }
}

void StoredTensors::open_index() {
  const auto path = folder_ / kIndexFile;
  const std::string text = without_leading_space(read_file(path));
  if (const auto fault = json_object_fault(text); !fault.empty())
    throw InputError(path.string() + ": is not an index: " + fault);
  const auto json = nlohmann::json::parse(text);
  std::map<std::string, std::vector<std::string>> named;
  try {
    for (const auto& [tensor, file] : json.at("weight_map").items())
      named[file.get<std::string>()].push_back(tensor);
  } catch (const nlohmann::json::exception&) {
    throw InputError(path.string() +
                     ": is not an index: weight_map must name the file of each tensor");
  }
  for (const auto& [file, tensors] : named) {
    if (std::filesystem::path(file).filename() != file) {
      problems_.add(path.string() + ": weight_map: \"" + file + "\" is not a file's name");
      continue;
    }
    problems_.collect([&, &file = file, &tensors = tensors] {
      open(file);
      compare(path, file, tensors);
    });
  }
}

void StoredTensors::compare(const std::filesystem::path& index, const std::string& file,
                            const std::vector<std::string>& named) {
  std::vector<std::string> missing, unnamed;
  const auto held = files_.back()->names();
  const std::set<std::string> in_file(held.begin(), held.end()),
      in_index(named.begin(), named.end());
  std::ranges::set_difference(in_index, in_file, std::back_inserter(missing));
  std::ranges::set_difference(in_file, in_index, std::back_inserter(unnamed));
  if (!missing.empty())
    problems_.add(index.string() + ": " + file + " lacks " + counted_tensors(missing) +
                  " of weight_map");
  if (!unnamed.empty())
    problems_.add(index.string() + ": weight_map does not name " + counted_tensors(unnamed) +
                  " of " + file);
}

}  // namespace zebra

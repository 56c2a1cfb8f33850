#include "checkpoint/average.h"

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "base/message.h"
#include "checkpoint/folder.h"
#include "config/load.h"

namespace zebra {
namespace {

// Keys of `model` that say how training began, not what the weights mean.
bool is_of_the_model(const ConfigDifference& difference) {
  return difference.key.starts_with("model.") && difference.key != "model.init_from" &&
         difference.key != "model.preset" && difference.key != "model.initializer_range";
}

// What makes the weights of `other` none that could be added to those of `last`.
void check_same_model(const std::filesystem::path& folder, const Config& config,
                      const Manifest& manifest, const Config& last, const Manifest& last_manifest,
                      Problems& problems) {
  bool is_other = false;
  for (const auto& difference : differences(config, last)) {
    if (!is_of_the_model(difference)) continue;
    is_other = true;
    problems.add(folder.string() + ": is of another model: its " + difference.key + " is " +
                 difference.before + ", that of the last one " + difference.after);
  }
  const auto shape_of = [](const auto& entry) {
    return std::pair(entry.first, entry.second.shape);
  };
  if (!is_other &&
      !std::ranges::equal(manifest.tensors, last_manifest.tensors, {}, shape_of, shape_of)) {
    problems.add(folder.string() + ": holds other tensors than the last one");
  }
  const auto tokenizer = main_tokenizer_file(manifest.files);
  const auto found = last_manifest.files.find(tokenizer);
  if (found == last_manifest.files.end() ||
      found->second.hash != manifest.files.at(tokenizer).hash) {
    problems.add(folder.string() +
                 ": has another tokenizer than the last one, so that the same rows of its "
                 "embedding mean other tokens");
  }
}

void check_origins(const std::vector<std::filesystem::path>& origins, Problems& problems) {
  if (origins.size() < 2)
    problems.add("a mean needs two checkpoints at least; name more, or a run and --last N");
  for (std::size_t i = 0; i < origins.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (std::filesystem::equivalent(origins[i], origins[j]))
        problems.add(origins[i].string() + ": is named twice");
    }
  }
}

}  // namespace

std::vector<std::filesystem::path> newest_checkpoints(const std::filesystem::path& run,
                                                      std::int64_t last) {
  const auto places = list_checkpoints(run);
  const auto count = static_cast<std::int64_t>(places.size());
  if (count < last) {
    throw InputError(run.string() + ": has " + std::to_string(count) +
                     " whole checkpoints, not the " + std::to_string(last) +
                     " of --last; checkpoint.keep_last of the run says how many stay");
  }
  std::vector<std::filesystem::path> newest;
  for (auto place = places.end() - last; place != places.end(); ++place)
    newest.push_back(place->folder);
  return newest;
}

CheckpointAverage plan_average(const std::vector<std::filesystem::path>& origins,
                               const std::filesystem::path& output) {
  CheckpointAverage average{.origins = origins,
                            .output = folder_path(std::filesystem::absolute(output)),
                            .config = {},
                            .step = 0,
                            .tensors = {}};
  Problems problems;
  check_origins(origins, problems);
  if (std::filesystem::exists(std::filesystem::symlink_status(average.output)))
    problems.add(average.output.string() + ": exists already; name a new folder with --output");
  problems.throw_if_any();

  average.config = Checkpoint(origins.back()).config();
  const auto manifest = Manifest::of(origins.back());
  for (const auto& origin : origins)
    check_same_model(origin, Checkpoint(origin).config(), Manifest::of(origin), average.config,
                     manifest, problems);
  problems.throw_if_any();

  average.step = manifest.step;
  average.config.data.tokenizer = average.output / main_tokenizer_file(manifest.files);
  for (const auto& [name, record] : manifest.tensors)
    average.tensors.push_back({name, record.shape});
  return average;
}

void write_average(
    const CheckpointAverage& average,
    const std::function<void(std::uint64_t bytes_done, std::uint64_t bytes)>& progress) {
  std::vector<Checkpoint> origins;
  auto averaged_from = nlohmann::ordered_json::array();
  for (const auto& origin : average.origins) {
    origins.emplace_back(origin);
    averaged_from.push_back(std::filesystem::absolute(origin).string());
  }
  const auto bytes_of = [&](const NamedTensor& tensor) {
    return static_cast<std::uint64_t>(tensor.numel()) * sizeof(float) * origins.size();
  };
  std::uint64_t bytes = 0, bytes_done = 0;
  for (const auto& tensor : average.tensors) bytes += bytes_of(tensor);

  std::vector<CheckpointTensor> means;
  for (const auto& tensor : average.tensors) {
    auto sum = torch::zeros({tensor.numel()}, torch::kFloat64);
    const auto values = torch::empty({tensor.numel()}, torch::kFloat32);
    for (auto& origin : origins) {
      origin.read("weights", tensor, 0, values);
      sum.add_(values);
    }
    sum.div_(static_cast<double>(origins.size()));
    means.push_back({tensor, 0, sum.to(torch::kFloat32)});
    bytes_done += bytes_of(tensor);
    if (progress) progress(bytes_done, bytes);
  }
  TextCollectives alone(nullptr, 0, 1);
  write_checkpoint(
      average.output,
      {.step = average.step,
       .config = average.config,
       .tokenizer = read_tokenizer_files(origins.back().tokenizer_path()),
       // No optimizer and no place in the data: training cannot be resumed from it.
       .training = {{"averaged_from", std::move(averaged_from)}, {"step", average.step}},
       .groups = {{"weights", std::move(means)}}},
      alone);
}

std::string average_text(const CheckpointAverage& average) {
  std::string text = "the mean of the weights of " + std::to_string(average.origins.size()) +
                     " checkpoints is in " + average.output.string() + "\n";
  for (const auto& origin : average.origins) text += "  " + origin.string() + "\n";
  return text +
         "It holds no optimizer state: evaluate, export or generate from it, or name it as "
         "model.init_from in a run file.\n";
}

}  // namespace zebra

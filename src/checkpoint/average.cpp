#include "checkpoint/average.h"

#include <c10/util/accumulate.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/message.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder.h"
#include "checkpoint/inventory.h"
#include "config/load.h"

namespace zebra {
namespace {

constexpr const char* kGroup = "weights";
constexpr std::int64_t kValuesAtATime = std::int64_t{1} << 22;

/// Keys of a model that say how its training began or went, not what its weights compute.
constexpr std::array<std::string_view, 3> kHistoryKeys = {
    "model.init_from", "model.initializer_range", "model.window_schedule"};

std::vector<std::filesystem::path> last_of_run(const std::vector<std::string>& paths,
                                               std::int64_t last) {
  if (paths.size() != 1) {
    throw InputError("--last: takes the newest checkpoints of one run, but " +
                     std::to_string(paths.size()) +
                     " paths are given; name one run folder, or leave out --last");
  }
  const auto places = list_checkpoints(run_of(paths.front()));
  if (std::cmp_less(places.size(), last)) {
    throw InputError(paths.front() + ": holds " + std::to_string(places.size()) +
                     " whole checkpoints, not " + std::to_string(last) +
                     "; lower --last (checkpoint.keep_last decides how many stay)");
  }
  std::vector<std::filesystem::path> folders;
  for (auto place = places.end() - static_cast<std::ptrdiff_t>(last); place != places.end();
       ++place)
    folders.push_back(place->folder);
  return folders;
}

std::vector<std::filesystem::path> folders_of(const std::vector<std::string>& paths,
                                              std::optional<std::int64_t> last,
                                              Problems& problems) {
  std::vector<std::filesystem::path> folders;
  if (last) {
    problems.collect([&] { folders = last_of_run(paths, *last); });
    return folders;
  }
  if (paths.size() < 2) {
    problems.add(paths.front() +
                 ": is one checkpoint, which has no mean; name several, or those of a run with "
                 "--last N");
  }
  for (const auto& path : paths) {
    problems.collect([&] {
      const auto folder = find_checkpoint(path);
      const auto same = std::ranges::find_if(
          folders, [&](const auto& other) { return std::filesystem::equivalent(folder, other); });
      if (same != folders.end())
        problems.add(path + ": means the same checkpoint as another, " + same->string() +
                     "; name it once");
      folders.push_back(folder);
    });
  }
  return folders;
}

/// A run would go on from what lies among its checkpoints under such a name.
void check_place(const std::filesystem::path& output, Problems& problems) {
  check_new_folder(output, problems);
  if (output.parent_path().filename() == "checkpoints" &&
      checkpoint_name(output.filename().string())) {
    problems.add(
        output.string() +
        ": is where a run keeps checkpoints to go on from, which this is not; name another "
        "folder with --output");
  }
}

const std::string& tokenizer_hash(const Manifest& manifest) {
  return manifest.files.at(main_tokenizer_file(manifest.files)).hash;
}

void check_same_model(const std::filesystem::path& folder, const Config& config,
                      const std::filesystem::path& newest_folder, const Config& newest,
                      Problems& problems) {
  for (const auto& [key, before, after] : differences(newest, config)) {
    if (!key.starts_with("model.") || std::ranges::find(kHistoryKeys, key) != kHistoryKeys.end())
      continue;
    problems.add(folder.string() + ": is of another model than " + newest_folder.string() + ": " +
                 key + ": " + before + " -> " + after);
  }
  if (tokenizer_hash(Manifest::of(folder)) != tokenizer_hash(Manifest::of(newest_folder))) {
    problems.add(folder.string() + ": is of another tokenizer than " + newest_folder.string());
  }
}

/// The weights of the checkpoints, of each a piece at a time.
class Weights {
 public:
  explicit Weights(const std::vector<std::filesystem::path>& folders) {
    for (const auto& folder : folders) checkpoints_.emplace_back(folder);
  }

  void verify(const AverageProgress& progress) {
    std::uint64_t bytes = 0, done = 0;
    for (const auto& checkpoint : checkpoints_) {
      const auto manifest = Manifest::of(checkpoint.folder());
      const auto groups = shards_by_group(manifest);
      for (const auto part : groups.at(kGroup))
        bytes += manifest.files.at(shard_file_name(kGroup, part)).size;
    }
    for (auto& checkpoint : checkpoints_) {
      checkpoint.verify_group(kGroup, [&](std::size_t more) {
        done += more;
        if (progress) progress("verifying", done, bytes);
      });
    }
  }

  /// float32 means of elements [begin, begin + count) of a tensor.
  torch::Tensor mean(const NamedTensor& tensor, std::int64_t begin, std::int64_t count) {
    auto sum = torch::empty({count}, torch::kFloat64), values = torch::empty_like(sum);
    for (auto& checkpoint : checkpoints_) {
      auto& read = &checkpoint == &checkpoints_.front() ? sum : values;
      checkpoint.read(kGroup, tensor, begin, read);
      if (!read.isfinite().all().item<bool>()) {
        throw InputError(checkpoint.folder().string() + ": tensor " + tensor.name +
                         " holds weights that are no finite numbers; leave this checkpoint out");
      }
      if (&read == &values) sum.add_(values);
    }
    return sum.div_(static_cast<double>(checkpoints_.size())).to(torch::kFloat32);
  }

 private:
  std::vector<Checkpoint> checkpoints_;
};

FileRecord write_means(Weights& weights, const Manifest& manifest,
                       const std::filesystem::path& path, const AverageProgress& progress) {
  std::vector<TensorHeader> headers;
  std::uint64_t bytes = 0, done = 0;
  for (const auto& [name, record] : manifest.tensors) {
    const auto size = record.fragments.front().end;
    headers.push_back({fragment_key(name, 0, size), torch::kFloat32, {size}});
    bytes += static_cast<std::uint64_t>(size) * sizeof(float);
  }
  SafetensorsWriter writer(path, headers);
  for (const auto& [name, record] : manifest.tensors) {
    const auto size = record.fragments.front().end;
    for (std::int64_t begin = 0; begin < size; begin += kValuesAtATime) {
      const auto count = std::min(kValuesAtATime, size - begin);
      writer.write(weights.mean({name, record.shape}, begin, count));
      done += static_cast<std::uint64_t>(count) * sizeof(float);
      if (progress) progress("averaging", done, bytes);
    }
  }
  return writer.commit();
}

}  // namespace

Average plan_average(const std::vector<std::string>& paths, std::optional<std::int64_t> last,
                     const std::filesystem::path& output) {
  Problems problems;
  Average average;
  average.output = folder_path(std::filesystem::absolute(output).lexically_normal());
  check_place(average.output, problems);
  average.checkpoints = folders_of(paths, last, problems);
  problems.throw_if_any();

  std::vector<Config> configs;
  auto from = nlohmann::ordered_json::array();
  std::size_t newest = 0;
  for (const auto& folder : average.checkpoints) {
    Checkpoint checkpoint(folder);
    configs.push_back(checkpoint.config());
    from.push_back(
        {{"checkpoint", std::filesystem::absolute(folder).string()}, {"step", checkpoint.step()}});
    if (checkpoint.step() < average.manifest.step) continue;
    newest = configs.size() - 1;
    average.manifest.step = checkpoint.step();
  }
  const auto& newest_folder = average.checkpoints[newest];
  average.config = configs[newest];
  for (std::size_t i = 0; i < configs.size(); ++i)
    check_same_model(average.checkpoints[i], configs[i], newest_folder, average.config, problems);
  problems.throw_if_any();

  average.config.model.init_from.clear();
  average.config.run.dir = average.output;
  // No optimizer and no place in the data: training cannot be resumed from it.
  average.manifest.training = {{"averaged_from", from}, {"step", average.manifest.step}};
  for (const auto& [name, record] : Manifest::of(newest_folder).tensors) {
    const auto size = c10::multiply_integers(record.shape);
    average.manifest.tensors[name] = {record.shape, {{0, 0, size}}};
  }
  return average;
}

void write_average(const Average& average, const AverageProgress& progress) {
  write_new_folder(average.output, [&](const std::filesystem::path& beside) {
    Weights weights(average.checkpoints);
    weights.verify(progress);
    Manifest manifest = average.manifest;
    const auto file = shard_file_name(kGroup, 0);
    manifest.files[file] = write_means(weights, manifest, beside / file, progress);
    Config config = average.config;
    const auto tokenizer = read_tokenizer_files(config.data.tokenizer);
    config.data.tokenizer = average.output / main_tokenizer_file(tokenizer);
    manifest.files[Checkpoint::kConfigFile] =
        write_recorded_file(beside / Checkpoint::kConfigFile, to_yaml(config));
    for (const auto& [name, bytes] : tokenizer)
      manifest.files[name] = write_recorded_file(beside / name, bytes);
    write_recorded_file(beside / Manifest::kFileName, manifest.to_text());
  });
}

std::string average_text(const Average& average) {
  std::string text = "averaged " + std::to_string(average.checkpoints.size()) + " checkpoints:\n";
  for (const auto& folder : average.checkpoints) text += "  " + folder.string() + "\n";
  const auto output = shell_word(average.output.string());
  return text + "written to " + average.output.string() + "\nnext:\n  zebra eval " + output +
         "\n  zebra export " + output +
         " --output DIR\n  model.init_from: " + average.output.string() +
         "   in a run file, to train it further\n";
}

}  // namespace zebra

#include "ablation/arm_data.h"

#include <stdlib.h>  // mkdtemp

#include <cerrno>
#include <cstring>
#include <optional>

#include "ablation/arm_problems.h"
#include "ablation/training_probes.h"
#include "base/error.h"
#include "data/tokenizer.h"
#include "data/training_data.h"

namespace zebra {
namespace {

// As many as shares are counted in (TrainingData::shares), and the one that is no sample.
constexpr std::int64_t kSampleOfProbes = 257;

/// A folder of its own among the system's temporary files, gone with the object.
class ScratchFolder {
 public:
  ScratchFolder() : path_((std::filesystem::temp_directory_path() / "zebra-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr)
      throw RunError(path_ + ": cannot be made: " + std::strerror(errno));
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  std::filesystem::path path() const { return path_; }

 private:
  std::string path_;
};

void check_sources(const Config& config) {
  const Tokenizer tokenizer(config.data.tokenizer);
  TrainingData(config, open_run_datasets(config, tokenizer).train, /*pinned=*/false);
}

class DataCheck {
 public:
  explicit DataCheck(const Sweep& sweep) : sweep_(sweep), probes_(training_probes(sweep)) {}

  void check(const Arm& arm) {
    auto config = arm.config;
    auto& train = config.data.train;
    const auto& loss_share = sweep_.file.probes.training_loss_share;
    const auto probes = probes_.find(train.back().path);
    if (probes == probes_.end()) return check_sources(config);
    if (std::filesystem::exists(train.back().path)) {
      check_sources(config);
    } else {
      const auto source = train.back();
      train.pop_back();
      check_sources(config);
      train.push_back(source);
      if (loss_share) train.back().path = sample_of(probes->second);
    }
    if (loss_share) set_probe_loss_share(config, *loss_share);
  }

 private:
  std::filesystem::path sample_of(ProbeDatasetOptions options) {
    if (!scratch_) scratch_.emplace();
    options.output = scratch_->path() / options.output.filename();
    options.sequences = std::min(options.sequences, kSampleOfProbes);
    if (!std::filesystem::exists(options.output)) write_probe_dataset(options);
    return options.output;
  }

  const Sweep& sweep_;
  std::map<std::filesystem::path, ProbeDatasetOptions> probes_;
  std::optional<ScratchFolder> scratch_;
};

}  // namespace

void check_data(const Sweep& sweep, Problems& problems) {
  DataCheck data(sweep);
  ArmProblems of_arms;
  for (const auto& arm : sweep.arms) {
    try {
      data.check(arm);
    } catch (const InputError& error) {
      of_arms.add(arm.name, error.what());
    }
  }
  of_arms.add_to(problems);
}

}  // namespace zebra

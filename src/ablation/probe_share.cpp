#include "ablation/probe_share.h"

#include "base/error.h"

namespace zebra {

void add_training_probes(DataSection& data, const std::filesystem::path& path, double share) {
  auto& sources = data.train;
  if (sources.size() == 1 && !sources.front().weight) sources.front().weight = 1.0;
  double total = 0.0;
  for (const DataSource& source : sources) {
    if (!source.weight) {
      throw InputError(
          "data.train: several sources without a weight, beside which probes cannot be given their "
          "probes.training_share; give each of them a weight");
    }
    total += *source.weight;
  }
  for (DataSource& source : sources) *source.weight *= (1.0 - share) / total;
  sources.push_back({path, share});
}

}  // namespace zebra

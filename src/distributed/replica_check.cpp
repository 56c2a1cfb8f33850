#include "distributed/replica_check.h"

#include <sstream>

#include "base/error.h"
#include "base/file.h"

namespace zebra {
namespace {

std::string hash_of_weights(const torch::Tensor& weights) {
  const auto host = weights.to(torch::kCPU);
  return hash_of({static_cast<const char*>(host.const_data_ptr()), host.nbytes()});
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

// Units and pairs of ranks that differ; rank r must equal rank r % parts. `texts` are the hashes of
// the units on each rank.
std::string differences(const std::vector<std::string>& texts, int parts,
                        const std::vector<ShardedUnit>& units) {
  std::vector<std::string> found;
  for (std::size_t rank = static_cast<std::size_t>(parts); rank < texts.size(); ++rank) {
    const std::size_t like = rank % static_cast<std::size_t>(parts);
    const auto own = words_of(texts[rank]), other = words_of(texts[like]);
    for (std::size_t i = 0; i < units.size(); ++i) {
      if (own[i] != other[i])
        found.push_back(units[i].name() + " on ranks " + std::to_string(like) + " and " +
                        std::to_string(rank));
    }
  }
  return join(found, ", ");
}

}  // namespace

void check_replicas(Job& job, const std::vector<ShardedUnit>& units, const RankGroups& groups) {
  std::vector<std::string> hashes;
  for (const auto& unit : units) hashes.push_back(hash_of_weights(unit.resident_weights()));
  const auto texts = job.gather(join(hashes, " "), "the hashes of replicas");
  const int parts = units.front().splits_weights() ? groups.shards->size() : 1;
  const auto found = job.from_first(differences(texts, parts, units), "how replicas compare");
  if (found.empty()) return;
  throw RunError("the replicas of the model have come apart: the weights differ in " + found +
                 ". A machine is faulty, or a computation is not deterministic. Start the job "
                 "again without the machine in question, from a checkpoint that was saved before");
}

}  // namespace zebra

#include "distributed/agreement.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/build_info.h"
#include "base/error.h"
#include "base/file.h"
#include "config/load.h"

namespace zebra {
namespace {

// "run:\n  name: …" becomes {"run": "  name: …"}.
std::map<std::string, std::string> sections_of(const std::string& yaml) {
  std::map<std::string, std::string> sections;
  std::istringstream lines(yaml);
  std::string section;
  for (std::string line; std::getline(lines, line);) {
    const bool begins_section = !line.empty() && line.front() != ' ';
    if (begins_section) section = line.substr(0, line.find(':'));
    sections[section] += line + "\n";
  }
  return sections;
}

}  // namespace

RunFacts run_facts(const Config& config) {
  RunFacts facts = {{"the build (zebra --version)", std::string(kVersion) + " " + kCommit + " " +
                                                        kBuildType + " " + kTorchVersion}};
  for (const auto& [name, text] : sections_of(to_yaml(config)))
    facts.emplace_back("the resolved section " + name, hash_of(text));
  return facts;
}

void agree(Job& job, const RunFacts& facts) {
  const auto text = job.from_first(nlohmann::json(facts).dump(), "what all ranks must agree on");
  const auto first = nlohmann::json::parse(text).get<RunFacts>();
  std::vector<std::string> differing;
  for (std::size_t i = 0; i < std::max(facts.size(), first.size()); ++i) {
    if (i < facts.size() && i < first.size() && facts[i] == first[i]) continue;
    differing.push_back(i < facts.size() ? facts[i].first : first[i].first);
  }
  if (differing.empty()) return;
  throw InputError("differs from rank 0 in " + join(differing, ", ") +
                   "; start all ranks with the same run file, datasets and build");
}

}  // namespace zebra

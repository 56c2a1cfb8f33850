#include "config/report.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "base/error.h"

namespace zebra {
namespace {

/// "model" for "model.hidden_size"; empty for a section.
std::string enclosing(const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return dot == std::string::npos ? "" : key.substr(0, dot);
}

}  // namespace

Report::Report(std::vector<std::string> sources) : sources_(std::move(sources)) {}

void Report::problem(const std::string& key, const std::string& what) {
  problems_.push_back({origin_of(key), key + ": " + what});
  mark_unsound(key);
}

bool Report::sound(std::initializer_list<std::string> keys) const {
  return std::none_of(keys.begin(), keys.end(), [&](std::string key) {
    for (; !key.empty(); key = enclosing(key)) {
      if (unsound_.contains(key)) return true;
    }
    return false;
  });
}

void Report::throw_if_any() const {
  std::vector<Problem> sorted = problems_;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const Problem& a, const Problem& b) {
    return std::tuple(rank_of(a.origin), a.origin.line) <
           std::tuple(rank_of(b.origin), b.origin.line);
  });
  Problems problems;
  for (const Problem& problem : sorted) problems.add(problem.origin.text() + ": " + problem.text);
  problems.throw_if_any();
}

Origin Report::origin_of(std::string key) const {
  for (; !key.empty(); key = enclosing(key)) {
    const auto found = origins_.find(key);
    if (found != origins_.end()) return found->second;
  }
  return {join(sources_, ", "), 0};
}

std::size_t Report::rank_of(const Origin& origin) const {
  return static_cast<std::size_t>(std::ranges::find(sources_, origin.source) - sources_.begin());
}

}  // namespace zebra

#include "measurement/layout_list.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>

namespace zebra {
namespace {

// Nothing for a text that is no whole number of at least 1.
std::optional<std::int64_t> positive_number(const std::string& text) {
  std::int64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || value < 1) return std::nullopt;
  return value;
}

std::string repeated(const std::string& period, std::size_t layers) {
  std::string pattern;
  while (pattern.size() < layers) pattern += period;
  return pattern.substr(0, layers);
}

// One letter per layer; empty, with a problem, for a name that is no layout.
std::string pattern_named(const std::string& name, std::size_t layers, Problems& problems) {
  const std::string where = "--layouts: \"" + name + "\" ";
  if (name == "full") return repeated("G", layers);
  if (name == "local") return repeated("L", layers);
  if (name.starts_with("mix:")) {
    const auto group = positive_number(name.substr(4));
    if (!group) {
      problems.add(where + "has no whole number of layers behind mix: (of which the first is " +
                   "global); give, for example, mix:4");
      return {};
    }
    std::string pattern = repeated("L", layers);
    for (std::size_t i = 0; i < layers; i += static_cast<std::size_t>(*group)) pattern[i] = 'G';
    return pattern;
  }
  if (name.empty() || name.find_first_not_of("GL") != std::string::npos) {
    problems.add(where + "is no layout; give full, local, mix:L or a pattern such as GLLL");
    return {};
  }
  if (name.size() > layers) {
    problems.add(where + "has " + std::to_string(name.size()) + " letters for the model's " +
                 std::to_string(layers) +
                 " layers; give one for each layer, or fewer to repeat them");
    return {};
  }
  return repeated(name, layers);
}

}  // namespace

std::vector<NamedLayout> named_layouts(const std::vector<std::string>& names,
                                       const ModelConfig& shape, bool has_window,
                                       Problems& problems) {
  std::vector<NamedLayout> layouts;
  std::set<std::string> seen;
  if (names.empty()) problems.add("--layouts: names none; give, for example, full,mix:4,local");
  for (const auto& name : names) {
    if (!seen.insert(name).second) {
      problems.add("--layouts: \"" + name + "\" comes twice; leave one of them out");
      continue;
    }
    const auto layers = static_cast<std::size_t>(shape.num_hidden_layers());
    const auto pattern = pattern_named(name, layers, problems);
    if (pattern.empty()) continue;
    if (pattern.find('L') != std::string::npos && !has_window) {
      problems.add("--layouts: \"" + name +
                   "\" has local layers, but the model has no window; give --window N, or " +
                   "model.window_size in the run file");
      continue;
    }
    layouts.push_back({name, shape});
    layouts.back().model.layers = layers_of_pattern(pattern);
  }
  return layouts;
}

std::vector<std::int64_t> sequence_lengths(const std::vector<std::string>& texts,
                                           Problems& problems) {
  std::set<std::int64_t> lengths;
  if (texts.empty()) problems.add("--lengths: names none; give, for example, 1024,2048,4096");
  for (const auto& text : texts) {
    const auto length = positive_number(text);
    if (!length) {
      problems.add("--lengths: \"" + text +
                   "\" is no length; give a whole number of tokens from 1");
    } else if (!lengths.insert(*length).second) {
      problems.add("--lengths: " + text + " comes twice; leave one of them out");
    }
  }
  return {lengths.begin(), lengths.end()};
}

}  // namespace zebra

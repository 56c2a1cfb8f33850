#include "config/unknown_keys.h"

#include <set>

#include "config/catalogue.h"
#include "support/catch.h"

using namespace zebra;

namespace {

/// All names and dotted keys, groups included. The names of a list's elements do not count: beside
/// the list they stand for nothing.
void collect(const KeyInfo& info, std::set<std::string>& names, std::set<std::string>& keys) {
  for (const KeyInfo& child : info.children) {
    if (info.type != KeyType::list) names.insert(child.name);
    keys.insert(child.key);
    collect(child, names, keys);
  }
}

}  // namespace

TEST_CASE("Aliases lead to keys that exist, and are none themselves") {
  std::set<std::string> names, keys, words;
  collect(catalogue(), names, keys);
  for (const Alias& alias : aliases()) {
    INFO(alias.words.front());
    CHECK((alias.key.empty() ? !alias.remark.empty() : keys.contains(alias.key)));
    for (const std::string& word : alias.words) {
      INFO(word);
      CHECK_FALSE(names.contains(word));
      CHECK(words.insert(word).second);
    }
  }
}

TEST_CASE("Words of other trainers are known") {
  REQUIRE(find_alias("fsdp") != nullptr);
  CHECK(find_alias("fsdp")->key == "parallel.sharding");
  CHECK(find_alias("block_size")->key == "data.sequence_length");
  CHECK(find_alias("n_layer")->key == "model.num_hidden_layers");
  CHECK(find_alias("hidden_size") == nullptr);
  CHECK(find_alias("") == nullptr);
}

#include <algorithm>

#include "config/catalogue.h"
#include "config/load.h"
#include "config/model_base.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

TEST_CASE("The reference has a row for every key, in the section it belongs to") {
  const std::string text = config_reference();
  for (const KeyInfo& section : catalogue().children) {
    INFO(section.name);
    const std::size_t begin = text.find("\n## `" + section.name + "`\n");
    REQUIRE(begin != std::string::npos);
    const std::string part = text.substr(begin, text.find("\n## ", begin + 1) - begin);
    for (const KeyInfo* info : leaves(section)) {
      const std::string key = info->key.substr(section.key.size() + 1);
      CHECK_THAT(part, Contains("\n| `" + key + "` | "));
      CHECK_THAT(part, Contains(info->help + " |\n"));
    }
  }
}

TEST_CASE("Every row of every table has as many cells as its head") {
  const std::string text = config_reference();
  std::size_t columns = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = text.find('\n', begin);
    const std::string line = text.substr(begin, end - begin);
    begin = end + 1;
    const auto bars = static_cast<std::size_t>(std::count(line.begin(), line.end(), '|'));
    if (!line.starts_with("|")) {
      columns = 0;
      continue;
    }
    INFO(line);
    CHECK((columns == 0 || bars == columns));
    columns = bars;
  }
}

TEST_CASE("Rows state type, default, range and choices") {
  const std::string text = config_reference();
  CHECK_THAT(text,
             Contains("| `lr` | number | `3.0e-04` | greater than 0 | Peak learning rate. |"));
  CHECK_THAT(text, Contains("| `max_steps` | integer | required, or `max_tokens` | at least 0 | "));
  CHECK_THAT(
      text,
      Contains("| `hidden_size` | integer | required, unless a preset gives it | at least 1 | "));
  CHECK_THAT(text, Contains("| `num_key_value_heads` | integer | `num_attention_heads` | "));
  CHECK_THAT(text, Contains("| `type` | choice | `cosine` | `cosine`, `wsd`, `constant` | "));
  CHECK_THAT(text,
             Contains("| `betas` | two numbers | `[0.9, 0.95]` | each at least 0, below 1 | "));
  CHECK_THAT(text, Contains("| `min_lr_ratio` | number | `0.1` | from 0 to 1 | "));
}

TEST_CASE(
    "The reference explains variables, x- keys, several files, overrides and presets with their "
    "sizes") {
  const std::string text = config_reference();
  for (const std::string word :
       {"${NAME}", "`x-`", "--set section.key=VALUE", "base.yaml long.yaml", "model.preset",
        "What a resumed run may change"}) {
    CHECK_THAT(text, Contains(word));
  }
  // Parameters by hand: layers x (4 d d + 3 d f + 2 d) + d + 2 V d, with two key-value heads of
  // four for the tiny one.
  CHECK_THAT(
      text,
      Contains("| `zebra-tiny` | 9.30M | 1.11M | 128 | 352 | 6 | 4 (2) | 32 | `GLL` | 64 | "));
  CHECK_THAT(
      text,
      Contains(
          "| `zebra-7b` | 6.74B | 6.48B | 4096 | 11008 | 32 | 32 (32) | 128 | `GLLL` | 512 | "));
  for (const std::string& name : preset_names())
    CHECK_THAT(text, Contains("\n| `" + name + "` | "));
}

TEST_CASE("The run file in the reference is a valid one") {
  const std::string text = config_reference();
  const std::size_t begin = text.find("```yaml\n") + 8;
  const RunFile config =
      parse_run_file(text.substr(begin, text.find("```", begin) - begin), "reference");
  CHECK(config.run.name == "tiny");
  CHECK(config.model.attention_pattern == "GLLGLL");
}

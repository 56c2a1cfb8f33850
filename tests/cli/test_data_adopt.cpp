#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/command_line.h"
#include "cli/data_command.h"
#include "data/data_support.h"
#include "data/foreign_files.h"

using namespace zebra;
using namespace zebra::test;
using zebra::testing::run_data;

namespace {

nlohmann::json json_of(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  return nlohmann::json::parse(run_data(std::move(arguments)));
}

}  // namespace

TEST_CASE("zebra data adopt, merge, split, stat and show", "[cli][data]") {
  const TempFolder folder;
  const auto path = [&](const std::string& name) { return (folder / name).string(); };
  const std::string tokens = folder.write("p.bin", id_bytes({1, 300, 2, 1, 301}, 2));
  folder.write("p.idx", megatron_index());
  const auto adopted =
      json_of({"adopt", path("p"), "--tokenizer", test_tokenizer(), "--output", path("adopted")});
  CHECK(adopted.at("documents") == 2);
  CHECK(adopted.at("tokens") == 5);
  CHECK(adopted.at("largest_id") == 301);
  CHECK(adopted.at("adopted").at(0).at("format") == "Megatron");
  CHECK(contains(run_data({"adopt", path("p"), "--tokenizer", test_tokenizer(), "--output",
                           path("adopted"), "--overwrite"}),
                 tokens));

  const auto merged =
      json_of({"merge", path("adopted"), path("adopted"), "--output", path("merged")});
  CHECK(merged.at("documents") == 4);
  CHECK(merged.at("files") == 2);
  const auto split = json_of({"split", path("merged"), "--output", path("most"), "--holdout", "0.4",
                              "--holdout-output", path("rest")});
  CHECK(split.at("tokens") == 8);
  CHECK(split.at("holdout").at("tokens") == 2);

  const auto stat = json_of({"stat", path("merged"), path("rest")});
  CHECK(stat.at(0).at("document_tokens").at("longest") == 3);
  CHECK(stat.at(1).at("tokens") == 2);
  CHECK(contains(run_data({"stat", path("merged")}), "all 2 to 3"));
  CHECK_THROWS_AS(run_data({"stat"}), InputError);

  const auto shown =
      json_of({"show", path("merged"), "--sample", "1", "--tokenizer", test_tokenizer()});
  CHECK(shown.at("begin") == 3);
  CHECK(shown.at("targets") == 1);
  CHECK(shown.at("runs").at(0).at("text") == "<BOS>");
  CHECK(shown.at("runs").at(1).at("ids") == nlohmann::json({301}));
  const auto text = run_data({"show", path("merged")});
  CHECK(contains(text, "-- document 0 of 4, 3 tokens --"));
  CHECK(contains(text, "0  input   [1]"));
  CHECK(contains(text, "1  target  [300 2]"));
  CHECK(contains(run_data({"show", path("p"), "--tokenizer", test_tokenizer()}), "<EOS>"));
  CHECK_THROWS_AS(run_data({"show", path("p")}), InputError);
}

TEST_CASE("zebra data adopt takes a separator and its place", "[cli][data]") {
  const TempFolder folder;
  const std::string file = folder.write("r.npy", id_bytes({7, 300, 7, 301}, 4));
  const auto adopted =
      json_of({"adopt", file, "--tokenizer", test_tokenizer(), "--output", (folder / "a").string(),
               "--document-separator", "7", "--at", "start", "--token-bytes", "4"});
  CHECK(adopted.at("documents") == 2);
  CHECK_THROWS(run_data({"adopt", file, "--tokenizer", test_tokenizer(), "--output",
                         (folder / "b").string(), "--at", "middle"}));
}

#include "cli/data_command.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/data_support.h"
#include "data/tokenizer.h"
#include "support/command_line.h"

using namespace zebra;
using namespace zebra::test;

namespace {

/// Runs `zebra ARGUMENTS` and returns what it prints on standard output.
std::string run(std::vector<std::string> arguments) {
  CLI::App app("zebra");
  add_data_command(app);
  app.require_subcommand(1);
  return zebra::testing::printed_by(app, std::move(arguments));
}

}  // namespace

TEST_CASE("zebra data makes a tokenizer and datasets", "[cli][data]") {
  const TempFolder folder;
  for (unsigned i = 0; i < 40; ++i) {
    folder.write("in/" + std::to_string(i) + ".py", code_like_text(i, 80));
  }
  folder.write("in/notes.md", "not taken");
  folder.write("more.jsonl", "{\"body\": \"from JSONL\"}\nbad\n");
  const std::string in = (folder / "in").string(), model = (folder / "tok.model").string();
  const auto trained =
      nlohmann::json::parse(run({"data", "tokenizer", "--input", in, "--extensions", ".py,.txt",
                                 "--vocab-size", "420", "--output", model, "--json"}));
  CHECK(trained.at("vocab_size") == 420);
  CHECK(trained.at("tokenizer_hash") == Tokenizer(model).hash());

  const auto packed = nlohmann::json::parse(run({"data",
                                                 "pack",
                                                 "--input",
                                                 in,
                                                 (folder / "more.jsonl").string(),
                                                 "--extensions",
                                                 ".py",
                                                 "--field",
                                                 "body",
                                                 "--skip-bad-lines",
                                                 "--tokenizer",
                                                 model,
                                                 "--output",
                                                 (folder / "train").string(),
                                                 "--threads",
                                                 "2",
                                                 "--holdout",
                                                 "0.25",
                                                 "--holdout-output",
                                                 (folder / "valid").string(),
                                                 "--holdout-seed",
                                                 "3",
                                                 "--json"}));
  CHECK(packed.at("documents").get<int>() + packed.at("holdout").at("documents").get<int>() == 41);
  CHECK(packed.at("skipped").at("bad_lines") == 1);
  const Tokenizer tokenizer(model);
  const TokenDataset train(folder / "train", tokenizer.hash(), 420);
  CHECK(packed.at("tokens") == train.tokens());
  CHECK(packed.at("fingerprint") == train.fingerprint());
  CHECK_NOTHROW(TokenDataset(folder / "valid", tokenizer.hash(), 420));
}

TEST_CASE("zebra data pack prints a table", "[cli][data]") {
  const TempFolder folder;
  const auto input = folder.write("a.txt", code_like_text(1, 100));
  const auto table = run({"data", "pack", "--input", input, "--tokenizer", test_tokenizer(),
                          "--output", (folder / "out").string(), "--format", "text"});
  for (const std::string part : {"documents", "tokens", "bytes per token", "U+2581", "time"}) {
    CHECK(contains(table, part));
  }
}

TEST_CASE("Bad usage of zebra data is told", "[cli][data]") {
  const TempFolder folder;
  const auto input = folder.write("a.txt", "text");
  const std::vector<std::string> pack = {"data",        "pack",           "--input",  input,
                                         "--tokenizer", test_tokenizer(), "--output", "x"};
  const auto with = [&pack](const std::vector<std::string>& more) {
    auto all = pack;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  CHECK_THROWS_AS(run({"data"}), CLI::ParseError);
  CHECK_THROWS_AS(run({"data", "pack", "--input", input}), CLI::ParseError);
  CHECK_THROWS_AS(run({"data", "tokenizer", "--input", input, "--output", "x"}), CLI::ParseError);
  CHECK_THROWS_AS(run(with({"--format", "csv"})), CLI::ParseError);
  CHECK_THROWS_AS(run(with({"--holdout", "0.1"})), CLI::ParseError);
  CHECK_THROWS_AS(run(with({"--holdout-output", "y"})), CLI::ParseError);
  CHECK_THROWS_AS(run(with({"--threads", "many"})), CLI::ParseError);
  CHECK_THROWS_AS(run({"data", "pack", "--input", (folder / "gone").string(), "--tokenizer",
                       test_tokenizer(), "--output", (folder / "out").string()}),
                  InputError);
  CHECK_THROWS_AS(run({"data", "pack", "--help"}), CLI::CallForHelp);
}

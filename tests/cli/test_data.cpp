#include "cli/command_line.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/data_command.h"
#include "data/data_support.h"
#include "data/probe_dataset.h"
#include "data/tokenizer.h"

using namespace zebra;
using namespace zebra::test;
using zebra::testing::run_data;

namespace {

std::string run_probes(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "probes");
  return run_data(std::move(arguments));
}

std::vector<std::string> arguments_for(const std::filesystem::path& output,
                                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {
      "--tokenizer", test_tokenizer(), "--length", "130",      "--window", "8", "--layers",
      "4",           "--sequences",    "1001",     "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
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
      nlohmann::json::parse(run_data({"tokenizer", "--input", in, "--extensions", ".py,.txt",
                                      "--vocab-size", "420", "--output", model, "--json"}));
  CHECK(trained.at("vocab_size") == 420);
  CHECK(trained.at("tokenizer_hash") == Tokenizer(model).hash());

  const auto packed = nlohmann::json::parse(run_data({"pack",
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
  const auto table = run_data({"pack", "--input", input, "--tokenizer", test_tokenizer(),
                               "--output", (folder / "out").string(), "--format", "text"});
  for (const std::string part : {"documents", "tokens", "bytes per token", "U+2581", "time"}) {
    CHECK(contains(table, part));
  }
}

TEST_CASE("Bad usage of zebra data is told", "[cli][data]") {
  const TempFolder folder;
  const auto input = folder.write("a.txt", "text");
  const std::vector<std::string> pack = {"pack",           "--input",  input, "--tokenizer",
                                         test_tokenizer(), "--output", "x"};
  const auto with = [&pack](const std::vector<std::string>& more) {
    auto all = pack;
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  CHECK_THROWS_AS(run_data({}), CLI::ParseError);
  CHECK_THROWS_AS(run_data({"pack", "--input", input}), CLI::ParseError);
  CHECK_THROWS_AS(run_data({"tokenizer", "--input", input, "--output", "x"}), CLI::ParseError);
  CHECK_THROWS_AS(run_data(with({"--format", "csv"})), CLI::ParseError);
  CHECK_THROWS_AS(run_data(with({"--holdout", "0.1"})), CLI::ParseError);
  CHECK_THROWS_AS(run_data(with({"--holdout-output", "y"})), CLI::ParseError);
  CHECK_THROWS_AS(run_data(with({"--threads", "many"})), CLI::ParseError);
  CHECK_THROWS_AS(run_data({"pack", "--input", (folder / "gone").string(), "--tokenizer",
                            test_tokenizer(), "--output", (folder / "out").string()}),
                  InputError);
  CHECK_THROWS_AS(run_data({"pack", "--help"}), CLI::CallForHelp);
}

TEST_CASE("zebra data probes writes what its options say", "[cli][data][probes]") {
  const TempFolder folder;
  run_probes(arguments_for(folder / "cli",
                           {"--tasks", "passkey,variable_tracking", "--seed", "7", "--keys", "17",
                            "--values", "9", "--pairs", "3,5", "--hops", "1"}));
  const auto report =
      write_probe_dataset({.tokenizer = test_tokenizer(),
                           .output = folder / "library",
                           .length = 130,
                           .bands = {8, 4},
                           .sequences = 1001,
                           .tasks = {ProbeTask::passkey, ProbeTask::variable_tracking},
                           .seed = 7,
                           .vocabulary = {.keys = 17, .values = 9},
                           .pairs = {3, 5},
                           .hops = {1}});
  CHECK(open_dataset(folder / "cli").fingerprint() == report.fingerprint);
}

TEST_CASE("zebra data probes takes all tasks by default and says what it wrote",
          "[cli][data][probes]") {
  const TempFolder folder;
  const auto line = run_probes(arguments_for(folder / "cli"));
  const auto report =
      write_probe_dataset({.tokenizer = test_tokenizer(),
                           .output = folder / "library",
                           .length = 130,
                           .bands = {8, 4},
                           .sequences = 1001,
                           .tasks = {ProbeTask::associative_recall, ProbeTask::passkey,
                                     ProbeTask::copying, ProbeTask::variable_tracking}});
  CHECK(open_dataset(folder / "cli").fingerprint() == report.fingerprint);
  CHECK(line.ends_with('\n'));
  CHECK(std::ranges::count(line, '\n') == 1);
  // 251 sequences of 130 / 8 questions, 250 of 1 answer, of 4 and of 1.
  const auto path = (folder / "cli").string() + ": ";
  for (const std::string& part : {path, report.fingerprint}) CHECK(contains(line, part));
  for (const std::string part :
       {"1,001 sequences", "130,130 tokens", "5,516 answers count as targets", "% control",
        "% relay", "% beyond"}) {
    CAPTURE(part, line);
    CHECK(contains(line, part));
  }
}

TEST_CASE("zebra data probes replaces a dataset only on demand", "[cli][data][probes]") {
  const TempFolder folder;
  run_probes(arguments_for(folder / "cli"));
  CHECK_THROWS_AS(run_probes(arguments_for(folder / "cli")), InputError);
  CHECK_NOTHROW(run_probes(arguments_for(folder / "cli", {"--overwrite"})));
}

TEST_CASE("Bad usage of zebra data probes is told", "[cli][data][probes]") {
  const TempFolder folder;
  const auto output = folder / "cli";
  CHECK_THROWS_AS(run_probes({}), CLI::ParseError);
  CHECK_THROWS_AS(run_probes({"--help"}), CLI::CallForHelp);
  CHECK_THROWS_AS(run_probes(arguments_for(output, {"--tasks", "passkey,recital"})),
                  CLI::ParseError);
  CHECK_THROWS_AS(run_probes(arguments_for(output, {"--keys", "many"})), CLI::ParseError);
  const auto message = message_of<InputError>([&] {
    run_probes(arguments_for(output, {"--keys", "4", "--values", "1"}));
  });
  CHECK(contains(message, "keys is 4"));
  CHECK(contains(message, "values is 1"));
  CHECK_FALSE(std::filesystem::exists(output));
}

#include "cli/data_probes.h"

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/data_support.h"
#include "data/probe_dataset.h"
#include "support/command_line.h"

using namespace zebra;
using namespace zebra::test;

namespace {

/// Runs `zebra data probes ARGUMENTS` and returns what it prints on standard output.
std::string run(std::vector<std::string> arguments) {
  CLI::App app("zebra");
  auto* data = app.add_subcommand("data", "");
  add_data_probes_command(*data);
  data->require_subcommand(1);
  arguments.insert(arguments.begin(), {"data", "probes"});
  return zebra::testing::printed_by(app, std::move(arguments));
}

std::vector<std::string> arguments_for(const std::filesystem::path& output,
                                       const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {
      "--tokenizer", test_tokenizer(), "--length", "130",      "--window", "8", "--layers",
      "4",           "--sequences",    "1001",     "--output", output};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TokenDataset open(const std::filesystem::path& path) {
  return TokenDataset(path, Tokenizer(test_tokenizer()).hash(), kTestVocabSize);
}

}  // namespace

TEST_CASE("zebra data probes writes what its options say", "[cli][data][probes]") {
  const TempFolder folder;
  run(arguments_for(folder / "cli", {"--tasks", "passkey,variable_tracking", "--seed", "7",
                                     "--keys", "17", "--values", "5"}));
  const auto report =
      write_probe_dataset({.tokenizer = test_tokenizer(),
                           .output = folder / "library",
                           .length = 130,
                           .bands = {8, 4},
                           .sequences = 1001,
                           .tasks = {ProbeTask::passkey, ProbeTask::variable_tracking},
                           .seed = 7,
                           .vocabulary = {.keys = 17, .values = 5}});
  CHECK(open(folder / "cli").fingerprint() == report.fingerprint);
}

TEST_CASE("zebra data probes takes all tasks by default and says what it wrote",
          "[cli][data][probes]") {
  const TempFolder folder;
  const auto line = run(arguments_for(folder / "cli"));
  const auto report =
      write_probe_dataset({.tokenizer = test_tokenizer(),
                           .output = folder / "library",
                           .length = 130,
                           .bands = {8, 4},
                           .sequences = 1001,
                           .tasks = {ProbeTask::associative_recall, ProbeTask::passkey,
                                     ProbeTask::copying, ProbeTask::variable_tracking}});
  CHECK(open(folder / "cli").fingerprint() == report.fingerprint);
  CHECK(line.ends_with('\n'));
  CHECK(std::ranges::count(line, '\n') == 1);
  // 251 sequences of 130 / 8 questions, 250 of 4 answers, of 8 and of 1.
  const auto path = (folder / "cli").string() + ": ";
  for (const std::string& part : {path, report.fingerprint}) CHECK(contains(line, part));
  for (const std::string part :
       {"1,001 sequences", "130,130 tokens", "7,266 answers count as targets", "% control",
        "% relay", "% beyond"}) {
    CAPTURE(part, line);
    CHECK(contains(line, part));
  }
}

TEST_CASE("zebra data probes replaces a dataset only on demand", "[cli][data][probes]") {
  const TempFolder folder;
  run(arguments_for(folder / "cli"));
  CHECK_THROWS_AS(run(arguments_for(folder / "cli")), InputError);
  CHECK_NOTHROW(run(arguments_for(folder / "cli", {"--overwrite"})));
}

TEST_CASE("Bad usage of zebra data probes is told", "[cli][data][probes]") {
  const TempFolder folder;
  const auto output = folder / "cli";
  CHECK_THROWS_AS(run({}), CLI::ParseError);
  CHECK_THROWS_AS(run({"--help"}), CLI::CallForHelp);
  CHECK_THROWS_AS(run(arguments_for(output, {"--tasks", "passkey,recital"})), CLI::ParseError);
  CHECK_THROWS_AS(run(arguments_for(output, {"--keys", "many"})), CLI::ParseError);
  const auto message = message_of<InputError>([&] {
    run(arguments_for(output, {"--keys", "4", "--values", "1"}));
  });
  CHECK(contains(message, "keys is 4"));
  CHECK(contains(message, "values is 1"));
  CHECK_FALSE(std::filesystem::exists(output));
}

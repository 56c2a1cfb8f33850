#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command_line.h"
#include "support/command_line.h"
#include "support/temporary_folder.h"
#include "support/text.h"

#include "support/catch.h"

namespace zebra {
namespace {

using testing::contains;

// What is refused before any model is looked for.
std::string refused(std::vector<std::string> words) {
  CLI::App app("zebra");
  add_generate_command(app);
  words.insert(words.begin(), {"generate", "no such run"});
  try {
    testing::printed_by(app, std::move(words));
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("one text, or one file of several, is to be continued") {
  CHECK_THAT(refused({}), Catch::Matchers::StartsWith("nothing to continue is given: give one of"));
  const auto two = refused({"--prompt", "a", "--prompt-file", "/no/such/file"});
  CHECK_THAT(two, Catch::Matchers::StartsWith("more than one text to continue is given"));
  // An empty prompt is one: what is wrong is the run.
  CHECK(contains(refused({"--prompt", ""}), "no such run"));
  CHECK_FALSE(contains(refused({"--prompt", ""}), "to continue"));
}

TEST_CASE(
    "all that is wrong with what is to be generated is said at once, before the model is read") {
  const testing::TemporaryFolder folder;
  testing::write_text(folder / "p.jsonl", "{\"prompt\": 3}\nno\n");
  const auto message =
      refused({"--prompts", (folder / "p.jsonl").string(), "--stop", "", "--stop", "\xff"});
  for (const char* part : {"--stop: is empty", "--stop: is no UTF-8",
                           "p.jsonl:1: the line has a \"prompt\" that is not a string",
                           "p.jsonl:2: the line is no JSON object"}) {
    INFO(part);
    CHECK(contains(message, part));
  }
  CHECK_FALSE(contains(message, "no such run"));
  CHECK(contains(refused({"--prompt", "x", "--batch-size", "4"}), "--batch-size: is of several"));
  CHECK(contains(refused({"--prompt-file", "/no/such/file"}), "/no/such/file: cannot open it"));
}

}  // namespace
}  // namespace zebra

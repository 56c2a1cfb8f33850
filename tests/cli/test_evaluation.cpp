#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "cli/command_line.h"
#include "support/command_line.h"
#include "support/text.h"

#include "support/catch.h"

namespace zebra {
namespace {

using testing::contains;

TEST_CASE("what is wrong with an evaluation is said at once, before the model is read") {
  const auto evaluate = [](std::vector<std::string> words) {
    CLI::App app("zebra");
    add_eval_command(app);
    words.insert(words.begin(), {"eval", "no such run"});
    testing::printed_by(app, std::move(words));
  };
  try {
    evaluate({"--data", "d", "--text", "/no/such/text", "--json", "/no/such/folder/e.json"});
    FAIL("nothing was refused");
  } catch (const InputError& error) {
    const std::string message = error.what();
    for (const char* part : {"--data and --text", "/no/such/text: there is no such file",
                             "/no/such/folder/e.json: is to be written into"}) {
      INFO(part);
      CHECK(contains(message, part));
    }
    CHECK_FALSE(contains(message, "no such run"));
  }
  // How a text is read is nothing without one.
  CHECK_THROWS_AS(evaluate({"--field", "body"}), CLI::RequiresError);
}

}  // namespace
}  // namespace zebra

#include "cli/shared_options.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;

namespace {

RunFileOptions parsed(std::vector<std::string> arguments) {
  CLI::App app;
  RunFileOptions options;
  options.add_to(app);
  std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
  app.parse(arguments);
  return options;
}

}  // namespace

TEST_CASE("Each --set takes one value and leaves the run files alone") {
  using Words = std::vector<std::string>;
  const RunFileOptions before = parsed({"--set", "a.b=1", "x.yaml", "y.yaml"});
  CHECK(before.files == Words{"x.yaml", "y.yaml"});
  CHECK(before.overrides == Words{"a.b=1"});
  const RunFileOptions mixed =
      parsed({"x.yaml", "--set", "a.b=[1, 2]", "y.yaml", "--set=c=-1", "--set", "d="});
  CHECK(mixed.files == Words{"x.yaml", "y.yaml"});
  CHECK(mixed.overrides == Words{"a.b=[1, 2]", "c=-1", "d="});
  CHECK(parsed({}).files.empty());
  CHECK_THROWS_AS(parsed({"x.yaml", "--set"}), CLI::ParseError);
}

TEST_CASE("A command without a run file says so") {
  CHECK_THROWS_AS(parsed({"--set", "a.b=1"}).load(), InputError);
  CHECK_THROWS_WITH(parsed({}).load(), Catch::Matchers::Contains("no run file was given"));
}

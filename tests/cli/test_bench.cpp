#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "cli/command_line.h"
#include "support/catch.h"
#include "support/command_line.h"

namespace zebra {
namespace {

void run_bench(std::vector<std::string> arguments) {
  CLI::App app;
  add_bench_command(app);
  arguments.insert(arguments.begin(), "bench");
  testing::printed_by(app, std::move(arguments));
}

std::string input_error(const std::vector<std::string>& arguments) {
  try {
    run_bench(arguments);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("bench: bad layouts and lengths are reported all at once") {
  const auto message =
      input_error({"--layouts", "full,mix:x,GLLLLLLL", "--lengths", "512,long", "--lengths=0"});
  INFO(message);
  for (const char* expected : {"\"mix:x\"", "\"GLLLLLLL\" has 8 letters for the model's 6 layers",
                               "\"long\" is no length", "\"0\" is no length"}) {
    CHECK(message.find(expected) != std::string::npos);
  }
}

TEST_CASE("bench: a file that could not be written is found out before the work") {
  const auto message = input_error({"--json", "no/such/folder/cost.json"});
  INFO(message);
  CHECK(message.find("no/such/folder/cost.json") != std::string::npos);
  CHECK(message.find("does not exist") != std::string::npos);
}

TEST_CASE("bench: the shape comes from --preset and --set, and a bad one is named") {
  // zebra-125m has 12 layers.
  CHECK(input_error({"--preset", "zebra-125m", "--layouts", "GGGGGGGGGGGGG"})
            .find("13 letters for the model's 12 layers") != std::string::npos);
  CHECK(input_error({"--set", "model.num_hidden_layers=2", "--layouts", "GGG"})
            .find("3 letters for the model's 2 layers") != std::string::npos);
  CHECK(input_error({"--set", "model.num_key_value_heads=3"}).find("model.num_key_value_heads") !=
        std::string::npos);
}

TEST_CASE("bench: words that the command line cannot mean are refused") {
  CHECK_THROWS_AS(run_bench({"--precision", "fp64"}), CLI::ParseError);
  CHECK_THROWS_AS(run_bench({"--preset", "no-such"}), CLI::ParseError);
  CHECK_THROWS_AS(run_bench({"--repeats", "2"}), CLI::ParseError);
  CHECK_THROWS_AS(run_bench({"--new-tokens", "1"}), CLI::ParseError);
  CHECK_THROWS_AS(run_bench({"run.yaml", "--preset", "zebra-125m"}), CLI::ParseError);
}

}  // namespace
}  // namespace zebra

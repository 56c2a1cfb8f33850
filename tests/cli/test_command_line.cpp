#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <functional>
#include <set>
#include <sstream>

#include "base/error.h"
#include "cli/shared_options.h"
#include "support/catch.h"

namespace zebra {
namespace {

using Catch::Matchers::Contains;
using Catch::Matchers::StartsWith;

struct Program {
  int status = 0;
  CLI::App app{"", "zebra"};

  Program() { add_commands(app, status); }
};

std::string refusal(const std::vector<std::string>& words) {
  Program program;
  try {
    parse_and_run(program.app, words);
  } catch (const InputError& error) {
    return error.what();
  }
  return "";
}

std::string help(const std::vector<std::string>& words) {
  Program program;
  std::ostringstream text;
  try {
    parse_and_run(program.app, words);
  } catch (const CLI::ParseError& error) {
    program.app.exit(error, text, text);
  }
  return text.str();
}

void for_each_option(
    CLI::App& command, std::vector<std::string> path,
    const std::function<void(const std::vector<std::string>&, CLI::Option&)>& visit) {
  for (CLI::Option* option : command.get_options()) visit(path, *option);
  for (CLI::App* inner : command.get_subcommands({})) {
    auto inner_path = path;
    inner_path.push_back(inner->get_name());
    for_each_option(*inner, inner_path, visit);
  }
}

TEST_CASE("no option takes a number that is none") {
  // Types of options as --help shows them; CLI11's own names for numbers are those of options that
  // bypass add_number, and of doubles there must be none.
  const std::set<std::string> numbers = {"N",     "W",        "T",         "P",      "STEP",
                                         "SHARE", "FRACTION", "GIGABYTES", "FACTOR", "N,N,…"};
  Program program;
  int seen = 0;
  for_each_option(program.app, {}, [&](const auto& path, CLI::Option& option) {
    INFO(option.get_name());
    CHECK(option.get_type_name().find("FLOAT") == std::string::npos);
    if (!numbers.contains(option.get_type_name()) || option.get_lnames().empty()) return;
    if (option.get_name() == "--lengths" && path.front() == "bench") return;  // reads its own
    if (option.get_name() == "--holdout-seed" || option.get_name() == "--seed") return;
    ++seen;
    for (const char* text : {"nan", "inf", "-inf", "1e999", "many", ""}) {
      auto words = path;
      words.insert(words.end(), {"--" + option.get_lnames().front(), text});
      INFO(text);
      Program fresh;
      try {
        parse_and_run(fresh.app, words);
        FAIL("accepted");
      } catch (const CLI::ValidationError&) {
      } catch (const CLI::ParseError& error) {  // an empty word may be no argument at all
        CHECK(std::string(text).empty());
      }
    }
  });
  CHECK(seen > 30);
}

TEST_CASE("numbers are read as in run files, and held to their ranges") {
  CLI::App app;
  std::int64_t count = 7;
  double share = 0.5;
  std::vector<std::int64_t> lengths;
  add_number(app, "--count", &count, at_least(1), "");
  add_number(app, "--share", &share, above(0).at_most(1), "");
  add_number(app, "--lengths", &lengths, at_least(1), "");
  app.parse("--count 1e6 --share 1 --lengths 5,6e1");
  CHECK(count == 1000000);
  CHECK(share == 1.0);
  CHECK(lengths == std::vector<std::int64_t>{5, 60});
  CHECK_THROWS_WITH(app.parse("--count 0"), Contains("must be at least 1, not 0"));
  CHECK_THROWS_WITH(app.parse("--share 1.5"), Contains("1.5"));
  CHECK_THROWS_WITH(app.parse("--lengths 5,0"), Contains("must be at least 1, not 0"));
  CHECK_THROWS_WITH(app.parse("--count 2.5"), Contains("\"2.5\" is not an integer"));
}

TEST_CASE("--help prints the defaults of numbers and of lists") {
  CHECK_THAT(help({"generate", "--help"}), Contains("--temperature T=0.8"));
  CHECK_THAT(help({"recall", "--help"}), Contains("[associative_recall,passkey,"));
  const std::string bench = help({"bench", "--help"});
  CHECK_THAT(bench, Contains("[full,mix:4,local]"));
  CHECK_THAT(bench, Contains("[1024,2048,4096,8192]"));
  CHECK(list_default({"a", "b"}) == "[a,b]");
  CHECK(list_default({}) == "[]");
}

TEST_CASE("a word that is no subcommand or option is answered with the nearest one") {
  CHECK(refusal({"trian", "run.yaml"}) ==
        "zebra: there is no subcommand trian; did you mean train? (`zebra --help` lists them)");
  CHECK_THAT(refusal({"checkpoint", "lst", "x"}),
             StartsWith("zebra checkpoint: there is no subcommand lst; did you mean list?"));
  CHECK_THAT(refusal({"train", "--stop-aftr=3", "run.yaml"}),
             StartsWith("zebra train: there is no option --stop-aftr; did you mean --stop-after?"));
  CHECK_THAT(refusal({"generate", "x", "--prompt", "a", "--max-tokens", "3"}),
             StartsWith("zebra generate: there is no option --max-tokens"));
  CHECK_THAT(refusal({"xyzzy"}), StartsWith("zebra: there is no subcommand xyzzy (`zebra"));
}

TEST_CASE("zebra help is --help") {
  CHECK(help({"help"}) == help({"--help"}));
  CHECK(help({"help", "checkpoint", "fork"}) == help({"checkpoint", "fork", "--help"}));
}

TEST_CASE("paths among the arguments may begin in the home folder, other texts are left alone") {
  ::setenv("HOME", "/home/of/mine", 1);
  CHECK_THAT(refusal({"train", "~/run.yaml"}), StartsWith("/home/of/mine/run.yaml: "));
  CHECK_THAT(refusal({"eval", "~/run@40"}), StartsWith("/home/of/mine/run: "));
  CHECK_THAT(refusal({"checkpoint", "list", "~/run"}), Contains("/home/of/mine/run"));
  CHECK_THAT(refusal({"eval", "x", "--json=~/no/such/e.json"}), Contains("/home/of/mine/no/such"));
  CHECK_THAT(refusal({"generate", "~x", "--prompt", "~/y"}), StartsWith("~x: "));
}

TEST_CASE("what is printed steers no terminal") {
  std::ostringstream out;
  {
    const PrintableOutput output(out);
    out << "a\x1b[2J" << '\x07' << "b\n\tc";
    out << '\xc2' << '\x9b' << "d" << '\xc2' << '\xa9';
    out << std::flush;
  }
  CHECK(out.str() == "a\\x1b[2J\\x07b\n\tc\\x9bd\xc2\xa9");
  out << "\x1b";  // as before
  CHECK(out.str().back() == '\x1b');
}

TEST_CASE("the text of a model goes to files and pipes as it is") {
  std::ostringstream out;
  const PrintableOutput output(out);
  {
    const RawOutput raw(out);
    out << "form\ffeed";
  }
  out << "\f";
  CHECK(out.str() == "form\ffeed\\x0c");
}

}  // namespace
}  // namespace zebra

#include "ablation/map_reader.h"

#include "base/error.h"
#include "config/config.h"
#include "config/read_yaml.h"
#include "support/catch.h"

using namespace zebra;

namespace {

/// What `read` reports about the map written as `yaml`, or "accepted".
template <class Read>
std::string refusal(const std::string& yaml, const Read& read) {
  const Value map = parse_yaml(yaml, "s.yaml");
  Report report({"s.yaml"});
  MapReader reader(map, "", report);
  read(reader);
  try {
    report.throw_if_any();
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

template <class T>
std::string refusal_as(T& out, const std::string& value) {
  return refusal("k: " + value, [&](MapReader& reader) { reader.read("k", out); });
}

}  // namespace

TEST_CASE("Typed keys are read") {
  std::int64_t integer = 1;
  double number = 1.0;
  bool flag = false;
  std::string text;
  std::vector<std::int64_t> integers;
  std::vector<std::string> texts;
  Precision precision = Precision::fp32;
  std::vector<Precision> precisions;
  CHECK(refusal("i: 2e4\nn: 0.75\nb: true\nt: some text\nl: [3, 1]\ns: alone\np: bf16\nq: [bf16, "
                "fp32]\n",
                [&](MapReader& reader) {
                  reader.read("i", integer);
                  reader.read("n", number, from_to_below(0, 1));
                  reader.read("b", flag);
                  reader.read("t", text);
                  reader.read("l", integers, at_least(1));
                  reader.read("s", texts);
                  reader.read("p", precision);
                  reader.read("q", precisions);
                  reader.refuse_others();
                }) == "accepted");
  CHECK(integer == 20000);
  CHECK(number == 0.75);
  CHECK(flag);
  CHECK(text == "some text");
  CHECK(integers == std::vector<std::int64_t>{3, 1});
  CHECK(texts == std::vector<std::string>{"alone"});
  CHECK(precision == Precision::bf16);
  CHECK(precisions == std::vector<Precision>{Precision::bf16, Precision::fp32});
}

TEST_CASE("An absent key and a bad one leave the variable as it is") {
  std::int64_t integer = 17;
  CHECK(refusal("other: 1", [&](MapReader& reader) { reader.read("k", integer); }) == "accepted");
  CHECK(refusal_as(integer, "2.5") == "s.yaml:1: k: \"2.5\" is not an integer");
  CHECK(refusal_as(integer, "9e99") == "s.yaml:1: k: \"9e99\" is not an integer");
  CHECK(refusal_as(integer, "x") == "s.yaml:1: k: \"x\" is not a number");
  CHECK(refusal_as(integer, "nan") == "s.yaml:1: k: \"nan\" is not a number");
  CHECK(refusal_as(integer, "[1]") == "s.yaml:1: k: must be a single value");
  CHECK(refusal_as(integer, "") == "s.yaml:1: k: has no value; give one, or remove the key");
  CHECK(integer == 17);

  std::vector<std::int64_t> integers{5};
  const auto refusal_of_list = [&](const std::string& value) {
    return refusal("k: " + value,
                   [&](MapReader& reader) { reader.read("k", integers, at_least(1)); });
  };
  CHECK(refusal_of_list("[3, 0]") == "s.yaml:1: k: must be at least 1, not 0");
  CHECK(refusal_of_list("[]") == "s.yaml:1: k: must be a list with at least one value");
  CHECK(refusal_of_list("4") == "s.yaml:1: k: must be a list with at least one value");
  CHECK(integers == std::vector<std::int64_t>{5});

  bool flag = true;
  CHECK(refusal_as(flag, "yes") == "s.yaml:1: k: \"yes\" is not true or false");
  CHECK(flag);
  Precision precision = Precision::bf16;
  CHECK(refusal_as(precision, "fp23") ==
        "s.yaml:1: k: \"fp23\" is not one of fp32, bf16; did you mean fp32?");
  CHECK(precision == Precision::bf16);
  std::string text = "before";
  CHECK(refusal_as(text, "'${ZEBRA_TEST_UNSET}'").find("ZEBRA_TEST_UNSET is not set") !=
        std::string::npos);
  CHECK(text == "before");
}

TEST_CASE("Unknown and missing keys are named") {
  const auto read = [](MapReader& reader) {
    std::int64_t value = 0;
    reader.require("items", "how many");
    reader.read("items", value);
    reader.read("seed", value);
    reader.refuse_others();
  };
  CHECK(refusal("seed: 1\nitem: 2\nx-anchor: 3\n", read) ==
        "s.yaml: items: missing; give how many\n"
        "s.yaml:2: item: unknown key; did you mean items?");
  CHECK(refusal("items: 1\nqqqqqqq: 2\n", read) ==
        "s.yaml:2: qqqqqqq: unknown key; known are items, seed");
}

TEST_CASE("A section is read with its prefix") {
  std::int64_t value = 0;
  const auto read = [&](MapReader& reader) {
    MapReader inner = reader.section("inner");
    inner.read("k", value, at_least(2));
    inner.refuse_others();
  };
  CHECK(refusal("inner:\n  k: 1\n  x-k: 3\n", read) ==
        "s.yaml:2: inner.k: must be at least 2, not 1\n"
        "s.yaml:3: inner.x-k: unknown key; did you mean k?");
  CHECK(refusal("inner: 3\n", read) == "s.yaml:1: inner: must be a map of keys");
  CHECK(refusal("inner: {k: 5}\n", read) == "accepted");
  CHECK(value == 5);
}

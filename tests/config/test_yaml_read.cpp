#include "config/yaml.h"

#include "base/error.h"
#include "support/catch.h"

using namespace zebra;
using Catch::Matchers::Contains;

namespace {

std::string refusal(const std::string& yaml) {
  try {
    parse_yaml(yaml, "run.yaml");
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

std::string refusal_of_override(const std::string& text) {
  try {
    parse_override(text);
  } catch (const InputError& error) {
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("Every key and list item knows its line") {
  const Value root =
      parse_yaml("a:\n  b: 1\n  c:\n    - 2\n    - {d: 3}\ne: {f: 4,\n    g: 5}\n", "x.yaml");
  const Value& a = root.find("a")->value;
  CHECK(root.find("a")->origin.text() == "x.yaml:1");
  CHECK(a.find("b")->origin.text() == "x.yaml:2");
  const Value& c = a.find("c")->value;
  REQUIRE(c.kind == Value::Kind::list);
  REQUIRE(c.items.size() == 2);
  CHECK(c.items[0].origin.text() == "x.yaml:4");
  CHECK(c.items[1].find("d")->origin.text() == "x.yaml:5");
  CHECK(root.find("e")->value.find("f")->origin.line == 6);
  CHECK(root.find("e")->value.find("g")->origin.line == 7);
}

TEST_CASE("Quotes tell text from nothing") {
  const Value root = parse_yaml("a: null\nb: 'null'\nc: ~\nd:\ne: \"\"\n", "x");
  CHECK(root.find("a")->value.kind == Value::Kind::null);
  CHECK(root.find("b")->value.kind == Value::Kind::scalar);
  CHECK(root.find("b")->value.scalar == "null");
  CHECK(root.find("c")->value.kind == Value::Kind::null);
  CHECK(root.find("d")->value.kind == Value::Kind::null);
  CHECK(root.find("e")->value.kind == Value::Kind::scalar);
}

TEST_CASE("An empty file is an empty map") {
  CHECK(parse_yaml("", "x").kind == Value::Kind::map);
  CHECK(parse_yaml("# nothing but a comment\n", "x").entries.empty());
}

TEST_CASE("Aliases copy what their anchors name") {
  const Value root =
      parse_yaml("x-a: &a {p: 1, q: [2, 3]}\nb: *a\nc: &word hello\nd: [*word, *a]\n", "x");
  CHECK(root.find("b")->value.find("p")->value.scalar == "1");
  CHECK(root.find("b")->value.find("q")->value.items.size() == 2);
  CHECK(root.find("d")->value.items[0].scalar == "hello");
  CHECK(root.find("d")->value.items[0].origin.line == 4);
  CHECK(root.find("d")->value.items[1].find("p")->value.scalar == "1");
}

TEST_CASE("Merge keys fill in what a map does not say") {
  const Value root = parse_yaml(
      "x-a: &a {p: 1, q: 2}\nx-b: &b {q: 3, r: 4}\n"
      "one: {q: 9, <<: *a}\ntwo: {<<: [*a, *b], s: 5}\nthree: {<<: {p: 7}}\nfour: {'<<': 1}\n",
      "x");
  const Value& one = root.find("one")->value;
  CHECK(one.entries.size() == 2);
  CHECK(one.find("q")->value.scalar == "9");
  CHECK(one.find("p")->value.scalar == "1");
  CHECK(one.find("p")->origin.line == 1);
  const Value& two = root.find("two")->value;
  CHECK(two.entries.size() == 4);
  CHECK(two.find("q")->value.scalar == "2");
  CHECK(two.find("r")->value.scalar == "4");
  CHECK(two.find("s")->value.scalar == "5");
  CHECK(root.find("three")->value.find("p")->value.scalar == "7");
  CHECK(root.find("four")->value.find("<<") != nullptr);
}

TEST_CASE("Merging something that is no map is refused") {
  CHECK(refusal("a: {\n<<: 3}\n") == "run.yaml:2: <<: must be a map or a list of maps");
  CHECK_THAT(refusal("a: {<<: [[1]]}\n"), Contains("<<: must be a map or a list of maps"));
}

TEST_CASE("Keys given twice are refused, all at once, with both lines") {
  CHECK(refusal("a:\n  b: 1\n  c: 2\n  b: 3\nd: 1\nd: 2\n") ==
        "run.yaml:4: a.b: given twice, first on line 2; keep one of them\n"
        "run.yaml:6: d: given twice, first on line 5; keep one of them");
  CHECK_THAT(refusal("x: &x {p: 1}\ny: {<<: *x, <<: *x}\n"),
             Contains("run.yaml:2: y.<<: given twice"));
}

TEST_CASE("Invalid YAML names the file and the line") {
  CHECK_THAT(refusal("a: 1\nb: [1, 2\nc: 3\n"), Contains("run.yaml:3: not valid YAML: "));
  CHECK_THAT(refusal("a: 1\nb: *nowhere\n"), Contains("run.yaml:2: not valid YAML: "));
  CHECK_THAT(refusal("a: 1\n  b: 2\n"), Contains("run.yaml:2: not valid YAML: "));
  CHECK_THAT(refusal(std::string(5000, '[')), Contains("not valid YAML"));
}

TEST_CASE("What is no plain map of keys is refused") {
  CHECK_THAT(refusal("- 1\n- 2\n"), Contains("run.yaml:1: a run file is a map of sections"));
  CHECK_THAT(refusal("hello\n"), Contains("run.yaml:1: a run file is a map of sections"));
  CHECK_THAT(refusal("a: 1\n---\nb: 2\n"), Contains("run.yaml: holds more than one YAML document"));
  CHECK_THAT(refusal("[a]: 1\n"), Contains("run.yaml:1: a key must be plain text"));
  CHECK_THAT(refusal("~: 1\n"), Contains("run.yaml:1: a key is missing before ':'"));
  CHECK_THAT(refusal("a: &x\n  b: *x\n"),
             Contains("run.yaml:2: an alias refers to the value that it stands in"));
}

TEST_CASE("Aliases that multiply are refused before they take memory") {
  std::string text = "x-0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]\n";
  for (int level = 1; level <= 7; ++level) {
    const std::string inner = "*a" + std::to_string(level - 1);
    text += "x-" + std::to_string(level) + ": &a" + std::to_string(level) + " [" + inner;
    for (int i = 1; i < 9; ++i) text += ", " + inner;
    text += "]\n";
  }
  CHECK_THAT(refusal(text), Contains("run.yaml:6: the file stands for more than 100,000 values"));
}

TEST_CASE("Keys that hold anchors are left out, however many there are") {
  std::string text = "a: {b: 1}\n";
  for (int i = 0; i < 50000; ++i) text += "x-" + std::to_string(i) + ": 1\n";
  const Value root = parse_yaml(text, "run.yaml");
  REQUIRE(root.entries.size() == 1);
  CHECK(root.entries[0].key == "a");
  CHECK_THAT(refusal(text + "x-7: 2\n"), Contains("x-7: given twice, first on line 9"));
}

TEST_CASE("An override is a path with a YAML value") {
  const Value root = parse_override("a.b.c=[1, {d: x=y}]");
  REQUIRE(root.entries.size() == 1);
  const Value& c = root.find("a")->value.find("b")->value.find("c")->value;
  REQUIRE(c.items.size() == 2);
  CHECK(c.items[1].find("d")->value.scalar == "x=y");
  CHECK(c.items[1].find("d")->origin.text() == "--set a.b.c=[1, {d: x=y}]");
  CHECK(parse_override("a=").find("a")->value.kind == Value::Kind::null);
}

TEST_CASE("A malformed override is refused by its text") {
  CHECK(refusal_of_override("train.lr") ==
        "--set train.lr: has no value; write --set section.key=value");
  for (const std::string text : {"=3", ".a=3", "a..b=3", "a.=3", ".=3"}) {
    CHECK_THAT(refusal_of_override(text), Contains("--set " + text + ": names no key"));
  }
  CHECK_THAT(refusal_of_override("a.b=[1"), Contains("--set a.b=[1: not valid YAML: "));
  CHECK_THAT(refusal_of_override("a.b={c: 1, c: 2}"),
             Contains("--set a.b={c: 1, c: 2}: c: given twice"));
}

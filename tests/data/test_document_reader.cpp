#include "data/document_reader.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "data_support.h"
#include "support/catch.h"

using namespace zebra;
using namespace zebra::test;

TEST_CASE("Well-formed UTF-8 is told from what only looks like it", "[data][utf8]") {
  const std::string ascii(37, 'a');
  for (const std::string good : {"", "a", "é", "日", "🦓", "\xED\x9F\xBF", "\xEE\x80\x80",
                                 "\xF4\x8F\xBF\xBF", "\xF0\x90\x80\x80", "\xE0\xA0\x80"}) {
    CHECK(is_valid_utf8(good));
    CHECK(is_valid_utf8(ascii + good + ascii));
  }
  CHECK(is_valid_utf8(std::string(3, '\0')));
  for (const std::string bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3", "\xE6\x97", "\xF0\x9F\xA6"}) {
    CHECK_FALSE(is_valid_utf8(bad));
    CHECK_FALSE(is_valid_utf8(ascii + bad));
    CHECK_FALSE(is_valid_utf8(bad + ascii));
  }
}

TEST_CASE("A cut is moved back to the start of a character", "[data][utf8]") {
  const std::string text = "aé日🦓b";  // characters begin at 0, 1, 3, 6, 10
  const std::size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
  for (std::size_t position = 0; position <= text.size(); ++position) {
    CHECK(character_boundary(text, position) == expected[position]);
  }
  const std::string broken = "\x80\x80\x80\x80\x80\x80";
  CHECK(character_boundary(broken, 5) == 5);
}

namespace {

JsonDocument document(const std::string& line, const std::string& field = "text") {
  auto parsed = parse_json_line(line, field);
  REQUIRE(std::holds_alternative<JsonDocument>(parsed));
  return std::get<JsonDocument>(parsed);
}

std::string problem(const std::string& line, const std::string& field = "text") {
  auto parsed = parse_json_line(line, field);
  REQUIRE(std::holds_alternative<JsonLineProblem>(parsed));
  return std::get<JsonLineProblem>(parsed).reason;
}

}  // namespace

TEST_CASE("A line of JSONL is the text of its field", "[data][jsonl]") {
  CHECK(document(R"({"id": 7, "text": "a\n\u00e9\u0000\ud83e\udd93", "meta": {"text": 1}})").text ==
        std::string("a\né\0🦓", 9));
  CHECK_FALSE(document(R"({"text": "a"})").prompt.has_value());
  CHECK(document(R"({"text": "a", "body": "b"})", "body").text == "b");
  CHECK(document(R"({"text": ""})").text.empty());
}

TEST_CASE("A prompt and completion pair stands in for a missing field", "[data][jsonl]") {
  const auto pair = document(R"({"prompt": "2+2=", "completion": "4"})");
  CHECK(pair.prompt == "2+2=");
  CHECK(pair.text == "4");
  const auto text = document(R"({"prompt": "2+2=", "completion": "4", "text": "all"})");
  CHECK_FALSE(text.prompt.has_value());
  CHECK(text.text == "all");
}

TEST_CASE("What is no document is explained", "[data][jsonl]") {
  CHECK(contains(problem(R"({"text": "a)"), "not valid JSON"));
  CHECK(contains(problem("{\"text\": \"\xFF\"}"), "not valid JSON"));
  CHECK(contains(problem(R"({"text": "a"} {"text": "b"})"), "not valid JSON"));
  CHECK(contains(problem("[1, 2]"), "not an object"));
  CHECK(contains(problem(R"({"body": "a", "id": 3})"), R"("body", "id")"));
  CHECK(contains(problem(R"({"body": "a"})"), "--field"));
  CHECK(contains(problem("{}"), "no field at all"));
  CHECK(contains(problem(R"({"text": 3})"), "\"text\" that is not a string"));
  CHECK(contains(problem(R"({"text": null})"), "not a string"));
  CHECK(contains(problem(R"({"prompt": "a"})"), "neither"));
  CHECK(contains(problem(R"({"prompt": "a", "completion": 4})"), "not a string"));
}

namespace {

struct Part {
  std::string text;
  bool counts_as_target;
  bool operator==(const Part&) const = default;
};

/// A document: its parts, neighbours of one kind being joined.
using Document = std::vector<Part>;

std::vector<Document> documents(DocumentReader& reader) {
  std::vector<Document> result;
  bool inside = false;
  while (const auto segment = reader.next()) {
    CHECK(segment->begins_document == !inside);
    if (segment->begins_document) result.emplace_back();
    auto& parts = result.back();
    if (!parts.empty() && parts.back().counts_as_target == segment->counts_as_target) {
      parts.back().text += segment->text;
    } else {
      parts.push_back({segment->text, segment->counts_as_target});
    }
    inside = !segment->ends_document;
  }
  CHECK_FALSE(inside);
  return result;
}

std::vector<Document> documents(const DocumentReaderOptions& options) {
  DocumentReader reader(options);
  return documents(reader);
}

std::vector<std::string> segments(const std::string& path, SegmentBytes bytes) {
  DocumentReader reader({.inputs = {path}, .segment_bytes = bytes});
  std::vector<std::string> result;
  while (const auto segment = reader.next()) result.push_back(segment->text);
  return result;
}

Document text(const std::string& content) { return {{content, true}}; }

}  // namespace

TEST_CASE("A text file is a document, a line of JSONL is one", "[data][reader]") {
  const TempFolder folder;
  const auto plain = folder.write("in/a.txt", "one\ntwo\n");
  folder.write("in/b.jsonl", "{\"text\": \"x\"}\n\n  \r\n{\"text\": \"y\"}\r\n{\"text\": \"z\"}");
  folder.write("in/c.json.gz", gzip("{\"text\": \"in gzip\"}\n"));
  folder.write("in/d.ndjson.zst", zstandard("{\"text\": \"in Zstandard\"}\n"));
  folder.write("in/e.json", "{\"text\": 1}");
  folder.write("in/f.txt.gz", gzip("compressed text"));
  CHECK(documents({.inputs = {(folder / "in").string()}}) ==
        std::vector<Document>{text("one\ntwo\n"), text("x"), text("y"), text("z"), text("in gzip"),
                              text("in Zstandard"), text("{\"text\": 1}"),
                              text("compressed text")});
  CHECK(documents({.inputs = {(folder / "in/b.jsonl").string()}, .format = InputFormat::text})
            .size() == 1);
  const auto odd_name = folder.write("list", "{\"body\": \"x\"}\n");
  CHECK(documents({.inputs = {odd_name}, .format = InputFormat::jsonl, .field = "body"}) ==
        std::vector<Document>{text("x")});
}

TEST_CASE("Pairs mark what counts as a target", "[data][reader]") {
  const TempFolder folder;
  const auto file = folder.write("pairs.jsonl",
                                 "{\"prompt\": \"p\", \"completion\": \"c\"}\n"
                                 "{\"prompt\": \"\", \"completion\": \"only\"}\n"
                                 "{\"prompt\": \"only\", \"completion\": \"\"}\n"
                                 "{\"prompt\": \"\", \"completion\": \"\"}\n{\"text\": \"t\"}\n");
  DocumentReader reader({.inputs = {file}});
  CHECK(documents(reader) == std::vector<Document>{{{"p", false}, {"c", true}},
                                                   {{"", false}, {"only", true}},
                                                   {{"only", false}, {"", true}},
                                                   text("t")});
  CHECK(reader.skipped().empty_documents == 1);
}

TEST_CASE("Long texts are cut at newlines and lose nothing", "[data][reader]") {
  const TempFolder folder;
  const std::string content = code_like_text(3, 60000);
  REQUIRE(content.size() > 1'500'000);
  const auto plain = folder.write("long.txt", content);
  const auto cut = segments(plain, {});
  REQUIRE(cut.size() > 3);
  std::string joined;
  for (const auto& segment : cut) {
    joined += segment;
    CHECK(segment.ends_with('\n'));
    CHECK(segment.size() <= SegmentBytes{}.preferred);
  }
  CHECK(joined == content);
  CHECK(segments(folder.write("long.gz", gzip(content)), {}) == cut);
  CHECK(documents({.inputs = {plain}, .segment_bytes = {100, 200}}) ==
        std::vector<Document>{text(content)});
}

TEST_CASE("Places of cuts", "[data][reader]") {
  const TempFolder folder;
  const SegmentBytes bytes{8, 16};
  const auto cut = [&](const std::string& content) {
    return segments(folder.write("t", content), bytes);
  };
  using Strings = std::vector<std::string>;
  CHECK(cut("1234567\n") == Strings{"1234567\n"});
  CHECK(cut("1234567\n9") == Strings{"1234567\n", "9"});
  CHECK(cut("a\nb\n5678901\n") == Strings{"a\nb\n", "5678901\n"});
  CHECK(cut("12345678901\nb") == Strings{"12345678901\n", "b"});
  CHECK(cut("1234567890123456") == Strings{"1234567890123456"});
  CHECK(cut("12345678901234567\n") == Strings{"1234567890123456", "7\n"});
  CHECK(cut("123456789012345é78") == Strings{"123456789012345", "é78"});
  CHECK(cut("\n\n\n\n\n\n\n\n\n\n") == Strings{"\n\n\n\n\n\n\n\n", "\n\n"});
}

TEST_CASE("A line longer than any segment keeps its characters whole", "[data][reader]") {
  const TempFolder folder;
  std::string line;
  while (line.size() < 2'500'000) line += "日本é🦓";
  const auto cut = segments(folder.write("line", line), {});
  REQUIRE(cut.size() >= 3);
  for (const auto& segment : cut) CHECK(is_valid_utf8(segment));
  CHECK(documents({.inputs = {(folder / "line").string()}}) == std::vector<Document>{text(line)});
}

TEST_CASE("Long JSONL texts are cut as well, pairs included", "[data][reader]") {
  const TempFolder folder;
  const auto file = folder.write(
      "l.jsonl", R"({"prompt": "a\nb\nc\nd\ne\n", "completion": "1234567890123456789\n"})");
  const DocumentReaderOptions options{.inputs = {file}, .segment_bytes = {4, 16}};
  DocumentReader reader(options);
  std::vector<std::string> cut;
  while (const auto segment = reader.next()) {
    CHECK(segment->begins_document == cut.empty());
    CHECK(segment->counts_as_target == (cut.size() >= 3));
    CHECK(segment->ends_document == (segment->text == "789\n"));
    cut.push_back(segment->text);
  }
  CHECK(cut == std::vector<std::string>{"a\nb\n", "c\nd\n", "e\n", "1234567890123456", "789\n"});
}

TEST_CASE("Bad lines are told with file and line, or counted", "[data][reader]") {
  const TempFolder folder;
  const auto file = folder.write(
      "bad.jsonl", "{\"text\": \"a\"}\n\nnot json\n{\"text\": 5}\n{\"text\": \"b\"}\n{\"text\"");
  const auto message = message_of<InputError>([&] { documents({.inputs = {file}}); });
  CHECK(contains(message, file + ":3: "));
  CHECK(contains(message, "--skip-bad-lines"));
  DocumentReader reader({.inputs = {file}, .skip_bad_lines = true});
  CHECK(documents(reader) == std::vector<Document>{text("a"), text("b")});
  CHECK(reader.skipped().bad_lines == 3);
}

TEST_CASE("Binary files are left out of folders only, empty documents everywhere",
          "[data][reader]") {
  const TempFolder folder;
  const auto binary = folder.write("in/b.bin", std::string("ELF\0\1", 5));
  folder.write("in/a.txt", "text");
  folder.write("in/c.txt", "");
  folder.write("in/d.txt", "");
  DocumentReader reader({.inputs = {(folder / "in").string()}});
  CHECK(documents(reader) == std::vector<Document>{text("text")});
  CHECK(reader.skipped().binary_files == 1);
  CHECK(reader.skipped().empty_documents == 2);
  CHECK(reader.bytes_total() == 9);
  CHECK(reader.bytes_read() == 9);
  CHECK(documents({.inputs = {binary}}) == std::vector<Document>{text(std::string("ELF\0\1", 5))});
}

TEST_CASE("Files below links to folders are left out and counted", "[data][reader]") {
  const TempFolder folder, elsewhere;
  folder.write("in/a.txt", "text");
  elsewhere.write("b.txt", "one");
  elsewhere.write("deep/c.txt", "two");
  elsewhere.write("deep/.hidden", "three");
  std::filesystem::create_directory_symlink(elsewhere.path(), folder / "in/link");
  std::filesystem::create_directory_symlink("..", folder / "in/round");  // in a circle
  DocumentReader reader({.inputs = {(folder / "in").string()}});
  CHECK(documents(reader) == std::vector<Document>{text("text")});
  CHECK(reader.skipped().files_below_links == 2 + 1);
}

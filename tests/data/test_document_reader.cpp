#include "data/document_reader.h"

#include <unistd.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "data/utf8.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

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
  CHECK(contains(message_of<InputError>([&] { documents({.inputs = {binary}}); }),
                 binary + ": is no plain text: byte 3 is 0"));
  CHECK(documents({.inputs = {binary}, .format = InputFormat::text}) ==
        std::vector<Document>{text(std::string("ELF\0\1", 5))});
}

TEST_CASE("Named files that are known not to be text are refused, those in folders left out",
          "[data][reader]") {
  const TempFolder folder;
  const auto parquet = folder.write("in/a.parquet", "PAR1\x15 and so on PAR1");
  folder.write("in/b.txt", "text");
  DocumentReader reader({.inputs = {(folder / "in").string()}});
  CHECK(documents(reader) == std::vector<Document>{text("text")});
  CHECK(reader.skipped().binary_files == 1);
  for (const auto format : {InputFormat::automatic, InputFormat::text}) {
    const auto message =
        message_of<InputError>([&] { documents({.inputs = {parquet}, .format = format}); });
    CHECK(contains(message, parquet + ": is a Parquet file"));
  }
  CHECK(contains(message_of<InputError>([&] {
                   documents({.inputs = {folder.write(
                                  "tar.gz", gzip(std::string(257, 'a') + "ustar" + "x"))}});
                 }),
                 "tar archive"));
}

TEST_CASE("A byte order mark is no part of a text", "[data][reader]") {
  const TempFolder folder;
  const std::string mark = "\xEF\xBB\xBF";
  CHECK(documents({.inputs = {folder.write("a.txt", mark + "one" + mark)}}) ==
        std::vector<Document>{text("one" + mark)});
  CHECK(documents({.inputs = {folder.write("b", mark + "{\"text\": \"x\"}\n{\"text\": \"y\"}")}}) ==
        std::vector<Document>{text("x"), text("y")});
  CHECK(documents({.inputs = {folder.write("c.jsonl.gz", gzip(mark + "{\"text\": \"x\"}"))}}) ==
        std::vector<Document>{text("x")});
}

TEST_CASE("An array of documents is read as lines are", "[data][reader]") {
  const TempFolder folder;
  const std::string array =
      " [\n{\"text\": \"x\",\n \"id\": [1, 2]},\n{\"prompt\": \"p\", \"completion\": \"y\"} ]\n";
  const std::vector<Document> both = documents(
      {.inputs = {folder.write(
           "lines.jsonl", "{\"text\": \"x\"}\n{\"prompt\": \"p\", \"completion\": \"y\"}\n")}});
  REQUIRE(both.size() == 2);
  for (const std::string name : {"in/a.json", "in/b.txt", "in/c", "in/d.jsonl"}) {
    const auto file = folder.write(name, array);
    CHECK(documents({.inputs = {file}}) == both);
    CHECK(documents({.inputs = {file}, .format = InputFormat::jsonl}) == both);
    CHECK(documents({.inputs = {(folder / "in").string()}}) == both);
    CHECK(documents({.inputs = {file}, .format = InputFormat::text}) ==
          std::vector<Document>{text(array)});
    std::filesystem::remove(file);
  }
  CHECK(documents({.inputs = {folder.write("a.json.gz", gzip("\xEF\xBB\xBF" + array))}}) == both);
  CHECK(documents({.inputs = {folder.write("empty.json", "[ ]\n")}}).empty());
  const auto bad = folder.write("bad.json", "[{\"text\": \"x\"},\n 7, {\"text\": null},\n\n{]");
  CHECK(contains(message_of<InputError>([&] { documents({.inputs = {bad}}); }),
                 bad + ":2: the element of the array that begins here is valid JSON, but not"));
  const auto mixed = folder.write("mixed.json", "[{\"text\": \"x\"}, 7, {\"text\": null}]");
  DocumentReader reader({.inputs = {mixed}, .skip_bad_lines = true});
  CHECK(documents(reader) == std::vector<Document>{text("x")});
  CHECK(reader.skipped().bad_lines == 2);
  CHECK(contains(message_of<InputError>([&] {
                   documents({.inputs = {folder.write("b.json", "[{\"body\": \"x\"}]")}});
                 }),
                 "its first element has neither the field \"text\""));
}

TEST_CASE("Brackets alone are text, or no JSON of documents", "[data][reader]") {
  const TempFolder folder;
  const std::string deep(300'000, '[');
  CHECK(documents({.inputs = {folder.write("deep.txt", deep)}}).size() == 1);
  CHECK(contains(
      message_of<InputError>([&] { documents({.inputs = {folder.write("deep.json", deep)}}); }),
      "is JSON, but neither"));
}

TEST_CASE("JSONL is known by its first line, whatever its name", "[data][reader]") {
  const TempFolder folder;
  const std::string lines = "\n{\"text\": \"x\"}\n{\"text\": \"y\"}\n";
  const std::string pretty = "{\n  \"name\": \"pack\"\n}\n", array = "[\n {\"name\": \"x\"}]";
  const std::vector<Document> both = {text("x"), text("y")};
  for (const std::string name : {"in/a.json", "in/b.txt", "in/c"}) {
    const auto file = folder.write(name, lines);
    CHECK(documents({.inputs = {file}}) == both);
    CHECK(documents({.inputs = {(folder / "in").string()}}) == both);
    std::filesystem::remove(file);
  }
  CHECK(documents({.inputs = {folder.write(
                       "long.json", "{\"text\": \"" + std::string(300'000, 'x') + "\"}")}}) ==
        std::vector<Document>{text(std::string(300'000, 'x'))});
  // In a folder of source code JSON is text like all else; who names it means something by it.
  for (const auto& content : {pretty, array}) {
    const auto file = folder.write("code/package.json", content);
    CHECK(documents({.inputs = {(folder / "code").string()}}) ==
          std::vector<Document>{text(content)});
    CHECK(documents({.inputs = {file}, .format = InputFormat::text}).size() == 1);
    const auto message = message_of<InputError>([&] { documents({.inputs = {file}}); });
    CHECK(contains(message, file + ": is JSON, but neither one document a line nor an array"));
    CHECK(contains(message, "--format text"));
  }
  CHECK(documents({.inputs = {folder.write("list.txt", "[1] a reference\n")}}).size() == 1);
}

TEST_CASE("A pipe is read like standard input", "[data][reader]") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const std::string lines = "{\"text\": \"x\"}\n{\"text\": \"y\"}\n";
  REQUIRE(::write(ends[1], lines.data(), lines.size()) == static_cast<ssize_t>(lines.size()));
  ::close(ends[1]);
  DocumentReader reader({.inputs = {"/dev/fd/" + std::to_string(ends[0])}});
  CHECK(reader.bytes_total() == 0);
  CHECK(documents(reader) == std::vector<Document>{text("x"), text("y")});
  ::close(ends[0]);
  CHECK(contains(message_of<InputError>([] { documents({.inputs = {"/dev/zero"}}); }),
                 "/dev/zero: is no plain text"));
}

TEST_CASE("Lines of JSONL are bounded", "[data][reader]") {
  const TempFolder folder;
  const std::string huge = "{\"text\": \"" + std::string(1'000'000, 'x') + "\"}\n";
  const auto file =
      folder.write("a.jsonl", "{\"text\": \"a\"}\n" + huge + "{\"text\": \"b\"}\n" + huge);
  const auto message =
      message_of<InputError>([&] { documents({.inputs = {file}, .max_line_bytes = 600'000}); });
  CHECK(contains(message, file + ":2: the line is longer than 600000 bytes"));
  CHECK(contains(message, "--max-line-bytes"));
  for (const std::uint64_t bound : {10'000, 600'000, 999'999}) {
    DocumentReader reader({.inputs = {file}, .skip_bad_lines = true, .max_line_bytes = bound});
    CHECK(documents(reader) == std::vector<Document>{text("a"), text("b")});
    CHECK(reader.skipped().bad_lines == 2);
  }
  CHECK(documents({.inputs = {file}, .max_line_bytes = 1'000'012}).size() == 4);
}

TEST_CASE("Pieces know whether they continue a text", "[data][reader]") {
  const TempFolder folder;
  const auto file = folder.write("a.jsonl",
                                 "{\"prompt\": \"p\", \"completion\": \"a\\nb\\nc\"}\n"
                                 "{\"prompt\": \"\", \"completion\": \"only\"}\n");
  DocumentReader reader(
      {.inputs = {file, folder.write("b.txt", "1\n2\n")}, .segment_bytes = {2, 4}});
  std::vector<std::pair<std::string, bool>> pieces;
  while (const auto segment = reader.next())
    pieces.emplace_back(segment->text, segment->continues_text);
  CHECK(pieces == std::vector<std::pair<std::string, bool>>{{"p", false},
                                                            {"a\n", true},
                                                            {"b\n", true},
                                                            {"c", true},
                                                            {"", false},
                                                            {"only", false},
                                                            {"1\n", false},
                                                            {"2\n", true}});
}

TEST_CASE("A text is divided at a line", "[data][reader]") {
  const TempFolder folder;
  const auto one = folder.write("in/1", "1234\n6789\n"), two = folder.write("in/2", "bcde\nghij\n"),
             three = folder.write("in/3", "lmno\n");
  const auto divided = [&](std::vector<std::string> inputs, std::uint64_t at,
                           SegmentBytes bytes = {}) {
    DocumentReader reader({.inputs = std::move(inputs), .segment_bytes = bytes, .divide_at = at});
    std::pair<std::vector<std::string>, std::vector<std::string>> parts;
    while (const auto segment = reader.next()) {
      auto& part = segment->behind_division ? parts.second : parts.first;
      if (segment->begins_document) part.emplace_back();
      part.back() += segment->text;
    }
    return parts;
  };
  using Strings = std::vector<std::string>;
  CHECK(divided({one}, 9) == std::pair(Strings{"1234\n"}, Strings{"6789\n"}));
  CHECK(divided({one, two, three}, 16) ==
        std::pair(Strings{"1234\n6789\n", "bcde\n"}, Strings{"ghij\n", "lmno\n"}));
  CHECK(divided({one, two, three}, 16, {5, 100}) ==
        std::pair(Strings{"1234\n6789\n", "bcde\nghij\n"}, Strings{"lmno\n"}));
  CHECK(divided({one}, 2) == std::pair(Strings{"1234\n"}, Strings{"6789\n"}));
  CHECK(divided({folder.write("line", "no line end")}, 5).second.empty());
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
  CHECK(reader.skipped().linked_files == 2 + 1);
}

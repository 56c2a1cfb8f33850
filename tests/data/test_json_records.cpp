#include "data/json_records.h"

#include <string>
#include <vector>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

/// A record as line and text; the text of one that is too long is "too long".
using Record = std::pair<std::int64_t, std::string>;

/// Reads the content with `start` bytes of it read before.
std::vector<Record> records(const std::string& content, JsonLayout layout,
                            std::uint64_t most_bytes = 1 << 20, std::size_t start = 1) {
  const TempFolder folder;
  InputStream stream(folder.write("a", content));
  std::string read;
  stream.append_to(read, std::max(start, content.find('[') + 1));
  JsonRecordReader reader(stream, read, layout, most_bytes, "a");
  std::vector<Record> result;
  while (const auto record = reader.next())
    result.emplace_back(record->line, record->is_too_long ? "too long" : record->text);
  CHECK_FALSE(reader.next().has_value());
  return result;
}

std::string array_refusal(const std::string& content) {
  return message_of<InputError>([&] { records(content, JsonLayout::array); });
}

}  // namespace

TEST_CASE("Records of JSONL are its lines, those of an array its elements", "[data][records]") {
  CHECK(records("{1}\n\n {2} \r\n{3}", JsonLayout::lines) ==
        std::vector<Record>{{1, "{1}"}, {3, " {2} \r"}, {4, "{3}"}});
  const std::string odd = R"({"a, ]": ["}", "\"]\\", {"b": [1, 2]}]})";
  CHECK(records("[" + odd + ",{}]", JsonLayout::array) == std::vector<Record>{{1, odd}, {1, "{}"}});
  CHECK(records("\n [\n{1\n} ,\n\n{2}, 3 4,5\n]\n \n", JsonLayout::array) ==
        std::vector<Record>{{3, "{1\n} "}, {6, "{2}"}, {6, "3 4"}, {6, "5\n"}});
  CHECK(records("[]", JsonLayout::array).empty());
  CHECK(records(" [ \n]\n", JsonLayout::array).empty());
}

TEST_CASE("Records do not depend on where blocks end", "[data][records]") {
  // Longer than what is read at a time; the quotes and escapes fall on ends of blocks.
  const std::string letters((256 << 10) - 20, 'x');
  for (std::size_t more = 0; more < 24; ++more) {
    const std::string one = "{\"t\": \"" + letters + std::string(more, 'y') + "\\\\\\\"]\"}";
    const auto array = records("[" + one + ", {\"u\": 2}]", JsonLayout::array);
    REQUIRE(array.size() == 2);
    CHECK(array[0].second == one);
    CHECK(array[1].second == "{\"u\": 2}");
    const auto lines = records(one + "\n{\"u\": 2}\n", JsonLayout::lines, 1 << 20, 100);
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].second == one);
    CHECK(lines[1] == Record{2, "{\"u\": 2}"});
  }
}

TEST_CASE("Records that are too long are passed over", "[data][records]") {
  const std::string huge = "\"" + std::string(1'000'000, 'x') + "\n],\"";
  for (const std::uint64_t bound : {10, 600'000, 1'000'004}) {
    CHECK(records("[1,\n" + huge + ",2]", JsonLayout::array, bound) ==
          std::vector<Record>{{1, "1"}, {2, "too long"}, {3, "2"}});
  }
  CHECK(records("[1,\n" + huge + ",2]", JsonLayout::array, 1'000'005)[1].second == huge);
  const std::string line(1'000'000, 'x');
  CHECK(records("1\n" + line + "\n2\n" + line, JsonLayout::lines, 999'999) ==
        std::vector<Record>{{1, "1"}, {2, "too long"}, {3, "2"}, {4, "too long"}});
  CHECK(records(line, JsonLayout::lines, 1'000'000)[0].second == line);
}

TEST_CASE("An array ends, and nothing follows it", "[data][records]") {
  CHECK(contains(array_refusal("[{}, {"), "a: its JSON array does not end"));
  CHECK(contains(array_refusal("[{}"), "truncated"));
  CHECK(contains(array_refusal("["), "truncated"));
  CHECK(contains(array_refusal("[{}]\n[{}]"), "a:1: something follows"));
  CHECK(contains(array_refusal("[{}\n]" + std::string(600'000, ' ') + "x"), "something follows"));
}

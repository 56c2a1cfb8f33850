#include "data/content_kind.h"

#include <string>
#include <utility>
#include <vector>

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

TEST_CASE("What is no text is known by its first bytes", "[data][kind]") {
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"PAR1\x15\x04", "Parquet"},
      {std::string("ARROW1\0\0", 8), "Arrow file"},
      {std::string("\xFF\xFF\xFF\xFF\xC8\0\0\0", 8), "Arrow stream"},
      {"\x1F\x8B\x08 again", "twice"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"},
      {std::string("\xFD\x37zXZ\0\0", 7), "xz"},
      {"BZh91AY&SY", "bzip2"},
      {"PK\x03\x04 rest", "zip"},
      {std::string(257, 'n') + "ustar  ", "tar"},
      {"%PDF-1.7\n", "PDF"},
      {std::string("\xFF\xFE"
                   "a\0",
                   4),
       "UTF-16"},
      {std::string("\xFE\xFF\0a", 4), "UTF-16"},
      {std::string("\xFF\xFE\0\0a\0\0\0", 8), "UTF-32"}};
  for (const auto& [start, name] : kinds) CHECK(contains(known_binary_kind(start), name));
  for (const std::string text : {"", "PK", "PAR1 is the first part", "BZh is short", "ustar",
                                 "\xEF\xBB\xBFtext", "caf\xE9"}) {
    CHECK(known_binary_kind(text).empty());
    CHECK(zero_byte_kind(text).empty());
  }
  CHECK(contains(known_binary_kind("PAR1\x15\x04"), "hf_to_jsonl.py"));
  CHECK(contains(zero_byte_kind(std::string("ab\0c", 4)), "byte 2 is 0"));
}

TEST_CASE("A folder that datasets saved is known by its files", "[data][kind]") {
  const TempFolder folder;
  const auto info = folder.write("split/dataset_info.json", "{}");
  const auto state = folder.write("split/state.json", "{}");
  CHECK_FALSE(saved_dataset_with(state).has_value());  // a program may keep its state so
  folder.write("split/data-00000-of-00001.arrow", "x");
  CHECK(saved_dataset_with(state) == folder / "split");
  CHECK(saved_dataset_with(info) == folder / "split");
  CHECK_FALSE(saved_dataset_with(folder.write("split/other.json", "{}")).has_value());
  folder.write("dataset_dict.json", "{}");
  CHECK(saved_dataset_with(state) == folder.path());
}

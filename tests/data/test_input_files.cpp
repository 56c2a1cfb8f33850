#include "data/input_files.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

std::vector<std::string> names(const InputFiles& files, const TempFolder& folder) {
  std::vector<std::string> result;
  for (const auto& file : files.files) {
    result.push_back(
        std::filesystem::path(file.path).lexically_relative(folder.path()).generic_string());
  }
  return result;
}

}  // namespace

TEST_CASE("Folders are walked in sorted order without hidden entries", "[data][input]") {
  const TempFolder folder;
  for (const std::string name : {"in/b.txt", "in/a/z.py", "in/a/c.txt", "in/.git/config",
                                 "in/a/.hidden", "in/c/d/e.txt.gz"}) {
    folder.write(name, "12345");
  }
  std::filesystem::create_directory_symlink(folder / "in", folder / "in/a/loop");
  const auto all = list_input_files({(folder / "in").string()}, {});
  CHECK(names(all, folder) ==
        std::vector<std::string>{"in/a/c.txt", "in/a/z.py", "in/b.txt", "in/c/d/e.txt.gz"});
  CHECK(all.bytes == 20);
  CHECK(std::all_of(all.files.begin(), all.files.end(),
                    [](const InputFile& file) { return file.from_folder; }));
  for (const std::vector<std::string>& extensions : {std::vector<std::string>{".txt"}, {"txt"}}) {
    CHECK(names(list_input_files({(folder / "in").string()}, extensions), folder) ==
          std::vector<std::string>{"in/a/c.txt", "in/b.txt", "in/c/d/e.txt.gz"});
  }
}

TEST_CASE("Named inputs keep their order and need no extension", "[data][input]") {
  const TempFolder folder;
  const auto b = folder.write("b", "12"), a = folder.write("a", "123");
  const auto files = list_input_files({b, a}, {".py"});
  CHECK(names(files, folder) == std::vector<std::string>{"b", "a"});
  CHECK(files.bytes == 5);
  CHECK_FALSE(files.files[0].from_folder);
  CHECK(list_input_files({b, "-"}, {}).bytes == 0);
}

TEST_CASE("All that is wrong with the inputs is told at once", "[data][input]") {
  const TempFolder folder;
  const auto good = folder.write("good", "text"), empty = folder.write("empty", "");
  const auto other = folder.write("folder/note.md", "text");
  const auto message = message_of<InputError>([&] {
    list_input_files({(folder / "gone").string(), good, empty, (folder / "folder").string(),
                      (folder / "lost").string(), "-", "-"},
                     {".py"});
  });
  for (const std::string part : {"gone: there is no such", "lost: there is no such",
                                 "empty: the file is empty", ".py", "folder: ", "more than once"}) {
    CHECK(contains(message, part));
  }
  CHECK_FALSE(contains(message, good + ":"));
  CHECK_THROWS_AS(list_input_files({}, {}), InputError);
}

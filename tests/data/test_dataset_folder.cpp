#include "data/dataset_folder.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

/// A dataset of one document that begins with `first`.
void write_dataset(const std::filesystem::path& output, bool overwrite = false,
                   std::int32_t first = 1) {
  TokenDatasetWriter writer({output, "hash", 70, overwrite, 16});
  writer.begin_document();
  writer.append(Tokens{first, 5, 2}, true);
  writer.finish();
  writer.publish();
}

/// Leaves a partial folder behind, as a process does that is killed.
void leave_partial(const std::filesystem::path& output) {
  const pid_t child = ::fork();
  if (child == 0) {
    TokenDatasetWriter writer({output, "hash", 70, true, 16});
    writer.begin_document();
    ::_exit(0);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

}  // namespace

TEST_CASE("What a killed process has left is removed, a living one's is not", "[data][dataset]") {
  const TempFolder folder;
  leave_partial(folder / "d");
  leave_partial(folder / "other");
  folder.write("d.partial-notes/tokens.bin", "precious");
  folder.write("d.partial-12345678/notes.txt", "precious");
  REQUIRE(entries(folder.path()).size() == 4);
  {
    TokenDatasetWriter living({folder / "d", "hash", 70, true, 16});
    CHECK(entries(folder.path()).size() == 4);
    const pid_t child = ::fork();
    if (child == 0) {
      write_dataset(folder / "d", true);
      ::_exit(0);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    REQUIRE(status == 0);
    CHECK(std::filesystem::exists(folder / ("d.partial-" + std::to_string(::getpid()))));
  }
  const auto left = entries(folder.path());
  CHECK(std::ranges::count(left, "d") == 1);
  CHECK(std::ranges::count(left, "d.partial-notes") == 1);
  CHECK(std::ranges::count(left, "d.partial-12345678") == 1);
  CHECK(left.size() == 4);  // and what was left of `other`
}

TEST_CASE("A dataset is at its place all the while it is replaced", "[data][dataset]") {
  const TempFolder folder;
  write_dataset(folder / "d");
  const auto inode = std::filesystem::hard_link_count(folder / "d/tokens.bin");
  CHECK(inode == 1);
  write_dataset(folder / "d", true, 3);
  CHECK(TokenDataset(folder / "d", "hash", 70).tokens() == 3);
  Tokens tokens(1);
  TokenDataset(folder / "d", "hash", 70).copy_tokens(0, tokens);
  CHECK(tokens == Tokens{3});
  CHECK(entries(folder.path()) == std::vector<std::string>{"d"});
}

TEST_CASE("A dataset that an interrupted replacement moved aside is told, and put back",
          "[data][dataset]") {
  const TempFolder folder;
  write_dataset(folder / "d");
  std::filesystem::rename(folder / "d", folder / "d.replaced-12345");
  CHECK(dataset_set_aside(folder / "d/") == folder / "d.replaced-12345");
  CHECK(contains(message_of<InputError>([&] { TokenDataset(folder / "d", "hash", 70); }),
                 "d.replaced-12345"));
  CHECK(contains(message_of<InputError>([&] { write_dataset(folder / "d"); }), "--overwrite"));
  CHECK(TokenDataset(folder / "d", "hash", 70).tokens() == 3);
  CHECK(entries(folder.path()) == std::vector<std::string>{"d"});
  CHECK_FALSE(dataset_set_aside(folder / "d").has_value());
}

TEST_CASE("Files with a dataset's names are not yet a dataset", "[data][dataset]") {
  const TempFolder folder;
  folder.write("d/dataset.json", "{\"name\": \"of another program\"}");
  folder.write("d/tokens.bin", "precious");
  CHECK_FALSE(is_only_a_dataset(folder / "d"));
  CHECK(contains(message_of<InputError>([&] { write_dataset(folder / "d", true); }),
                 "not a token dataset"));
  CHECK(content_of(folder / "d/tokens.bin") == "precious");
}

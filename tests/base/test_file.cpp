#include "base/file.h"

#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "base/error.h"
#include "support/catch.h"
#include "support/temporary_folder.h"

namespace zebra {
namespace {

using testing::TemporaryFolder;

std::size_t entries(const std::filesystem::path& folder) {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST_CASE("a path is within a folder by whatever name") {
  const TemporaryFolder folder;
  std::filesystem::create_directories(folder / "a/b");
  std::filesystem::create_directory_symlink(folder / "a", folder / "link");
  REQUIRE(is_within(folder / "a", folder / "a/"));
  REQUIRE(is_within(folder / "a/b/none", folder / "a"));
  REQUIRE(is_within(folder / "link/b", folder / "a"));
  REQUIRE(is_within(folder / "a/../a/b", folder / "link"));
  REQUIRE_FALSE(is_within(folder / "a", folder / "a/b"));
  REQUIRE_FALSE(is_within(folder / "ab", folder / "a"));
}

TEST_CASE("an atomic write replaces the file and leaves nothing beside it") {
  const TemporaryFolder folder;
  write_file_atomically(folder / "a", "old");
  write_file_atomically(folder / "a", std::string("new\0text", 8));
  REQUIRE(read_file(folder / "a") == std::string("new\0text", 8));
  REQUIRE(entries(folder.path()) == 1);
}

TEST_CASE("a failed atomic write keeps the old file and leaves nothing beside it") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "a");  // a file cannot replace a folder
  testing::write_text(folder / "a/inside", "kept");
  REQUIRE_THROWS_AS(write_file_atomically(folder / "a", "new"), RunError);
  REQUIRE(read_file(folder / "a/inside") == "kept");
  REQUIRE_THROWS_AS(write_file_atomically(folder / "missing/a", "new"), RunError);
}

TEST_CASE("a full disk is an error that names the file") {
  if (!std::filesystem::exists("/dev/full")) return;
  FileWriter writer("/dev/full");
  try {
    writer.write(std::string(3 << 20, 'x'));
    writer.commit();
    FAIL("did not throw");
  } catch (const RunError& error) {
    REQUIRE(std::string(error.what()).find("/dev/full") != std::string::npos);
  }
}

TEST_CASE("a writer keeps every byte across its buffer") {
  const TemporaryFolder folder;
  std::string expected;
  FileWriter writer(folder / "big");
  for (int i = 0; i < 300; ++i) {
    const std::string piece(static_cast<std::size_t>(7919 * (i % 5)),
                            static_cast<char>('a' + i % 26));
    writer.write(piece);
    expected += piece;
  }
  writer.commit();
  REQUIRE(writer.bytes_written() == expected.size());
  REQUIRE(read_file(folder / "big") == expected);
}

TEST_CASE("a mapped file shows the bytes, also of an empty file and after a move") {
  const TemporaryFolder folder;
  testing::write_text(folder / "a", "bytes");
  MappedFile first(folder / "a");
  const MappedFile second = std::move(first);
  REQUIRE(std::string(reinterpret_cast<const char*>(second.data()), second.size()) == "bytes");
  testing::write_text(folder / "empty", "");
  REQUIRE(MappedFile(folder / "empty").size() == 0);
  REQUIRE_THROWS_AS(MappedFile(folder / "missing"), InputError);
  REQUIRE_THROWS_AS(read_file(folder / "missing"), InputError);
}

TEST_CASE("XXH3 128 of the empty input, as published") {
  REQUIRE(hash_of("") == "99aa06d3014798d86001c324468d497f");
}

TEST_CASE("pieces, the whole and a file hash alike") {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += static_cast<char>(i * 31);
  Hasher hasher;
  hasher.update(text.substr(0, 777));
  hasher.update(text.substr(777));
  REQUIRE(hasher.digest() == hash_of(text));
  const testing::TemporaryFolder folder;
  testing::write_text(folder / "f", text);
  REQUIRE(hash_of_file(folder / "f") == hash_of(text));
  testing::flip_byte(folder / "f", 50000);
  REQUIRE(hash_of_file(folder / "f") != hash_of(text));
}

TEST_CASE("pipes, devices and folders are no files to read, and nobody waits for a writer") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  for (const std::filesystem::path& path : {folder / "pipe", std::filesystem::path("/dev/zero")}) {
    REQUIRE_THROWS_WITH(read_file(path), Catch::Matchers::Contains("a pipe or a device"));
    REQUIRE_THROWS_WITH(MappedFile(path), Catch::Matchers::Contains("a pipe or a device"));
  }
  REQUIRE_THROWS_WITH(read_file(folder.path()), Catch::Matchers::Contains("is a folder"));
}

TEST_CASE("what people write may come through a pipe, and has an end") {
  const TemporaryFolder folder;
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::thread writer([&] { std::ofstream(folder / "pipe") << "run: {}\n"; });
  REQUIRE(read_text_input(folder / "pipe") == "run: {}\n");
  writer.join();
  REQUIRE_THROWS_WITH(read_text_input("/dev/zero"), Catch::Matchers::Contains("has more than"));
}

TEST_CASE("only names of our own form are those of partial files") {
  REQUIRE(name_of_partial("status.json.partial-77") == "status.json");
  REQUIRE(name_of_partial(partial_path("a/b.txt").filename().string()) == "b.txt");
  for (const char* name :
       {"status.json", "thesis.partial-draft", "a.partial-", "a.partial-7b", "a.partial-007",
        ".partial-7", "a.partial-7.txt", "a.partial--7", "a.partial-12345678901"})
    REQUIRE(name_of_partial(name) == std::nullopt);
}

TEST_CASE("nothing is written through a link, and a link is not removed") {
  const TemporaryFolder folder;
  testing::write_text(folder / "theirs", "kept");
  const auto beside = partial_path(folder / "a");
  std::filesystem::create_symlink("theirs", beside);
  REQUIRE_THROWS_AS(write_file_atomically(folder / "a", "new"), RunError);
  REQUIRE_THROWS_AS(FileWriter(beside), RunError);
  REQUIRE(read_file(folder / "theirs") == "kept");
  REQUIRE(std::filesystem::is_symlink(beside));
  // A link at the path itself is replaced, not followed.
  std::filesystem::remove(beside);
  std::filesystem::create_symlink("theirs", folder / "a");
  write_file_atomically(folder / "a", "new");
  REQUIRE(read_file(folder / "theirs") == "kept");
  REQUIRE(read_file(folder / "a") == "new");
}

}  // namespace
}  // namespace zebra

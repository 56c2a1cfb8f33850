#include "data/input_stream.h"

#include <unistd.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

std::string read_all(const std::string& path, std::size_t step = 1000) {
  InputStream stream(path);
  std::string text;
  std::size_t total = 0, count = 0;
  do {
    count = stream.append_to(text, step);
    total += count;
  } while (count == step);
  CHECK(text.size() == total);
  CHECK(stream.append_to(text, 1) == 0);
  return text;
}

/// Standard input replaced by a pipe for as long as this object lives.
class PipeAsStandardInput {
 public:
  explicit PipeAsStandardInput(std::string content) : saved_(::dup(STDIN_FILENO)) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    ::dup2(ends[0], STDIN_FILENO);
    ::close(ends[0]);
    writer_ = std::thread([content = std::move(content), end = ends[1]] {
      for (std::size_t done = 0; done < content.size(); done += 777) {
        const auto part = content.substr(done, 777);
        if (::write(end, part.data(), part.size()) < 0) break;
      }
      ::close(end);
    });
  }
  ~PipeAsStandardInput() {
    writer_.join();
    ::dup2(saved_, STDIN_FILENO);
    ::close(saved_);
  }

 private:
  int saved_;
  std::thread writer_;
};

}  // namespace

TEST_CASE("Plain, gzip and Zstandard give the same text, whatever the name", "[data][input]") {
  const TempFolder folder;
  const std::string text = code_like_text(5, 20000);
  REQUIRE(text.size() > 500000);
  const std::string half = text.substr(0, text.size() / 2);
  const std::string rest = text.substr(text.size() / 2);
  CHECK(read_all(folder.write("a.gz", text)) == text);
  CHECK(read_all(folder.write("b.txt", gzip(text))) == text);
  CHECK(read_all(folder.write("c.txt", zstandard(text))) == text);
  CHECK(read_all(folder.write("d.gz", gzip(half) + gzip("") + gzip(rest))) == text);
  CHECK(read_all(folder.write("e.zst", zstandard(half) + zstandard(rest)), 1 << 20) == text);
  CHECK(read_all(folder.write("f.zst", zstandard("x"))) == "x");
  CHECK(read_all(folder.write("empty", "")).empty());
  CHECK(read_all(folder.write("empty.gz", gzip(""))).empty());
}

TEST_CASE("Output that needs no more input is not lost", "[data][input]") {
  const TempFolder folder;
  const std::string zeros(3'000'000, 'z');  // compresses to next to nothing
  CHECK(read_all(folder.write("z.gz", gzip(zeros)), 7) == zeros);
  CHECK(read_all(folder.write("z.zst", zstandard(zeros)), 7) == zeros);
}

TEST_CASE("Standard input is decompressed too", "[data][input]") {
  const std::string text = code_like_text(6, 9000);
  for (const auto& content : {text, gzip(text), zstandard(text)}) {
    const PipeAsStandardInput pipe(content);
    CHECK(read_all("-") == text);
  }
}

TEST_CASE("Truncated and damaged files are told by name", "[data][input]") {
  const TempFolder folder;
  const std::string text = code_like_text(7, 3000);
  for (const auto& whole : {gzip(text), zstandard(text)}) {
    for (const std::size_t kept : {std::size_t{5}, whole.size() / 2, whole.size() - 1}) {
      const auto path = folder.write("cut", whole.substr(0, kept));
      const auto message = message_of<InputError>([&] { read_all(path); });
      CHECK(contains(message, path));
      CHECK(contains(message, "truncated"));
    }
    std::string damaged = whole;
    for (std::size_t i = whole.size() / 2; i < whole.size() / 2 + 40; ++i) damaged[i] ^= '\x55';
    const auto path = folder.write("damaged", damaged);
    const auto message = message_of<InputError>([&] { read_all(path); });
    CHECK(contains(message, path));
    CHECK(contains(message, "damaged"));
    CHECK_THROWS_AS(read_all(folder.write("more", whole + "no frame")), InputError);
  }
  const auto missing = (folder / "missing").string();
  CHECK(contains(message_of<InputError>([&] { read_all(missing); }), missing));
}

TEST_CASE("Zeros behind gzip data are its end, other bytes are not", "[data][input]") {
  const TempFolder folder;
  const std::string packed = gzip("one ") + gzip("two");
  CHECK(read_all(folder.write("tape", packed + std::string(700'000, '\0'))) == "one two");
  CHECK(read_all(folder.write("between", gzip("one ") + std::string(512, '\0') + gzip("two"))) ==
        "one two");
  CHECK(contains(message_of<InputError>([&] { read_all(folder.write("rest", packed + "rest")); }),
                 "damaged"));
}

TEST_CASE("Zstandard data may begin with a frame to be skipped", "[data][input]") {
  const TempFolder folder;
  const std::string skippable("\x5D\x2A\x4D\x18\x03\0\0\0abc", 11);
  CHECK(read_all(folder.write("a", skippable + zstandard("text"))) == "text");
  CHECK(read_all(folder.write("b", skippable + skippable + zstandard("a") + skippable)) == "a");
}

TEST_CASE("Progress counts the bytes on the disk", "[data][input]") {
  const TempFolder folder;
  const std::string packed = gzip(code_like_text(8, 5000));
  InputStream stream(folder.write("a.gz", packed));
  std::string text;
  while (stream.append_to(text, 100000) > 0) {
  }
  CHECK(stream.bytes_read() == packed.size());
}

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
  CHECK(all.linked_files == 4);
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

TEST_CASE("What datasets saved is refused as a whole, wherever it lies", "[data][input]") {
  const TempFolder folder;
  folder.write("in/a.txt", "text");
  folder.write("in/saved/dataset_dict.json", "{}");
  for (const std::string split : {"train", "test"}) {
    folder.write("in/saved/" + split + "/dataset_info.json", "{}");
    folder.write("in/saved/" + split + "/state.json", "{}");
    folder.write("in/saved/" + split + "/data-00000-of-00001.arrow", "x");
  }
  const auto inputs = std::vector<std::string>{(folder / "in").string()};
  const auto message = message_of<InputError>([&] { list_input_files(inputs, {}); });
  CHECK(message.starts_with((folder / "in/saved").string() + ": is what the package datasets"));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(contains(message, "scripts/hf_to_jsonl.py"));
  CHECK(list_input_files(inputs, {".txt"}).files.size() == 1);
}

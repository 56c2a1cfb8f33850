#include "data/chunked_file.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

const auto kAcceptAll = [](std::span<const std::byte>, std::uint64_t) {};

ChunkedFileContent write_chunked(const std::filesystem::path& path, const std::string& text,
                                 std::uint64_t chunk_bytes, std::size_t step) {
  ChunkedFileWriter writer(path, chunk_bytes);
  for (std::size_t done = 0; done < text.size(); done += step) {
    writer.write(text.data() + done, std::min(step, text.size() - done));
  }
  return writer.commit();
}

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

TEST_CASE("Chunks are hashed as they are cut", "[data][chunked]") {
  const TempFolder folder;
  for (const std::size_t step : {1, 3, 7, 10, 100}) {
    const auto content = write_chunked(folder / "f", "0123456789abcdefghijklm", 10, step);
    CHECK(content.bytes == 23);
    CHECK(content.chunk_hashes ==
          std::vector<std::string>{hash_of("0123456789"), hash_of("abcdefghij"), hash_of("klm")});
  }
  CHECK(write_chunked(folder / "f", "01234567890123456789", 10, 4).chunk_hashes.size() == 2);
  CHECK(write_chunked(folder / "f", "", 10, 4).chunk_hashes.empty());
}

TEST_CASE("A chunk is verified when it is first touched, and once", "[data][chunked]") {
  const TempFolder folder;
  const auto path = folder / "f";
  const auto content = write_chunked(path, "0123456789abcdefghijklm", 10, 23);
  auto damaged = content_of(path);
  damaged[12] = 'X';
  folder.write("f", damaged);
  std::vector<std::uint64_t> inspected;
  const ChunkedFile file(path, content, 10,
                         [&inspected](std::span<const std::byte> chunk, std::uint64_t first) {
                           CHECK(chunk.size() == (first == 20 ? 3 : 10));
                           inspected.push_back(first);
                         });
  CHECK(inspected.empty());
  CHECK(text_of(file.verified(3, 7)) == "3456789");
  CHECK(text_of(file.verified(0, 10)) == "0123456789");
  CHECK(text_of(file.verified(21, 2)) == "lm");
  CHECK(file.verified(10, 0).empty());
  CHECK(inspected == std::vector<std::uint64_t>{0, 20});
  for (int time = 0; time < 2; ++time) {
    const auto message = message_of<InputError>([&] { file.verified(9, 2); });
    CHECK(contains(message, path.string()));
    CHECK(contains(message, "corrupt"));
  }
}

TEST_CASE("Files of another size and missing files are refused", "[data][chunked]") {
  const TempFolder folder;
  const auto content = write_chunked(folder / "f", "0123456789abc", 10, 5);
  const auto open = [&] { ChunkedFile(folder / "f", content, 10, kAcceptAll); };
  folder.write("f", "0123456789ab");
  CHECK(contains(message_of<InputError>(open), "truncated"));
  folder.write("f", "0123456789abcd");
  CHECK(contains(message_of<InputError>(open), "too long"));
  folder.write("f", "");
  CHECK(contains(message_of<InputError>(open), "truncated"));
  std::filesystem::remove(folder / "f");
  CHECK(contains(message_of<InputError>(open), (folder / "f").string()));
}

TEST_CASE("Threads verify each chunk once", "[data][chunked]") {
  const TempFolder folder;
  std::string text;
  for (int i = 0; i < 64 * 1024; ++i) text += static_cast<char>(i * 31 + i / 255);
  const auto content = write_chunked(folder / "f", text, 1024, 777);
  std::atomic<int> inspections = 0;
  const ChunkedFile file(folder / "f", content, 1024,
                         [&](std::span<const std::byte>, std::uint64_t) { ++inspections; });
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random(seed);
        for (int call = 0; call < 2000; ++call) {
          const std::size_t begin = random() % text.size();
          const std::size_t count = random() % std::min<std::size_t>(3000, text.size() - begin + 1);
          if (text_of(file.verified(begin, count)) != text.substr(begin, count)) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
  CHECK(inspections == 64);
}

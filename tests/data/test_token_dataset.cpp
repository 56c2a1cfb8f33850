#include "data/token_dataset.h"

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "data_support.h"
#include "support/temporary_folder.h"

using namespace zebra;
using namespace zebra::test;
using zebra::testing::flip_byte;

namespace {

constexpr std::int64_t kVocabSize = 1000;
constexpr std::uint64_t kVerifyNothing = 0;

struct Content {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> mask;
  std::vector<std::uint64_t> offsets;
};

/// A dataset of random documents in small chunks.
Content write_random(const std::filesystem::path& output, unsigned seed, bool masked,
                     std::int64_t vocab_size = kVocabSize) {
  std::mt19937 random(seed);
  Content content;
  TokenDatasetWriter writer({output, "hash", vocab_size, false, 64});
  for (int document = 0; document < 40; ++document) {
    content.offsets.push_back(content.tokens.size());
    writer.begin_document();
    for (unsigned part = 0; part < 1 + random() % 3; ++part) {
      std::vector<std::int32_t> tokens(1 + random() % 20);
      for (auto& token : tokens) {
        token = static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab_size));
      }
      const bool counts = !masked || random() % 2 == 0;
      writer.append(tokens, counts);
      content.tokens.insert(content.tokens.end(), tokens.begin(), tokens.end());
      content.mask.insert(content.mask.end(), tokens.size(), counts ? 1 : 0);
    }
  }
  content.offsets.push_back(content.tokens.size());
  writer.add_text_bytes(1234);
  writer.finish();
  writer.publish();
  return content;
}

/// The refusal of a dataset, which must name it.
std::string refusal_of_dataset(const std::filesystem::path& path, const std::string& hash = "hash",
                               std::int64_t vocab_size = kVocabSize) {
  const auto message = message_of<InputError>([&] { TokenDataset(path, hash, vocab_size); });
  CHECK(contains(message, path.string()));
  return message;
}

}  // namespace

TEST_CASE("Labels that nobody may read give way to their stand-in", "[data][dataset]") {
  const TempFolder folder;
  {
    TokenDatasetWriter writer({folder / "d", "hash", kVocabSize, false, 64, 7});
    writer.begin_document();
    writer.append(std::vector<std::int32_t>{1, 2}, false);
    writer.append(std::vector<std::int32_t>{3}, true);
    writer.append(std::vector<std::int32_t>{4, 5}, false);
    writer.finish();
    writer.publish();
  }
  const TokenDataset dataset(folder / "d", "hash", kVocabSize);
  CHECK(dataset.has_labels_only());
  std::vector<std::int32_t> tokens(5), inputs(5), part(2);
  dataset.copy_tokens(0, tokens);
  dataset.copy_inputs(0, inputs);
  dataset.copy_inputs(2, part);
  CHECK(tokens == std::vector<std::int32_t>{1, 2, 3, 4, 5});
  CHECK(inputs == std::vector<std::int32_t>{1, 2, 7, 4, 5});
  CHECK(part == std::vector<std::int32_t>{7, 4});
  CHECK(contains(read_file(folder / "d/dataset.json"), "\"format_version\": 2"));
}

TEST_CASE("A dataset reads back as it was written", "[data][dataset]") {
  for (const bool masked : {false, true}) {
    for (const std::int64_t vocab_size : {kVocabSize, std::int64_t{100000}}) {
      const TempFolder folder;
      const auto content = write_random(folder / "d", 5, masked, vocab_size);
      const auto tokens = static_cast<std::int64_t>(content.tokens.size());
      const TokenDataset dataset(folder / "d", "hash", vocab_size + 7);
      CHECK(dataset.path() == folder / "d");
      CHECK(dataset.tokens() == tokens);
      CHECK(dataset.documents() == 40);
      CHECK(dataset.text_bytes() == 1234);
      CHECK_FALSE(dataset.has_labels_only());
      CHECK(contains(read_file(folder / "d/dataset.json"), "\"format_version\": 1"));
      CHECK(dataset.fingerprint().size() == 32);
      CHECK(std::ranges::equal(dataset.document_offsets(), content.offsets));
      std::mt19937 random(9);
      for (int trial = 0; trial < 200; ++trial) {
        const auto begin = static_cast<std::ptrdiff_t>(random() % content.tokens.size());
        const auto count =
            static_cast<std::ptrdiff_t>(random() % static_cast<unsigned>(tokens - begin + 1));
        std::vector<std::int32_t> out(static_cast<std::size_t>(count), -1);
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(count), 9);
        dataset.copy_tokens(begin, out);
        dataset.copy_loss_mask(begin, mask);
        auto inputs = out;
        dataset.copy_inputs(begin, inputs);
        REQUIRE(inputs == out);
        REQUIRE(std::equal(out.begin(), out.end(), content.tokens.begin() + begin));
        REQUIRE(std::equal(mask.begin(), mask.end(), content.mask.begin() + begin));
      }
    }
  }
}

TEST_CASE("Positions beyond a dataset are a programming error", "[data][dataset]") {
  const TempFolder folder;
  write_random(folder / "d", 5, true);
  const TokenDataset dataset(folder / "d", "hash", kVocabSize);
  std::vector<std::int32_t> out(2);
  std::vector<std::uint8_t> mask(2);
  CHECK_NOTHROW(dataset.copy_tokens(dataset.tokens() - 2, out));
  CHECK_THROWS_AS(dataset.copy_tokens(dataset.tokens() - 1, out), std::out_of_range);
  CHECK_THROWS_AS(dataset.copy_tokens(-1, out), std::out_of_range);
  CHECK_THROWS_AS(dataset.copy_loss_mask(dataset.tokens() - 1, mask), std::out_of_range);
}

TEST_CASE("Documents that begin inside a sample", "[data][dataset]") {
  const TempFolder folder;
  const auto content = write_random(folder / "d", 6, false);
  const TokenDataset dataset(folder / "d", "hash", kVocabSize);
  const std::int64_t tokens = dataset.tokens();
  for (std::int64_t begin = 0; begin <= tokens; ++begin) {
    for (const std::int64_t length : {0, 1, 2, 5, 33, 400}) {
      const std::int64_t end = std::min(begin + length, tokens);
      std::vector<std::int64_t> expected;
      for (std::size_t d = 0; d + 1 < content.offsets.size(); ++d) {
        const auto start = static_cast<std::int64_t>(content.offsets[d]);
        if (start > begin && start < end) expected.push_back(start);
      }
      REQUIRE(dataset.document_starts(begin, end) == expected);
    }
  }
  CHECK(dataset.document_starts(0, tokens).size() == 39);
}

TEST_CASE("What cannot be used is refused by name", "[data][dataset]") {
  const TempFolder folder;
  write_random(folder / "d", 7, true);
  CHECK(contains(refusal_of_dataset(folder / "none"), "does not exist"));
  std::filesystem::create_directory(folder / "empty");
  CHECK(contains(refusal_of_dataset(folder / "empty"), "has no dataset.json"));
  CHECK(contains(refusal_of_dataset(folder / "empty"), "zebra data pack"));
  CHECK(contains(refusal_of_dataset(folder / "d", "other"), "another tokenizer"));
  CHECK(contains(refusal_of_dataset(folder / "d", "hash", 999), "model.vocab_size"));
  const std::string json = content_of(folder / "d/dataset.json");
  folder.write("d/dataset.json", json.substr(0, json.size() / 2));
  CHECK(contains(refusal_of_dataset(folder / "d"), "not valid JSON"));
}

TEST_CASE("Files of a wrong size are refused", "[data][dataset]") {
  for (const std::string name : {"tokens.bin", "documents.bin", "loss_mask.bin"}) {
    const TempFolder folder;
    write_random(folder / "d", 7, true);
    const auto file = folder / "d" / name;
    const std::string whole = content_of(file);
    folder.write("d/" + name, whole.substr(0, whole.size() - 1));
    CHECK(contains(refusal_of_dataset(folder / "d"), name + ": is truncated"));
    folder.write("d/" + name, whole + "x");
    CHECK(contains(refusal_of_dataset(folder / "d"), name + ": is too long"));
    std::filesystem::remove(file);
    CHECK(contains(refusal_of_dataset(folder / "d"), name));
    folder.write("d/" + name, whole);
    CHECK_NOTHROW(TokenDataset(folder / "d", "hash", kVocabSize));
  }
}

TEST_CASE("A flipped bit is found when the dataset is opened", "[data][dataset]") {
  for (const std::string name : {"tokens.bin", "documents.bin", "loss_mask.bin"}) {
    const TempFolder folder;
    write_random(folder / "d", 8, true);
    const auto file = folder / "d" / name;
    for (const std::size_t at : {std::size_t{0}, content_of(file).size() - 2}) {
      flip_byte(file, at);
      CHECK(contains(refusal_of_dataset(folder / "d"), name + ": is corrupt"));
      flip_byte(file, at);
    }
    CHECK_NOTHROW(TokenDataset(folder / "d", "hash", kVocabSize));
  }
}

TEST_CASE("Ids beyond the vocabulary are refused where they are", "[data][dataset]") {
  for (const std::int64_t vocab_size : {std::int64_t{1000}, std::int64_t{70000}}) {
    const TempFolder folder;
    {
      TokenDatasetWriter writer({folder / "d", "hash", vocab_size, false, 16});
      writer.begin_document();
      std::vector<std::int32_t> tokens(50, 3);
      tokens[37] = static_cast<std::int32_t>(vocab_size);
      writer.append(tokens, true);
      writer.finish();
      writer.publish();
    }
    const auto message = refusal_of_dataset(folder / "d", "hash", vocab_size);
    CHECK(contains(message, "token 37 has the id " + std::to_string(vocab_size)));
    CHECK(contains(message, "tokens.bin"));
    const TokenDataset lazy(folder / "d", "hash", vocab_size, kVerifyNothing);
    std::vector<std::int32_t> out(8);
    CHECK_NOTHROW(lazy.copy_tokens(0, out));
    CHECK_THROWS_AS(lazy.copy_tokens(33, out), InputError);
  }
}

TEST_CASE("Documents without a token are refused", "[data][dataset]") {
  const TempFolder folder;
  {
    TokenDatasetWriter writer({folder / "d", "hash", kVocabSize, false, 64});
    writer.begin_document();
    writer.begin_document();
    writer.append(std::vector<std::int32_t>{1, 2}, true);
    writer.finish();
    writer.publish();
  }
  CHECK(contains(refusal_of_dataset(folder / "d"), "documents.bin: does not ascend"));
}

TEST_CASE("Beyond the limit chunks are verified when they are touched", "[data][dataset]") {
  const TempFolder folder;
  const auto content = write_random(folder / "d", 10, true);
  REQUIRE(content.tokens.size() > 200);
  flip_byte(folder / "d/tokens.bin", 2 * 100);  // in the chunk of tokens [96, 128)
  flip_byte(folder / "d/loss_mask.bin", 130);   // in the chunk of tokens [128, 192)
  CHECK_THROWS_AS(TokenDataset(folder / "d", "hash", kVocabSize), InputError);
  const TokenDataset dataset(folder / "d", "hash", kVocabSize, kVerifyNothing);
  std::vector<std::int32_t> out(20);
  std::vector<std::uint8_t> mask(20);
  CHECK_NOTHROW(dataset.copy_tokens(76, out));
  CHECK_NOTHROW(dataset.copy_tokens(128, out));
  CHECK_NOTHROW(dataset.copy_loss_mask(100, mask));
  const auto message = message_of<InputError>([&] { dataset.copy_tokens(77, out); });
  CHECK(contains(message, (folder / "d/tokens.bin").string()));
  CHECK_THROWS_AS(dataset.copy_tokens(127, out), InputError);
  CHECK_THROWS_AS(dataset.copy_loss_mask(120, mask), InputError);
  flip_byte(folder / "d/documents.bin", 8);
  CHECK_THROWS_AS(TokenDataset(folder / "d", "hash", kVocabSize, kVerifyNothing), InputError);
}

TEST_CASE("Threads may read a dataset together", "[data][dataset]") {
  const TempFolder folder;
  const auto content = write_random(folder / "d", 11, true);
  const TokenDataset dataset(folder / "d", "hash", kVocabSize, kVerifyNothing);
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (unsigned seed = 0; seed < 4; ++seed) {
      threads.emplace_back([&, seed] {
        std::mt19937 random(seed);
        std::vector<std::int32_t> out(30);
        for (int call = 0; call < 1000; ++call) {
          const auto begin = static_cast<std::ptrdiff_t>(random() % (content.tokens.size() - 30));
          dataset.copy_tokens(begin, out);
          if (!std::equal(out.begin(), out.end(), content.tokens.begin() + begin)) ++wrong;
        }
      });
    }
  }
  CHECK(wrong == 0);
}

namespace {

TokenDatasetWriterOptions writer_options(const std::filesystem::path& output,
                                         bool overwrite = false, std::int64_t vocab_size = 70) {
  return {output, "hash", vocab_size, overwrite, 16};
}

/// Two documents of 3 and 4 tokens.
TokenDatasetDescription write_small(const TokenDatasetWriterOptions& options,
                                    bool first_counts = true) {
  TokenDatasetWriter writer(options);
  writer.begin_document();
  writer.append(Tokens{1, 5, 2}, true);
  writer.begin_document();
  writer.append(Tokens{1, 60}, first_counts);
  writer.append(Tokens{}, true);
  writer.append(Tokens{61, 2}, true);
  writer.add_text_bytes(4);
  writer.add_text_bytes(5);
  writer.finish();
  writer.publish();
  return writer.description();
}

}  // namespace

TEST_CASE("The files of a token dataset", "[data][dataset]") {
  const TempFolder folder;
  const auto output = folder / "made/on/the/way";
  const auto description = write_small(writer_options(output));
  CHECK(description.tokens == 7);
  CHECK(description.documents == 2);
  CHECK(description.text_bytes == 9);
  CHECK(entries(output) == std::vector<std::string>{"dataset.json", "documents.bin", "tokens.bin"});
  CHECK(entries(output.parent_path()) == std::vector<std::string>{"way"});
  CHECK(content_of(output / "tokens.bin") ==
        std::string("\x01\0\x05\0\x02\0\x01\0\x3C\0\x3D\0\x02\0", 14));
  CHECK(values_of<std::uint64_t>(output / "documents.bin") == std::vector<std::uint64_t>{0, 3, 7});
  CHECK(description.token_file.chunk_hashes ==
        std::vector<std::string>{hash_of(content_of(output / "tokens.bin"))});
  CHECK(description.document_file.chunk_hashes.size() == 2);
  CHECK(content_of(output / "dataset.json") == description.to_json());
}

TEST_CASE("A loss mask is written when some token does not count", "[data][dataset]") {
  const TempFolder folder;
  write_small(writer_options(folder / "d"), false);
  CHECK(content_of(folder / "d/loss_mask.bin") == std::string("\1\1\1\0\0\1\1", 7));
}

TEST_CASE("Large vocabularies take four bytes a token", "[data][dataset]") {
  const TempFolder folder;
  {
    TokenDatasetWriter writer(writer_options(folder / "d", false, 70000));
    writer.begin_document();
    writer.append(Tokens{1, 69999, 2}, true);
    writer.finish();
    writer.publish();
  }
  CHECK(values_of<std::uint32_t>(folder / "d/tokens.bin") ==
        std::vector<std::uint32_t>{1, 69999, 2});
}

TEST_CASE("Without publishing nothing is left", "[data][dataset]") {
  const TempFolder folder;
  {
    TokenDatasetWriter writer(writer_options(folder / "d"));
    writer.begin_document();
    writer.append(Tokens{1, 2}, false);
    CHECK(entries(folder.path()).size() == 1);
    CHECK_FALSE(std::filesystem::exists(folder / "d"));
    writer.finish();
  }
  CHECK(entries(folder.path()).empty());
}

TEST_CASE("An output that exists is replaced only on demand", "[data][dataset]") {
  const TempFolder folder;
  write_small(writer_options(folder / "d"), false);
  const auto message = message_of<InputError>([&] { write_small(writer_options(folder / "d")); });
  CHECK(contains(message, (folder / "d").string()));
  CHECK(contains(message, "--overwrite"));
  CHECK(entries(folder / "d").size() == 4);
  write_small(writer_options(folder / "d/", true));
  CHECK(entries(folder / "d").size() == 3);
  CHECK(entries(folder.path()) == std::vector<std::string>{"d"});
}

TEST_CASE("What is not a token dataset is never replaced", "[data][dataset]") {
  const TempFolder folder;
  folder.write("mine/notes.txt", "precious");
  folder.write("file", "precious");
  write_small(writer_options(folder / "mixed"));
  folder.write("mixed/notes.txt", "precious");
  for (const std::string name : {"mine", "file", "mixed"}) {
    const auto message =
        message_of<InputError>([&] { write_small(writer_options(folder / name, true)); });
    CHECK(contains(message, "not a token dataset"));
  }
  CHECK(content_of(folder / "mine/notes.txt") == "precious");
  CHECK(content_of(folder / "mixed/notes.txt") == "precious");
  CHECK(entries(folder.path()) == std::vector<std::string>{"file", "mine", "mixed"});
}

#include "data/adopt.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "data/foreign_files.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

using Ids = std::vector<std::uint64_t>;

const Tokenizer& adopting_tokenizer() {
  static const Tokenizer instance{std::filesystem::path(test_tokenizer())};
  return instance;
}

AdoptOptions options_for(const std::vector<std::filesystem::path>& paths,
                         const std::filesystem::path& output) {
  AdoptOptions options;
  options.paths = paths;
  options.output = output;
  options.chunk_bytes = 16;
  return options;
}

std::vector<std::int32_t> tokens_of(const TokenDataset& dataset) {
  std::vector<std::int32_t> tokens(static_cast<std::size_t>(dataset.tokens()));
  dataset.copy_tokens(0, tokens);
  return tokens;
}

std::vector<std::uint8_t> mask_of(const TokenDataset& dataset) {
  std::vector<std::uint8_t> mask(static_cast<std::size_t>(dataset.tokens()));
  dataset.copy_loss_mask(0, mask);
  return mask;
}

std::vector<std::uint64_t> offsets_of(const TokenDataset& dataset) {
  const auto offsets = dataset.document_offsets();
  return {offsets.begin(), offsets.end()};
}

TokenDataset adopted(const AdoptOptions& options) {
  adopt(options, adopting_tokenizer());
  return TokenDataset(options.output, adopting_tokenizer().hash(), kTestVocabSize);
}

}  // namespace

TEST_CASE("Files of several formats and widths become one dataset", "[data][adopt]") {
  const TempFolder folder;
  folder.write("p.bin", id_bytes({1, 300, 2, 1, 301}, 2));
  folder.write("p.idx", megatron_index());
  folder.write("c.bin", llm_c_file(20240801, 7, 4, {1, 302, 303, 1, 304}));
  folder.write("d/chunk-0.bin", litdata_chunk({{305, 306}, {307}}, 8));
  folder.write("d/index.json",
               litdata_index("no_header_tensor:18", R"({"filename": "chunk-0.bin", "dim": 3})"));
  const auto options =
      options_for({folder / "p.idx", folder / "c.bin", folder / "d"}, folder / "out");
  const auto report = adopt(options, adopting_tokenizer());
  CHECK(report.files.size() == 3);
  CHECK(report.files[1].documents == 2);
  CHECK(report.largest_id == 307);
  CHECK(entries(folder / "out") == std::vector<std::string>{"dataset.json", "documents.bin"});
  const TokenDataset dataset(folder / "out", adopting_tokenizer().hash(), kTestVocabSize);
  CHECK(tokens_of(dataset) ==
        std::vector<std::int32_t>{1, 300, 2, 1, 301, 1, 302, 303, 1, 304, 305, 306, 307});
  CHECK(offsets_of(dataset) == Ids{0, 3, 5, 8, 10, 12, 13});
  CHECK(std::ranges::count(mask_of(dataset), 1) == 13);
  CHECK(dataset.fingerprint() == report.description.fingerprint());
  std::int64_t text_bytes = 0;
  for (const auto id : tokens_of(dataset)) text_bytes += adopting_tokenizer().text_bytes(id);
  CHECK(dataset.text_bytes() == text_bytes);
  for (std::int64_t begin = 0; begin <= 13; ++begin) {
    for (std::int64_t end = begin; end <= 13; ++end) {
      std::vector<std::int32_t> part(static_cast<std::size_t>(end - begin));
      dataset.copy_tokens(begin, part);
      const auto whole = tokens_of(dataset);
      REQUIRE(std::equal(part.begin(), part.end(), whole.begin() + begin));
    }
  }
}

TEST_CASE("Adopted tokens are those of our own format", "[data][adopt]") {
  const TempFolder folder;
  {
    TokenDatasetWriter writer(
        {folder / "own", adopting_tokenizer().hash(), kTestVocabSize, false, 16});
    writer.begin_document();
    writer.append(Tokens{1, 300, 2}, true);
    writer.begin_document();
    writer.append(Tokens{1, 301}, true);
    writer.finish();
    writer.publish();
  }
  folder.write("p.bin", id_bytes({1, 300, 2, 1, 301}, 2));
  folder.write("p.idx", megatron_index());
  const auto dataset = adopted(options_for({folder / "p.idx"}, folder / "out"));
  const TokenDataset own(folder / "own", adopting_tokenizer().hash(), kTestVocabSize);
  CHECK(tokens_of(dataset) == tokens_of(own));
  CHECK(offsets_of(dataset) == offsets_of(own));
}

TEST_CASE("Documents are found by their separator", "[data][adopt]") {
  const TempFolder folder;
  folder.write("r.npy", id_bytes({7, 300, 7, 301, 302, 7, 7, 303}, 2));
  auto options = options_for({folder / "r.npy"}, folder / "out");
  options.document_separator = 7;
  CHECK(offsets_of(adopted(options)) == Ids{0, 1, 3, 6, 7, 8});
  options.separator_place = SeparatorPlace::start;
  options.overwrite = true;
  CHECK(offsets_of(adopted(options)) == Ids{0, 2, 5, 6, 8});
  options.document_separator = 8;
  const auto message = message_of<InputError>([&] { adopt(options, adopting_tokenizer()); });
  CHECK(contains(message, "does not hold the id 8"));
  CHECK(contains(message, "--document-separator"));
  // EOS at the end where nothing is said.
  folder.write("e.npy", id_bytes({1, 300, 2, 1, 301, 2}, 2));
  CHECK(offsets_of(adopted(options_for({folder / "e.npy"}, folder / "e"))) == Ids{0, 3, 6});
}

TEST_CASE("Loss masks of others are kept", "[data][adopt]") {
  const TempFolder folder;
  folder.write("x.ds", id_bytes({1, 300, 2}, 2));
  folder.write("x.ds.index", id_bytes({3}, 8));
  folder.write("x.ds.loss", std::string("\1\0\1", 3));
  folder.write("q.bin", llm_q_file({1, 300, 301, 302, 303, 304, 305, 306, 2}, "\x06\x01"));
  folder.write("all.npy", id_bytes({300, 2}, 2));
  const auto dataset =
      adopted(options_for({folder / "all.npy", folder / "x.ds", folder / "q.bin"}, folder / "out"));
  CHECK(mask_of(dataset) == std::vector<std::uint8_t>{1, 1, 1, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 1});
  CHECK(entries(folder / "out").size() == 3);
}

TEST_CASE("All that is wrong is said at once, and nothing is left", "[data][adopt]") {
  const TempFolder folder;
  folder.write("beyond.npy", id_bytes({1, 300, 420, 2}, 2));
  folder.write("negative.npy", numpy_file("<i4", {1, 0xFFFFFFFF, 2}, 4));
  folder.write("swapped.npy", swapped(id_bytes({2, 300, 1}, 2)));
  const auto output = folder / "out";
  auto message = message_of<InputError>([&] {
    adopt(options_for({folder / "beyond.npy", folder / "negative.npy", folder / "swapped.npy"},
                      output),
          adopting_tokenizer());
  });
  CHECK(contains(message, "beyond.npy: token 2 has the id 420, beyond the vocabulary of 420 ids"));
  CHECK(contains(message, "negative.npy: token 1 has the id -1"));
  CHECK(contains(message, "swapped.npy: token 1 has the id 11265"));
  CHECK(contains(message, "in the other byte order 300"));
  CHECK_FALSE(std::filesystem::exists(output));
  auto options = options_for({folder / "none", folder.path() / "gone.idx"}, output);
  options.token_bytes = 3;
  options.document_separator = 420;
  message = message_of<InputError>([&] { adopt(options, adopting_tokenizer()); });
  for (const char* part : {"none: does not exist", "gone.idx: does not exist", "--token-bytes is 3",
                           "--document-separator is 420"})
    CHECK(contains(message, part));
  CHECK(entries(folder.path()) ==
        std::vector<std::string>{"beyond.npy", "negative.npy", "swapped.npy"});
}

TEST_CASE("An adopted file that changes is noticed, one that moves can be followed",
          "[data][adopt]") {
  const TempFolder folder;
  folder.write("e.npy", id_bytes({1, 300, 2, 1, 301, 2}, 2));
  const auto fingerprint = adopted(options_for({folder / "e.npy"}, folder / "out")).fingerprint();
  const auto refusal = [&] {
    return message_of<InputError>(
        [&] { TokenDataset(folder / "out", adopting_tokenizer().hash(), kTestVocabSize); });
  };
  folder.write("e.npy", id_bytes({1, 300, 2, 1, 302, 2}, 2));
  CHECK(contains(refusal(), "e.npy: is corrupt"));
  folder.write("e.npy", id_bytes({1, 300, 2, 1, 301}, 2));
  CHECK(contains(refusal(), "e.npy: is truncated"));
  folder.write("moved.npy", id_bytes({1, 300, 2, 1, 301, 2}, 2));
  std::string json = content_of(folder / "out/dataset.json");
  json.replace(json.find("e.npy"), 5, "moved.npy");
  folder.write("out/dataset.json", json);
  CHECK(TokenDataset(folder / "out", adopting_tokenizer().hash(), kTestVocabSize).fingerprint() ==
        fingerprint);
  json.replace(json.find("\"first_byte\": 0"), 15, "\"first_byte\": 2");
  folder.write("out/dataset.json", json);
  CHECK(contains(refusal(), "contradicts itself"));
}

TEST_CASE("An output that holds what is adopted is not replaced", "[data][adopt]") {
  const TempFolder folder;
  folder.write("in/e.npy", id_bytes({1, 300, 2}, 2));
  auto options = options_for({folder / "in/e.npy"}, folder / "in");
  options.overwrite = true;
  CHECK(contains(message_of<InputError>([&] { adopt(options, adopting_tokenizer()); }),
                 "would be replaced"));
}

TEST_CASE("Token files are opened as a dataset for as long as they are used", "[data][adopt]") {
  const TempFolder folder;
  folder.write("e.npy", id_bytes({1, 300, 2, 1, 301, 2}, 2));
  auto options = options_for({folder / "e.npy"}, folder / "out");
  options.chunk_bytes = kDatasetChunkBytes;
  const auto fingerprint = adopted(options).fingerprint();
  const auto dataset = open_foreign_tokens(folder / "e.npy", adopting_tokenizer(), kTestVocabSize);
  CHECK(dataset->path() == folder / "e.npy");
  CHECK(dataset->fingerprint() == fingerprint);
  CHECK(tokens_of(*dataset) == std::vector<std::int32_t>{1, 300, 2, 1, 301, 2});
  CHECK(offsets_of(*dataset) == Ids{0, 3, 6});
}

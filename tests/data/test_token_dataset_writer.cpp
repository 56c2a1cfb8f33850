#include "data/token_dataset_writer.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/hash.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

using Tokens = std::vector<std::int32_t>;

TokenDatasetWriterOptions options_for(const std::filesystem::path& output, bool overwrite = false,
                                      std::int64_t vocab_size = 70) {
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

std::vector<std::string> entries(const std::filesystem::path& folder) {
  std::vector<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    result.push_back(entry.path().filename().string());
  }
  std::sort(result.begin(), result.end());
  return result;
}

}  // namespace

TEST_CASE("The files of a token dataset", "[data][dataset]") {
  const TempFolder folder;
  const auto output = folder / "made/on/the/way";
  const auto description = write_small(options_for(output));
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
  write_small(options_for(folder / "d"), false);
  CHECK(content_of(folder / "d/loss_mask.bin") == std::string("\1\1\1\0\0\1\1", 7));
}

TEST_CASE("Large vocabularies take four bytes a token", "[data][dataset]") {
  const TempFolder folder;
  {
    TokenDatasetWriter writer(options_for(folder / "d", false, 70000));
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
    TokenDatasetWriter writer(options_for(folder / "d"));
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
  write_small(options_for(folder / "d"), false);
  const auto message = message_of<InputError>([&] { write_small(options_for(folder / "d")); });
  CHECK(contains(message, (folder / "d").string()));
  CHECK(contains(message, "--overwrite"));
  CHECK(entries(folder / "d").size() == 4);
  write_small(options_for(folder / "d/", true));
  CHECK(entries(folder / "d").size() == 3);
  CHECK(entries(folder.path()) == std::vector<std::string>{"d"});
}

TEST_CASE("What is not a token dataset is never replaced", "[data][dataset]") {
  const TempFolder folder;
  folder.write("mine/notes.txt", "precious");
  folder.write("file", "precious");
  write_small(options_for(folder / "mixed"));
  folder.write("mixed/notes.txt", "precious");
  for (const std::string name : {"mine", "file", "mixed"}) {
    const auto message =
        message_of<InputError>([&] { write_small(options_for(folder / name, true)); });
    CHECK(contains(message, "not a token dataset"));
  }
  CHECK(content_of(folder / "mine/notes.txt") == "precious");
  CHECK(content_of(folder / "mixed/notes.txt") == "precious");
  CHECK(entries(folder.path()) == std::vector<std::string>{"file", "mine", "mixed"});
}

#include "data/token_dataset_format.h"

#include <atomic>
#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/error.h"
#include "base/file.h"
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

TEST_CASE("A file that is changed while it is in use is told, one that is only touched is not",
          "[data][chunked]") {
  const TempFolder folder;
  const auto path = folder / "f";
  const std::string text = "0123456789abcdefghijklm";
  const auto content = write_chunked(path, text, 10, 23);
  const ChunkedFile file(path, content, 10, kAcceptAll);
  CHECK(text_of(file.verified(0, 23)) == text);
  const auto later = [&] {
    std::filesystem::last_write_time(
        path, std::filesystem::last_write_time(path) + std::chrono::seconds(1));
  };
  later();
  CHECK(text_of(file.verified(0, 23)) == text);

  auto other = text;
  other[12] = 'X';
  folder.write("f", other);
  later();
  CHECK(text_of(file.verified(0, 10)) == "0123456789");
  CHECK(contains(message_of<RunError>([&] { file.verified(0, 23); }),
                 path.string() + ": was overwritten while it was in use: the bytes from 10 to 20"));

  std::filesystem::resize_file(path, 15);
  CHECK(
      contains(message_of<RunError>([&] { file.verified(0, 1); }),
               path.string() + ": has changed while it was in use: 15 bytes where there were 23"));
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

namespace {

TokenDatasetDescription example_description() {
  TokenDatasetDescription result;
  result.tokens = 100;
  result.documents = 3;
  result.text_bytes = 321;
  result.vocab_size = 4096;
  result.tokenizer_hash = "abc";
  result.chunk_bytes = 80;
  result.token_file = {200, {"a", "b", "c"}};
  result.document_file = {32, {"d"}};
  result.loss_mask_file = {100, {"e", "f"}};
  return result;
}

std::string refusal_of_description(const std::string& text) {
  const auto message = message_of<InputError>(
      [&] { TokenDatasetDescription::from_json(text, "some/dataset.json"); });
  CHECK(message.starts_with("some/dataset.json: "));
  return message;
}

}  // namespace

TEST_CASE("dataset.json keeps a description", "[data][dataset]") {
  for (const bool masked : {true, false}) {
    auto written = example_description();
    if (!masked) written.loss_mask_file.reset();
    const auto json = nlohmann::json::parse(written.to_json());
    CHECK(json.at("format_version") == 1);
    CHECK(json.at("tokens") == 100);
    CHECK(json.at("documents") == 3);
    CHECK(json.at("text_bytes") == 321);
    CHECK(json.at("files").contains("loss_mask.bin") == masked);
    const auto read = TokenDatasetDescription::from_json(written.to_json(), "x");
    CHECK(read.to_json() == written.to_json());
    CHECK(read.fingerprint() == written.fingerprint());
    CHECK(read.loss_mask_file.has_value() == masked);
  }
}

TEST_CASE("dataset.json of labels only is of a version that older programs refuse",
          "[data][dataset]") {
  auto written = example_description();
  written.label_stand_in = 17;
  const auto json = nlohmann::json::parse(written.to_json());
  CHECK(json.at("format_version") == 2);
  CHECK(TokenDatasetDescription::from_json(written.to_json(), "x").label_stand_in == 17);
  written.label_stand_in = 4096;
  CHECK(contains(refusal_of_description(written.to_json()), "no id of the vocabulary"));
  written.label_stand_in = 17;
  written.loss_mask_file.reset();
  CHECK(contains(refusal_of_description(written.to_json()), "without loss_mask.bin"));
  auto lacking = json;
  lacking.erase("label_stand_in");
  CHECK(contains(refusal_of_description(lacking.dump()), "label_stand_in"));
}

TEST_CASE("The fingerprint depends on all that matters", "[data][dataset]") {
  const std::string base = example_description().fingerprint();
  CHECK(base.size() == 32);
  auto other = example_description();
  other.token_file.chunk_hashes[1] = "x";
  CHECK(other.fingerprint() != base);
  other = example_description();
  other.document_file.chunk_hashes[0] = "x";
  CHECK(other.fingerprint() != base);
  other = example_description();
  other.loss_mask_file.reset();
  CHECK(other.fingerprint() != base);
  other = example_description();
  other.tokenizer_hash = "x";
  CHECK(other.fingerprint() != base);
  other = example_description();
  other.text_bytes = 1;
  CHECK(other.fingerprint() != base);
  other = example_description();
  other.label_stand_in = 0;
  CHECK(other.fingerprint() != base);
}

TEST_CASE("Pieces of other files take the place of tokens.bin", "[data][dataset]") {
  auto written = example_description();
  written.token_file = {};
  written.token_bytes = 2;
  written.pieces = {{"/a/x.bin", {1024, 1184}, 2, 80, {160, {"a", "b"}}},
                    {"/b/y.bin", {0, 200}, 8, 20, {160, {"c", "d"}}}};
  written.chunk_bytes = 80;
  written.document_file.bytes = 8 * (static_cast<std::uint64_t>(written.documents) + 1);
  written.document_file.chunk_hashes.assign((written.document_file.bytes + 79) / 80, "e");
  written.loss_mask_file.reset();
  const auto read = TokenDatasetDescription::from_json(written.to_json(), "x");
  REQUIRE(read.pieces.size() == 2);
  CHECK(read.pieces[0].file == "/a/x.bin");
  CHECK(read.pieces[0].part.first_byte == 1024);
  CHECK(read.pieces[1].token_bytes == 8);
  CHECK(read.pieces[1].content.bytes == 160);
  CHECK(read.fingerprint() == written.fingerprint());
  CHECK(contains(written.to_json(), "\"format_version\": 3"));
  auto moved = written;
  moved.pieces[0].file = "/elsewhere";
  CHECK(moved.fingerprint() == written.fingerprint());
  moved.pieces[0].content.chunk_hashes[1] = "x";
  CHECK(moved.fingerprint() != written.fingerprint());

  const auto changed = [&](const std::string& key, const nlohmann::json& value) {
    auto json = nlohmann::json::parse(written.to_json());
    json["token_files"][1][key] = value;
    return refusal_of_description(json.dump());
  };
  CHECK(contains(changed("token_bytes", 3), "is not 2, 4 or 8"));
  CHECK(contains(changed("tokens", 19), "contradicts itself"));
  CHECK(contains(changed("tokens", -20), "contradicts itself"));
  CHECK(contains(changed("file_bytes", 159), "do not fit into it"));
  CHECK(contains(changed("first_byte", 201), "do not fit into it"));
  CHECK(contains(changed("chunk_hashes", nlohmann::json::array({"c"})), "hashes"));
  CHECK(contains(changed("file", 7), "does not describe"));
}

TEST_CASE("Ids of two or four bytes", "[data][dataset]") {
  CHECK(token_bytes_for(300) == 2);
  CHECK(token_bytes_for(65536) == 2);
  CHECK(token_bytes_for(65537) == 4);
}

TEST_CASE("Malformed descriptions are refused", "[data][dataset]") {
  const auto good = nlohmann::json::parse(example_description().to_json());
  CHECK(contains(refusal_of_description(""), "not valid JSON"));
  CHECK(contains(refusal_of_description(good.dump().substr(0, 40)), "not valid JSON"));
  CHECK(contains(refusal_of_description("[]"), "does not describe"));
  for (const std::string key :
       {"format_version", "tokens", "documents", "text_bytes", "token_bytes", "vocab_size",
        "tokenizer_hash", "chunk_bytes", "files", "fingerprint"}) {
    auto json = good;
    json.erase(key);
    CHECK(contains(refusal_of_description(json.dump()), key));
  }
  const auto changed = [&good](const std::string& key, const nlohmann::json& value) {
    auto json = good;
    json[key] = value;
    return refusal_of_description(json.dump());
  };
  CHECK(contains(changed("format_version", 4), "format version 4"));
  CHECK(contains(changed("tokens", "many"), "does not describe"));
  CHECK(contains(changed("tokens", 101), "contradicts itself"));
  CHECK(contains(changed("tokens", 0), "contradicts itself"));
  CHECK(contains(changed("tokens", -5), "contradicts itself"));
  CHECK(contains(changed("documents", 4), "contradicts itself"));
  CHECK(contains(changed("vocab_size", 100000), "contradicts itself"));
  CHECK(contains(changed("chunk_bytes", 0), "contradicts itself"));
  CHECK(contains(changed("tokenizer_hash", "abd"), "was changed"));
  CHECK(contains(changed("text_bytes", 322), "was changed"));
}

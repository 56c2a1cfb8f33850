#include "data/token_dataset_description.h"

#include <nlohmann/json.hpp>
#include <string>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

TokenDatasetDescription example() {
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

std::string refusal(const std::string& text) {
  const auto message = message_of<InputError>(
      [&] { TokenDatasetDescription::from_json(text, "some/dataset.json"); });
  CHECK(message.starts_with("some/dataset.json: "));
  return message;
}

}  // namespace

TEST_CASE("dataset.json keeps a description", "[data][dataset]") {
  for (const bool masked : {true, false}) {
    auto written = example();
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

TEST_CASE("The fingerprint depends on all that matters", "[data][dataset]") {
  const std::string base = example().fingerprint();
  CHECK(base.size() == 32);
  auto other = example();
  other.token_file.chunk_hashes[1] = "x";
  CHECK(other.fingerprint() != base);
  other = example();
  other.document_file.chunk_hashes[0] = "x";
  CHECK(other.fingerprint() != base);
  other = example();
  other.loss_mask_file.reset();
  CHECK(other.fingerprint() != base);
  other = example();
  other.tokenizer_hash = "x";
  CHECK(other.fingerprint() != base);
  other = example();
  other.text_bytes = 1;
  CHECK(other.fingerprint() != base);
}

TEST_CASE("Ids of two or four bytes", "[data][dataset]") {
  CHECK(token_bytes_for(300) == 2);
  CHECK(token_bytes_for(65536) == 2);
  CHECK(token_bytes_for(65537) == 4);
}

TEST_CASE("Malformed descriptions are refused", "[data][dataset]") {
  const auto good = nlohmann::json::parse(example().to_json());
  CHECK(contains(refusal(""), "not valid JSON"));
  CHECK(contains(refusal(good.dump().substr(0, 40)), "not valid JSON"));
  CHECK(contains(refusal("[]"), "does not describe"));
  for (const std::string key :
       {"format_version", "tokens", "documents", "text_bytes", "token_bytes", "vocab_size",
        "tokenizer_hash", "chunk_bytes", "files", "fingerprint"}) {
    auto json = good;
    json.erase(key);
    CHECK(contains(refusal(json.dump()), key));
  }
  const auto changed = [&good](const std::string& key, const nlohmann::json& value) {
    auto json = good;
    json[key] = value;
    return refusal(json.dump());
  };
  CHECK(contains(changed("format_version", 2), "format version 2"));
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

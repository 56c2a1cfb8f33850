#include "data/dataset_parts.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "data/token_dataset.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

struct Whole {
  std::vector<std::int32_t> tokens;
  std::vector<std::uint8_t> mask;
  std::vector<std::uint64_t> offsets;
  bool operator==(const Whole&) const = default;
};

Whole whole_of(const TokenDataset& dataset) {
  const auto size = static_cast<std::size_t>(dataset.tokens());
  const auto offsets = dataset.document_offsets();
  Whole whole{std::vector<std::int32_t>(size),
              std::vector<std::uint8_t>(size),
              {offsets.begin(), offsets.end()}};
  dataset.copy_tokens(0, whole.tokens);
  dataset.copy_loss_mask(0, whole.mask);
  return whole;
}

Whole joined(Whole first, const Whole& second) {
  const auto begin = first.offsets.back();
  first.tokens.insert(first.tokens.end(), second.tokens.begin(), second.tokens.end());
  first.mask.insert(first.mask.end(), second.mask.begin(), second.mask.end());
  for (std::size_t i = 1; i < second.offsets.size(); ++i)
    first.offsets.push_back(begin + second.offsets[i]);
  return first;
}

/// Documents of those lengths, with counting ids; the second token of each counts or does not.
void write_documents(const std::filesystem::path& output, const std::vector<int>& lengths,
                     bool masked, const std::string& hash = "hash", std::int64_t vocab = 1000,
                     std::optional<std::int32_t> stand_in = std::nullopt) {
  TokenDatasetWriter writer({output, hash, vocab, false, 16, stand_in});
  std::int32_t id = 0;
  for (const int length : lengths) {
    writer.begin_document();
    for (int i = 0; i < length; ++i) writer.append(Tokens{id++}, !masked || i != 1);
  }
  writer.add_text_bytes(1000);
  writer.finish();
  writer.publish();
}

}  // namespace

TEST_CASE("Merged datasets read as one after the other, and nothing is copied",
          "[data][dataset_parts]") {
  const TempFolder folder;
  write_documents(folder / "a", {3, 20, 5}, false);
  write_documents(folder / "b", {7, 9}, true);
  const auto description =
      merge_datasets({{folder / "a", folder / "b", folder / "a"}, folder / "all", false});
  CHECK(description.documents == 8);
  CHECK(description.text_bytes == 3000);
  CHECK(entries(folder / "all") ==
        std::vector<std::string>{"dataset.json", "documents.bin", "loss_mask.bin"});
  const auto a = whole_of(TokenDataset(folder / "a")), b = whole_of(TokenDataset(folder / "b"));
  const TokenDataset all(folder / "all", "hash", 1000);
  CHECK(whole_of(all) == joined(joined(a, b), a));
  CHECK(all.fingerprint() == description.fingerprint());
  // Merged ones are datasets like any other.
  merge_datasets({{folder / "all", folder / "b"}, folder / "more", false});
  CHECK(whole_of(TokenDataset(folder / "more")) == joined(whole_of(all), b));
}

TEST_CASE("The parts of a split dataset are the whole", "[data][dataset_parts]") {
  for (const bool masked : {false, true}) {
    for (const double holdout : {0.01, 0.3, 0.5, 0.99}) {
      const TempFolder folder;
      write_documents(folder / "a", {3, 20, 5, 11, 6}, masked);
      const auto report =
          split_dataset({folder / "a", folder / "most", folder / "rest", holdout, false});
      CHECK(report.dataset.documents >= 1);
      CHECK(report.holdout.documents >= 1);
      CHECK(report.dataset.text_bytes + report.holdout.text_bytes == 1000);
      const TokenDataset most(folder / "most"), rest(folder / "rest");
      CHECK(joined(whole_of(most), whole_of(rest)) == whole_of(TokenDataset(folder / "a")));
      merge_datasets({{folder / "most", folder / "rest"}, folder / "again", false});
      CHECK(whole_of(TokenDataset(folder / "again")) == whole_of(TokenDataset(folder / "a")));
    }
  }
  const TempFolder folder;
  write_documents(folder / "a", {3, 20, 5, 11, 6}, false);
  const auto report = split_dataset({folder / "a", folder / "most", folder / "rest", 0.3, false});
  CHECK(report.holdout.documents == 1);  // 45 tokens: the first end of a document from 31 on is 39
}

TEST_CASE("What does not belong together is not merged", "[data][dataset_parts]") {
  const TempFolder folder;
  write_documents(folder / "a", {3, 4}, false);
  write_documents(folder / "other", {3, 4}, false, "other hash");
  write_documents(folder / "labels", {3, 4}, true, "hash", 1000, 7);
  const auto message = message_of<InputError>([&] {
    merge_datasets({{folder / "a", folder / "none", folder / "other", folder / "labels"},
                    folder / "all",
                    false});
  });
  CHECK(contains(message, (folder / "none").string() + ": does not exist"));
  CHECK(contains(message, "another tokenizer"));
  CHECK(contains(message, "a label that nobody reads"));
  CHECK(contains(message_of<InputError>([&] {
                   merge_datasets({{folder / "a"}, folder / "a", true});
                 }),
                 "would be replaced"));
  CHECK(contains(message_of<InputError>([&] {
                   split_dataset({folder / "a", folder / "x", folder / "x/y", 0.5, false});
                 }),
                 "a folder of its own"));
  write_documents(folder / "one", {5}, false);
  CHECK(contains(message_of<InputError>([&] {
                   split_dataset({folder / "one", folder / "x", folder / "y", 0.5, false});
                 }),
                 "one document"));
  CHECK(entries(folder.path()) == std::vector<std::string>{"a", "labels", "one", "other"});
}

TEST_CASE("A corrupt dataset is not split", "[data][dataset_parts]") {
  const TempFolder folder;
  write_documents(folder / "a", {30, 40}, false);
  std::string tokens = content_of(folder / "a/tokens.bin");
  tokens[90] = static_cast<char>(tokens[90] ^ 1);
  folder.write("a/tokens.bin", tokens);
  CHECK(contains(message_of<InputError>([&] {
                   split_dataset({folder / "a", folder / "x", folder / "y", 0.5, false});
                 }),
                 "is corrupt"));
  CHECK(entries(folder.path()) == std::vector<std::string>{"a"});
}

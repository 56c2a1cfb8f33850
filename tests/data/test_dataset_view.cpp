#include "data/dataset_view.h"

#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

struct Run {
  std::int64_t document, begin;
  bool begins, counts;
  std::vector<std::int32_t> ids;
  bool operator==(const Run&) const = default;
};

std::vector<Run> runs_of(const DatasetView& view) {
  std::vector<Run> runs;
  for (const auto& run : view.runs)
    runs.push_back({run.document, run.begin, run.begins_document, run.counts, run.ids});
  return runs;
}

/// 10 11 12x 13x 14 | 20 21 | 30 31 32 33, those with x not being targets.
TokenDataset example_dataset(const TempFolder& folder) {
  {
    TokenDatasetWriter writer({folder / "d", "hash", 1000, false, 16});
    writer.begin_document();
    writer.append(Tokens{10, 11}, true);
    writer.append(Tokens{12, 13}, false);
    writer.append(Tokens{14}, true);
    writer.begin_document();
    writer.append(Tokens{20, 21}, true);
    writer.begin_document();
    writer.append(Tokens{30, 31, 32, 33}, true);
    writer.finish();
    writer.publish();
  }
  return TokenDataset(folder / "d");
}

}  // namespace

TEST_CASE("A document is shown with what counts", "[data][view]") {
  const TempFolder folder;
  const auto dataset = example_dataset(folder);
  const auto view = view_document(dataset, 0, 0);
  CHECK(runs_of(view) == std::vector<Run>{{0, 0, true, false, {10}},
                                          {0, 1, false, true, {11}},
                                          {0, 2, false, false, {12, 13}},
                                          {0, 4, false, true, {14}}});
  CHECK(view.targets() == 2);
  CHECK(runs_of(view_document(dataset, 2, 2)) ==
        std::vector<Run>{{2, 7, true, false, {30}}, {2, 8, false, true, {31}}});
  CHECK_THROWS_AS(view_document(dataset, 3, 0), InputError);
}

TEST_CASE("A sample is shown as a run cuts it", "[data][view]") {
  const TempFolder folder;
  const auto dataset = example_dataset(folder);
  CHECK(runs_of(view_sample(dataset, 1, 4, true)) == std::vector<Run>{{0, 4, false, false, {14}},
                                                                      {1, 5, true, false, {20}},
                                                                      {1, 6, false, true, {21}},
                                                                      {2, 7, true, false, {30}},
                                                                      {2, 8, false, true, {31}}});
  CHECK(runs_of(view_sample(dataset, 1, 4, false)) ==
        std::vector<Run>{{0, 4, false, false, {14}},
                         {1, 5, true, true, {20, 21}},
                         {2, 7, true, true, {30, 31}}});
  CHECK(contains(message_of<InputError>([&] { view_sample(dataset, 2, 4, true); }),
                 "numbered from 0 to 1"));
  CHECK(contains(message_of<InputError>([&] { view_sample(dataset, 0, 11, true); }),
                 "fewer than one sample"));
}

TEST_CASE("A sample of whole documents is shown as it is planned", "[data][view]") {
  const TempFolder folder;
  const auto dataset = example_dataset(folder);
  const SamplePlan plan(dataset.document_offsets(), {7, Overflow::error, 1}, "d");
  CHECK(runs_of(view_planned_sample(dataset, plan, 0)) ==
        std::vector<Run>{{0, 0, true, false, {10}},
                         {0, 1, false, true, {11}},
                         {0, 2, false, false, {12, 13}},
                         {0, 4, false, true, {14}},
                         {2, 7, true, false, {30}},
                         {2, 8, false, true, {31, 32, 33}}});
  CHECK(view_planned_sample(dataset, plan, 1).targets() == 1);
  CHECK(contains(message_of<InputError>([&] { view_planned_sample(dataset, plan, 2); }),
                 "numbered from 0 to 1"));
}

TEST_CASE("Lengths of documents, and targets", "[data][view]") {
  const TempFolder folder;
  const auto statistics = statistics_of(example_dataset(folder));
  CHECK(statistics.targets == 9);
  CHECK(statistics.shortest == 2);
  CHECK(statistics.median == 4);
  CHECK(statistics.longest == 5);
  CHECK(statistics.mean == 11.0 / 3.0);
}

TEST_CASE("The text of ids is that of the whole, cut anywhere", "[data][view]") {
  const TempFolder folder;
  for (const auto& model : {test_tokenizer(), foreign_tokenizer(folder, {})}) {
    const Tokenizer tokenizer{std::filesystem::path(model)};
    const std::string text = "return value for index in range";
    auto ids = tokenizer.encode(text);
    REQUIRE(ids.size() > 4);
    for (std::size_t cut = 1; cut < ids.size(); ++cut) {
      const std::span<const std::int32_t> all = ids;
      CHECK(text_of_ids(tokenizer, -1, all.first(cut)) +
                text_of_ids(tokenizer, ids[cut - 1], all.subspan(cut)) ==
            text);
    }
    ids.insert(ids.begin(), tokenizer.bos());
    ids.push_back(tokenizer.eos());
    CHECK(text_of_ids(tokenizer, -1, ids) == "<BOS>" + text + "<EOS>");
  }
}

#include "data/sample_plan.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <set>

#include "base/error.h"
#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

std::vector<std::uint64_t> offsets_of(const std::vector<std::int64_t>& lengths) {
  std::vector<std::uint64_t> offsets = {0};
  for (const auto length : lengths)
    offsets.push_back(offsets.back() + static_cast<std::uint64_t>(length));
  return offsets;
}

std::vector<std::int64_t> random_lengths(unsigned seed, int documents, unsigned longest) {
  std::mt19937 random(seed);
  std::vector<std::int64_t> lengths;
  for (int i = 0; i < documents; ++i)
    lengths.push_back(2 + random() % (random() % 3 == 0 ? longest - 1 : longest / 4));
  return lengths;
}

SamplePlan plan_of(const std::vector<std::int64_t>& lengths, std::int64_t length,
                   Overflow overflow = Overflow::error, std::uint64_t seed = 1) {
  return {offsets_of(lengths), {length, overflow, seed}, "data"};
}

/// Best fit decreasing as the books have it: of all samples in which an item fits the fullest.
std::vector<std::int64_t> room_by_the_book(std::vector<std::int64_t> items, std::int64_t length) {
  std::ranges::sort(items, std::greater());
  std::vector<std::int64_t> room;
  for (const auto item : items) {
    auto best = room.end();
    for (auto it = room.begin(); it != room.end(); ++it)
      if (*it >= item && (best == room.end() || *it < *best)) best = it;
    if (best == room.end()) {
      room.push_back(length - item);
    } else {
      *best -= item;
    }
  }
  std::ranges::sort(room);
  return room;
}

std::vector<std::int64_t> room_in(const SamplePlan& plan, std::int64_t length) {
  std::vector<std::int64_t> room;
  for (std::int64_t s = 0; s < plan.samples(); ++s) {
    std::int64_t left = length;
    for (const auto& part : plan.parts(s)) left -= part.inputs;
    room.push_back(left);
  }
  std::ranges::sort(room);
  return room;
}

std::vector<std::vector<DocumentPart>> all_parts(const SamplePlan& plan) {
  std::vector<std::vector<DocumentPart>> samples;
  for (std::int64_t s = 0; s < plan.samples(); ++s)
    samples.emplace_back(plan.parts(s).begin(), plan.parts(s).end());
  return samples;
}

TokenDataset dataset_with(const TempFolder& folder, const std::vector<std::int64_t>& lengths) {
  TokenDatasetWriter writer(
      {.output = folder / "d", .tokenizer_hash = "hash", .vocab_size = 300, .overwrite = true});
  for (const auto length : lengths) {
    writer.begin_document();
    writer.append(std::vector<std::int32_t>(static_cast<std::size_t>(length), 5), true);
  }
  writer.finish();
  writer.publish();
  return TokenDataset(folder / "d");
}

}  // namespace

TEST_CASE("Whole documents are packed by best fit, the longest first", "[data][sample_plan]") {
  for (unsigned seed = 0; seed < 20; ++seed) {
    const auto lengths = random_lengths(seed, 300, 97);
    std::vector<std::int64_t> inputs;
    for (const auto length : lengths) inputs.push_back(length - 1);
    const auto plan = plan_of(lengths, 97);
    CHECK(room_in(plan, 97) == room_by_the_book(inputs, 97));
    CHECK(plan.counts().documents == 300);
    CHECK(plan.counts().padding ==
          plan.samples() * 97 - std::accumulate(inputs.begin(), inputs.end(), std::int64_t{0}));
  }
}

TEST_CASE("Every document has one place", "[data][sample_plan]") {
  const auto lengths = random_lengths(3, 500, 64);
  const auto offsets = offsets_of(lengths);
  std::map<std::int64_t, std::int64_t> inputs_at;
  for (const auto& sample : all_parts(plan_of(lengths, 64))) {
    CHECK(std::ranges::is_sorted(sample, std::greater(), &DocumentPart::inputs));
    for (const auto& part : sample) CHECK(inputs_at.emplace(part.begin, part.inputs).second);
  }
  CHECK(inputs_at.size() == lengths.size());
  for (std::size_t i = 0; i < lengths.size(); ++i)
    CHECK(inputs_at[static_cast<std::int64_t>(offsets[i])] == lengths[i] - 1);
}

TEST_CASE("The seed decides which documents of one length go together", "[data][sample_plan]") {
  const auto lengths = random_lengths(5, 400, 40);
  const auto first = plan_of(lengths, 80), again = plan_of(lengths, 80),
             other = plan_of(lengths, 80, Overflow::error, 2);
  CHECK(all_parts(first) == all_parts(again));
  CHECK(all_parts(first) != all_parts(other));
  CHECK(room_in(first, 80) == room_in(other, 80));
}

TEST_CASE("A document fits that has one token more than a sample has inputs",
          "[data][sample_plan]") {
  CHECK(plan_of({11}, 10).samples() == 1);
  CHECK(plan_of({11}, 10).counts().padding == 0);
  const auto message = message_of<InputError>([] { plan_of({12, 3, 30}, 10); });
  CHECK(contains(message, "data: 2 of its documents"));
  CHECK(contains(message, "longest has 30"));
  CHECK(contains(message, "data.sequence_length to 29"));
  CHECK(contains(message, "drop or split"));
}

TEST_CASE("Documents that are too long are dropped and counted", "[data][sample_plan]") {
  const auto plan = plan_of({12, 3, 1, 30, 8}, 10, Overflow::drop);
  CHECK(all_parts(plan) == std::vector<std::vector<DocumentPart>>{{{46, 7}, {12, 2}}});
  CHECK(plan.counts().documents == 2);
  CHECK(plan.counts().too_long == 2);
  CHECK(plan.counts().one_token == 1);
  CHECK(plan.counts().padding == 1);
}

TEST_CASE("Documents that are split have every token but the first predicted once",
          "[data][sample_plan]") {
  const auto lengths = random_lengths(7, 200, 95);
  const auto offsets = offsets_of(lengths);
  const auto plan = plan_of(lengths, 20, Overflow::split);
  std::multiset<std::int64_t> predicted, expected;
  for (const auto& sample : all_parts(plan)) {
    std::int64_t inputs = 0;
    for (const auto& part : sample) {
      inputs += part.inputs;
      for (std::int64_t t = 1; t <= part.inputs; ++t) predicted.insert(part.begin + t);
    }
    CHECK(inputs <= 20);
  }
  for (std::size_t i = 0; i < lengths.size(); ++i)
    for (std::int64_t t = 1; t < lengths[i]; ++t)
      expected.insert(static_cast<std::int64_t>(offsets[i]) + t);
  CHECK(predicted == expected);
  CHECK(plan.counts().too_long ==
        std::ranges::count_if(lengths, [](std::int64_t length) { return length > 21; }));
  CHECK(all_parts(plan_of({41}, 20, Overflow::split)) ==
        std::vector<std::vector<DocumentPart>>{{{20, 20}}, {{0, 20}}});
}

TEST_CASE("A stored plan is what the next start has", "[data][sample_plan]") {
  const TempFolder folder;
  const auto dataset = dataset_with(folder, random_lengths(9, 100, 30));
  const SamplePlanOptions options = {30, Overflow::error, 4};
  const auto made = open_sample_plan(folder / "packing", dataset, options);
  CHECK_FALSE(std::filesystem::exists(folder / "packing"));
  made.store(folder / "packing", dataset, options);
  const auto names = entries(folder / "packing");
  REQUIRE(names.size() == 1);
  const auto file = folder / "packing" / names[0];
  const auto read = open_sample_plan(folder / "packing", dataset, options);
  CHECK(all_parts(read) == all_parts(made));
  CHECK(read.counts().padding == made.counts().padding);

  const auto with_other_seed =
      open_sample_plan(folder / "packing", dataset, {30, Overflow::error, 5});
  CHECK(all_parts(with_other_seed) != all_parts(made));

  for (const std::string damage : {"", "zebra sample plan 1\n", "cut", "flipped"}) {
    std::string content = content_of(file);
    if (damage == "cut") content.resize(content.size() - 8);
    if (damage == "flipped") content[content.size() / 2] ^= 1;
    folder.write("packing/" + names[0], damage == "cut" || damage == "flipped" ? content : damage);
    CHECK(all_parts(open_sample_plan(folder / "packing", dataset, options)) == all_parts(made));
    made.store(folder / "packing", dataset, options);
  }
}

#include "data/probe_dataset.h"

#include <fstream>
#include <numeric>

#include "data_support.h"

using namespace zebra;
using namespace zebra::test;

namespace {

constexpr std::int64_t kLength = 67;

ProbeDatasetOptions probe_options(const std::filesystem::path& output) {
  return {.tokenizer = test_tokenizer(),
          .output = output,
          .length = kLength,
          .bands = {5, 3},
          .sequences = 11,
          .tasks = {ProbeTask::copying, ProbeTask::associative_recall, ProbeTask::passkey},
          .seed = 9,
          .vocabulary = {.keys = 20, .values = 10}};
}

}  // namespace

TEST_CASE("A probe dataset holds the tasks in turn, and only answers count", "[data][probes]") {
  const TempFolder folder;
  const auto options = probe_options(folder / "probes");
  const auto report = write_probe_dataset(options);
  const auto dataset = open_dataset(options.output);
  CHECK(report.sequences == 11);
  CHECK(report.tokens == 11 * kLength);
  CHECK(report.fingerprint == dataset.fingerprint());
  CHECK(dataset.documents() == 11);
  REQUIRE(dataset.tokens() == 11 * kLength);

  const Tokenizer tokenizer(test_tokenizer());
  const ProbeVocabulary vocabulary(tokenizer, options.vocabulary);
  CHECK(dataset.has_labels_only());
  std::vector<std::int32_t> tokens(kLength), inputs(kLength);
  std::vector<std::uint8_t> mask(kLength);
  std::array<std::int64_t, kDistanceBands> answers = {};
  std::int64_t text_bytes = 0;
  for (std::int64_t i = 0; i < 11; ++i) {
    CAPTURE(i);
    CHECK(dataset.document_offsets()[static_cast<std::size_t>(i)] ==
          static_cast<std::uint64_t>(i * kLength));
    dataset.copy_tokens(i * kLength, tokens);
    dataset.copy_inputs(i * kLength, inputs);
    dataset.copy_loss_mask(i * kLength, mask);
    const auto sequence =
        make_probe({options.tasks[static_cast<std::size_t>(i) % 3], {5, 3}, kLength}, vocabulary,
                   {ProbeSplit::training, 9, static_cast<std::uint64_t>(i)});
    CHECK(inputs == sequence.tokens);
    auto with_labels = sequence.tokens;
    for (const auto& answer : sequence.answers)
      with_labels[static_cast<std::size_t>(answer.position)] = answer.token;
    CHECK(tokens == with_labels);
    std::vector<std::uint8_t> expected_mask(kLength, 0);
    for (const auto& answer : sequence.answers) {
      expected_mask[static_cast<std::size_t>(answer.position)] = 1;
      ++answers[static_cast<std::size_t>(options.bands.band_of(answer.distance))];
    }
    CHECK(mask == expected_mask);
    for (const auto token : tokens) text_bytes += tokenizer.text_bytes(token);
  }
  CHECK(report.answers == answers);
  // Four strings of 4, four sequences of 10 / 2 questions, three passkeys.
  CHECK(std::accumulate(answers.begin(), answers.end(), std::int64_t{0}) == 4 * 4 + 4 * 5 + 3);
  CHECK(dataset.text_bytes() == text_bytes);
}

TEST_CASE("A probe dataset is the same each time, and another for another seed", "[data][probes]") {
  const TempFolder folder;
  const auto once = write_probe_dataset(probe_options(folder / "once"));
  CHECK(write_probe_dataset(probe_options(folder / "twice")).fingerprint == once.fingerprint);
  auto other = probe_options(folder / "other");
  other.seed = 10;
  CHECK(write_probe_dataset(other).fingerprint != once.fingerprint);
  // More sequences begin with the same ones.
  auto more = probe_options(folder / "more");
  more.sequences = 12;
  write_probe_dataset(more);
  std::vector<std::int32_t> tokens(11 * kLength), first_tokens(11 * kLength);
  open_dataset(folder / "once").copy_tokens(0, tokens);
  open_dataset(folder / "more").copy_tokens(0, first_tokens);
  CHECK(tokens == first_tokens);
}

TEST_CASE("The difficulties of a task take turns", "[data][probes]") {
  const TempFolder folder;
  auto options = probe_options(folder / "probes");
  options.tasks = {ProbeTask::passkey, ProbeTask::variable_tracking};
  options.pairs = {2, 3};
  options.hops = {1, 2};
  options.sequences = 16;
  write_probe_dataset(options);
  const auto dataset = open_dataset(options.output);
  const Tokenizer tokenizer(test_tokenizer());
  const ProbeVocabulary vocabulary(tokenizer, options.vocabulary);
  std::vector<std::int64_t> values;  // of each sequence
  for (std::int64_t i = 0; i < 16; ++i) {
    std::vector<std::int32_t> inputs(kLength);
    dataset.copy_inputs(i * kLength, inputs);
    values.push_back(
        std::ranges::count_if(inputs, [&](auto token) { return vocabulary.is_value(token); }));
  }
  CHECK(values == std::vector<std::int64_t>{2, 2, 3, 2, 2, 3, 3, 3, 2, 2, 3, 2, 2, 3, 3, 3});
}

TEST_CASE("All that is wrong with the options is told at once", "[data][probes]") {
  const TempFolder folder;
  auto options = probe_options(folder / "there/probes");
  options.length = 10;
  options.bands = {0, 0};
  options.sequences = 1;
  options.vocabulary = {.keys = 3, .values = 0};
  const auto message_for = [](const ProbeDatasetOptions& bad) {
    return message_of<InputError>([&] { write_probe_dataset(bad); });
  };
  for (const auto& tokenizer : {test_tokenizer(), (folder / "gone.model").string()}) {
    options.tokenizer = tokenizer;
    const auto message = message_for(options);
    for (const std::string part : {"no room for copying", "window is 0", "layers is 0",
                                   "sequences is 1", "keys is 3", "values is 0"}) {
      CAPTURE(part, message);
      CHECK(contains(message, part));
      CHECK(message.find(part) == message.rfind(part));
    }
    CHECK_FALSE(contains(message, "associative_recall"));
    CHECK(contains(message, "gone.model") == (tokenizer != test_tokenizer()));
  }
  options.tasks.clear();
  CHECK(contains(message_for(options), "no task is named"));
  CHECK_FALSE(std::filesystem::exists(folder / "there"));
}

TEST_CASE("A probe dataset that exists is replaced only on demand", "[data][probes]") {
  const TempFolder folder;
  auto options = probe_options(folder / "probes");
  const auto first = write_probe_dataset(options);
  options.seed = 2;
  options.sequences = 0;
  const auto message = message_of<InputError>([&] { write_probe_dataset(options); });
  CHECK(contains(message, "exists already"));
  CHECK(contains(message, "sequences is 0"));
  CHECK(open_dataset(options.output).fingerprint() == first.fingerprint);
  options.sequences = 4;
  options.overwrite = true;
  const auto second = write_probe_dataset(options);
  CHECK(open_dataset(options.output).fingerprint() == second.fingerprint);
  CHECK(open_dataset(options.output).documents() == 4);
}

#include "data/probe_dataset.h"

#include <array>
#include <optional>
#include <span>

#include "base/log.h"
#include "base/text.h"
#include "data/token_dataset.h"
#include "data/tokenizer.h"

namespace zebra {
namespace {

void check_options(const ProbeDatasetOptions& options, Problems& problems) {
  check_distance_bands(options.bands, problems);
  check_probes(options.tasks, std::array{options.length}, options.pairs, options.hops,
               options.vocabulary.keys, problems);
  if (options.tasks.empty()) {
    problems.add("no task is named: give one or more of " + join(names_of<ProbeTask>(), ", "));
  }
  if (options.sequences < 2) {
    problems.add("the number of sequences is " + std::to_string(options.sequences) +
                 ": give 2 or more; a run takes all but the last as samples");
  }
}

/// What sequences are made with and go to.
struct OpenedParts {
  std::optional<Tokenizer> tokenizer;
  std::optional<ProbeVocabulary> vocabulary;
  std::optional<TokenDatasetWriter> writer;
};

/// Opens as many parts as can be: each needs the one before.
void open_parts(const ProbeDatasetOptions& options, OpenedParts& parts) {
  Problems problems;
  check_options(options, problems);
  const auto attempt = [&problems](const auto& open) {
    try {
      open();
    } catch (const InputError& error) {
      problems.add(error.what());
    }
  };
  attempt([&] { parts.tokenizer.emplace(options.tokenizer); });
  if (!parts.tokenizer) {
    check_probe_vocabulary_sizes(options.vocabulary, problems);
    problems.throw_if_any();
  }
  attempt([&] { parts.vocabulary.emplace(*parts.tokenizer, options.vocabulary); });
  if (!parts.vocabulary) problems.throw_if_any();
  // A writer makes folders: where something else is wrong it is asked only whether it may replace.
  if (problems.empty() || std::filesystem::exists(options.output)) {
    attempt([&] {
      parts.writer.emplace(TokenDatasetWriterOptions{.output = options.output,
                                                     .tokenizer_hash = parts.tokenizer->hash(),
                                                     .vocab_size = parts.tokenizer->vocab_size(),
                                                     .overwrite = options.overwrite,
                                                     .label_stand_in = parts.vocabulary->blank()});
    });
  }
  problems.throw_if_any();
}

/// Tasks take turns, and within each task its difficulties.
ProbeSpec spec_of(const ProbeDatasetOptions& options, std::uint64_t index) {
  const auto task = options.tasks[index % options.tasks.size()];
  const auto difficulties = difficulties_of(task, options.pairs, options.hops);
  const auto turn = index / options.tasks.size() % difficulties.size();
  return {task, options.bands, options.length, options.questions, difficulties[turn]};
}

/// Appends the sequence as a document of which only the answers count as targets.
void append_document(const ProbeSequence& sequence, const Tokenizer& tokenizer,
                     TokenDatasetWriter& writer) {
  writer.begin_document();
  const std::span<const std::int32_t> tokens = sequence.tokens;
  std::size_t begin = 0;
  for (const auto& answer : sequence.answers) {
    const auto position = static_cast<std::size_t>(answer.position);
    writer.append(tokens.subspan(begin, position - begin), false);
    writer.append(std::span(&answer.token, 1), true);
    begin = position + 1;
  }
  writer.append(tokens.subspan(begin), false);
  std::int64_t text_bytes = 0;
  for (const auto token : tokens) text_bytes += tokenizer.text_bytes(token);
  writer.add_text_bytes(text_bytes);
}

}  // namespace

ProbeDatasetReport write_probe_dataset(const ProbeDatasetOptions& options) {
  OpenedParts opened;
  open_parts(options, opened);
  ProbeDatasetReport report;
  ProgressBar progress("probes", static_cast<std::uint64_t>(options.sequences), "sequences");
  for (std::int64_t i = 0; i < options.sequences; ++i) {
    const auto index = static_cast<std::uint64_t>(i);
    const auto sequence = make_probe(spec_of(options, index), *opened.vocabulary,
                                     {ProbeSplit::training, options.seed, index});
    append_document(sequence, *opened.tokenizer, *opened.writer);
    for (const auto& answer : sequence.answers) {
      ++report.answers[static_cast<std::size_t>(options.bands.band_of(answer.distance))];
    }
    progress.update(index + 1);
  }
  opened.writer->finish();
  opened.writer->publish();
  progress.finish(static_cast<std::uint64_t>(options.sequences));
  const auto& description = opened.writer->description();
  report.sequences = description.documents;
  report.tokens = description.tokens;
  report.fingerprint = description.fingerprint();
  return report;
}

}  // namespace zebra

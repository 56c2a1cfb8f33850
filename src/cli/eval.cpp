#include <algorithm>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "checkpoint/load_model.h"
#include "cli/commands.h"
#include "cli/json_file.h"
#include "data/training_data.h"
#include "eval/perplexity.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;

struct EvalOptions {
  std::string run_or_checkpoint;
  std::string data;
  std::vector<std::int64_t> lengths;
  std::int64_t max_tokens = 0;
  std::string json;
};

Perplexity evaluate_length(LoadedModel& loaded, const TokenDatasets& datasets, std::int64_t length,
                           std::int64_t max_tokens) {
  std::unique_ptr<ProgressBar> progress;
  std::int64_t evaluated = 0;
  const auto result =
      evaluate_perplexity(loaded.model, loaded.tokenizer, datasets,
                          {length, max_tokens, loaded.config.data.document_mask,
                           [&](std::int64_t done, std::int64_t total) {
                             if (!progress) {
                               progress = std::make_unique<ProgressBar>(
                                   "length " + std::to_string(length), total, "tokens");
                             }
                             progress->update(static_cast<std::uint64_t>(evaluated = done));
                           }});
  if (progress) progress->finish(static_cast<std::uint64_t>(evaluated));
  return result;
}

void print_tables(const std::vector<Perplexity>& results) {
  const auto& longest = results.back();
  std::cout << "length      loss  perplexity  bits per byte      tokens\n";
  for (const auto& result : results) {
    std::printf("%6lld  %8.4f  %10.3f  %13.4f  %10s\n", static_cast<long long>(result.length),
                result.loss(), result.perplexity(), result.bits_per_byte(),
                with_commas(result.tokens).c_str());
  }
  std::printf("\nposition at length %lld      loss\n", static_cast<long long>(longest.length));
  for (const auto& bucket : longest.by_position) {
    const std::string range =
        "[" + std::to_string(bucket.begin) + ", " + std::to_string(bucket.end) + ")";
    std::printf("%-24s  %8.4f\n", range.c_str(), bucket.loss());
  }
}

Json to_json(const std::vector<Perplexity>& results) {
  const auto& longest = results.back();
  Json by_length = Json::array();
  for (const auto& result : results)
    by_length.push_back({{"length", result.length}, {"loss", result.loss()}});
  return {{"loss", longest.loss()},
          {"perplexity", longest.perplexity()},
          {"bits_per_byte", longest.bits_per_byte()},
          {"tokens", longest.tokens},
          {"by_length", by_length},
          {"by_position", by_position_json(longest)}};
}

void run_eval(EvalOptions options) {
  Problems problems;
  check_output_path(options.json, problems);
  problems.throw_if_any();
  auto loaded = load_model(options.run_or_checkpoint);
  std::vector<DataSource> sources = loaded.config.data.validation;
  if (!options.data.empty()) sources = {{options.data, std::nullopt}};
  if (sources.empty()) {
    throw InputError(options.run_or_checkpoint +
                     ": its run has no data.validation; name a dataset with --data DIR");
  }
  const auto datasets = open_datasets(sources, loaded.tokenizer, loaded.config.model.vocab_size);
  if (options.lengths.empty()) options.lengths = {loaded.config.data.sequence_length};
  std::sort(options.lengths.begin(), options.lengths.end());

  std::vector<Perplexity> results;
  for (const auto length : options.lengths) {
    results.push_back(evaluate_length(loaded, datasets, length, options.max_tokens));
  }
  print_tables(results);
  if (!options.json.empty()) write_json(options.json, to_json(results));
}

}  // namespace

void add_eval_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Perplexity by context length and by position");
  const auto options = std::make_shared<EvalOptions>();
  command
      ->add_option("RUN_OR_CHECKPOINT", options->run_or_checkpoint,
                   "Run folder (RUN, RUN@step, RUN@best) or checkpoint folder")
      ->required();
  command->add_option("--data", options->data, "Token dataset; default: the run's validation data")
      ->type_name("DIR");
  command
      ->add_option("--lengths", options->lengths,
                   "Context lengths; default: the run's sequence length")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->type_name("N,N,…");
  command
      ->add_option("--max-tokens", options->max_tokens,
                   "Predict at most so many tokens, in whole windows; default: all")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  command->add_option("--json", options->json, "Write the figures to this file too")
      ->type_name("FILE");
  command->footer("Example: zebra eval runs/tiny --lengths 64,128 --json eval.json");
  command->callback([options] { run_eval(*options); });
}

}  // namespace zebra

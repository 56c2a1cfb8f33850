#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "base/json_reader.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "cli/data_commands.h"
#include "cli/shared_options.h"
#include "data/pack.h"
#include "data/probe_dataset.h"
#include "data/tokenizer_training.h"

namespace zebra {
namespace {

using Json = nlohmann::ordered_json;
using Rows = std::vector<std::vector<std::string>>;

// What is refused before it is asked of the machine.
constexpr double kMostThreads = 4096;
constexpr double kLongestProbe = 1 << 26;

constexpr const char* kTokenizerHelp =
    "Trains a SentencePiece tokenizer (BPE with byte fallback) that loses no character of a "
    "text.\n\n"
    "Example: zebra data tokenizer --input books/ --vocab-size 4096 --output tok.model";

constexpr const char* kPackHelp =
    "Encodes text files and JSONL into a token dataset: a folder that `data.train` of a run file "
    "names.\n\n"
    "Example: zebra data pack --input books/ more.jsonl.zst --tokenizer tok.model "
    "--output data/train --holdout 0.01 --holdout-output data/valid";

struct TokenizerCommand {
  TokenizerTrainingOptions options;
  bool json = false;
};

struct PackCommand {
  PackOptions options;
  HoldoutOptions holdout;
  bool json = false;
};

InputFormat format_named(const std::string& name) {
  if (name == "text") return InputFormat::text;
  return name == "jsonl" ? InputFormat::jsonl : InputFormat::automatic;
}

void add_input_options(CLI::App& command, DocumentReaderOptions& options) {
  command
      .add_option(
          "--input", options.inputs,
          "Files, folders (with all below, in sorted order, hidden files left out) or - for "
          "standard input; plain, gzip or Zstandard, known by content")
      ->required()
      ->type_name("FILE_OR_DIR");
  command
      .add_option_function<std::string>(
          "--format", [&options](const std::string& name) { options.format = format_named(name); },
          "auto: JSONL by name (.jsonl, .ndjson, .json.gz, .json.zst) or because the first line is "
          "a document (in a stream: by a leading {), else text; text: a file is a document; jsonl: "
          "a line is one")
      ->check(CLI::IsMember({"auto", "text", "jsonl"}))
      ->type_name("")
      ->default_str("auto");
  command
      .add_option("--field", options.field,
                  "JSONL field that holds the text. A line without it may hold \"prompt\" and "
                  "\"completion\": then only the completion's tokens count as targets")
      ->type_name("NAME")
      ->capture_default_str();
  command
      .add_option("--extensions", options.extensions,
                  "Of folders take only files with these endings, as in .py,.txt")
      ->delimiter(',')
      ->type_name("LIST");
  command.add_flag("--skip-bad-lines", options.skip_bad_lines,
                   "Count and leave out bad lines of JSONL instead of ending with an error");
  command
      .add_option("--max-line-bytes", options.max_line_bytes,
                  "A longer line of JSONL is a bad one; such as 200MB. Four times as much memory "
                  "may be needed")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->type_name("BYTES")
      ->capture_default_str();
}

Json skipped_to_json(const SkippedInput& skipped) {
  return {{"binary_files", skipped.binary_files},
          {"linked_files", skipped.linked_files},
          {"empty_documents", skipped.empty_documents},
          {"bad_lines", skipped.bad_lines}};
}

void add_skipped_rows(const SkippedInput& skipped, Rows& rows) {
  rows.push_back({"skipped binary files", with_commas(skipped.binary_files)});
  rows.push_back({"skipped files in linked folders", with_commas(skipped.linked_files)});
  rows.push_back({"skipped empty documents", with_commas(skipped.empty_documents)});
  rows.push_back({"skipped bad lines", with_commas(skipped.bad_lines)});
}

void run_tokenizer(const TokenizerCommand& command) {
  const TokenizerTrainingReport report = train_tokenizer(command.options);
  const std::string output = command.options.output.string();
  if (command.json) {
    const Json json = {{"output", output},
                       {"vocab_size", report.vocab_size},
                       {"tokenizer_hash", report.tokenizer_hash},
                       {"text_bytes", report.text_bytes},
                       {"sampled_bytes", report.sampled_bytes},
                       {"characters_as_bytes", report.characters_as_bytes},
                       {"skipped", skipped_to_json(report.skipped)},
                       {"seconds", report.seconds}};
    std::cout << json_text(json, 2);
    return;
  }
  Rows rows = {{"tokenizer", output},
               {"vocabulary size", with_commas(report.vocab_size)},
               {"hash", report.tokenizer_hash},
               {"text read", with_byte_unit(static_cast<double>(report.text_bytes))},
               {"trained on", with_byte_unit(static_cast<double>(report.sampled_bytes))}};
  add_skipped_rows(report.skipped, rows);
  rows.push_back({"time", duration_text(report.seconds)});
  std::cout << text_table(rows);
}

double bytes_per_token(const PackedDataset& dataset) {
  return static_cast<double>(dataset.text_bytes) / static_cast<double>(dataset.tokens);
}

Json dataset_to_json(const PackedDataset& dataset) {
  return {{"path", dataset.path.string()},
          {"documents", dataset.documents},
          {"tokens", dataset.tokens},
          {"text_bytes", dataset.text_bytes},
          {"bytes_per_token", bytes_per_token(dataset)},
          {"fingerprint", dataset.fingerprint}};
}

void add_dataset_rows(const PackedDataset& dataset, Rows& rows) {
  rows.push_back({"dataset", dataset.path.string()});
  rows.push_back({"  documents", with_commas(dataset.documents)});
  rows.push_back({"  tokens", with_commas(dataset.tokens)});
  rows.push_back({"  text bytes", with_commas(dataset.text_bytes)});
  rows.push_back({"  bytes per token", fixed(bytes_per_token(dataset), 3)});
  rows.push_back({"  fingerprint", dataset.fingerprint});
}

void run_pack(const PackCommand& command) {
  const PackReport report = pack(command.options);
  if (command.json) {
    Json json = dataset_to_json(report.dataset);
    if (report.holdout) json["holdout"] = dataset_to_json(*report.holdout);
    json["skipped"] = skipped_to_json(report.skipped);
    json["invalid_utf8_documents"] = report.invalid_utf8_documents;
    json["space_mark_documents"] = report.space_mark_documents;
    json["seconds"] = report.seconds;
    std::cout << json_text(json, 2);
    return;
  }
  Rows rows;
  add_dataset_rows(report.dataset, rows);
  if (report.holdout) add_dataset_rows(*report.holdout, rows);
  add_skipped_rows(report.skipped, rows);
  rows.push_back({"documents with invalid UTF-8", with_commas(report.invalid_utf8_documents)});
  rows.push_back({"documents with U+2581", with_commas(report.space_mark_documents)});
  rows.push_back({"time", duration_text(report.seconds)});
  std::cout << text_table(rows);
}

void add_tokenizer_command(CLI::App& data) {
  auto* app = data.add_subcommand("tokenizer", kTokenizerHelp);
  const auto command = std::make_shared<TokenizerCommand>();
  auto& options = command->options;
  add_input_options(*app, options.input);
  add_number(*app, "--vocab-size", &options.vocab_size, at_least(1),
             "Number of pieces, 261 reserved ones included (4096 to 65536 are common)")
      ->required();
  add_number(
      *app, "--character-coverage", &options.character_coverage, above(0).at_most(1),
      "Share of the text whose characters get pieces of their own; all others are encoded as "
      "bytes, as are rare ones where the vocabulary is too small for them",
      "SHARE");
  app->add_option("--output", options.output, "File of the tokenizer, such as tok.model")
      ->required()
      ->type_name("FILE");
  app->add_flag("--overwrite", options.overwrite, "Replace the output if it is a tokenizer");
  app->add_flag("--json", command->json, "Print the report as JSON");
  app->callback([command] { run_tokenizer(*command); });
}

void add_pack_command(CLI::App& data) {
  auto* app = data.add_subcommand("pack", kPackHelp);
  const auto command = std::make_shared<PackCommand>();
  auto& options = command->options;
  add_input_options(*app, options.input);
  app->add_option("--tokenizer", options.tokenizer,
                  "SentencePiece model or tokenizer.json of the runs to come")
      ->required()
      ->type_name("FILE");
  app->add_option("--output", options.output, "Folder to make")->required()->type_name("DIR");
  add_number(*app, "--threads", &options.threads, between(0, kMostThreads),
             "Threads that encode; 0: one for each core");
  app->add_flag("--overwrite", options.overwrite,
                "Replace the outputs if they are token datasets already");
  auto* fraction =
      add_number(*app, "--holdout", &command->holdout.fraction, above(0).below(1),
                 "Share of the documents, such as 0.01, to hold out for validation; of a single "
                 "text file the end, at a line",
                 "FRACTION");
  auto* output = app->add_option("--holdout-output", command->holdout.output,
                                 "Folder to make for the held-out documents")
                     ->type_name("DIR")
                     ->needs(fraction);
  fraction->needs(output);
  app->add_option("--holdout-seed", command->holdout.seed, "Chooses which documents are held out")
      ->type_name("N")
      ->needs(fraction)
      ->capture_default_str();
  app->add_flag("--json", command->json, "Print the report as JSON");
  app->callback([command, fraction] {
    if (fraction->count() > 0) command->options.holdout = command->holdout;
    run_pack(*command);
  });
}

struct ProbesCommand {
  ProbeDatasetOptions options;
  std::vector<std::string> tasks = names_of<ProbeTask>();
};

std::string shares_of_answers(const ProbeDatasetReport& report) {
  const auto all = std::accumulate(report.answers.begin(), report.answers.end(), std::int64_t{0});
  std::vector<std::string> shares;
  for (const auto band : kAllDistanceBands) {
    const auto answers = report.answers[static_cast<std::size_t>(band)];
    const double percent = 100.0 * static_cast<double>(answers) / static_cast<double>(all);
    shares.push_back(fixed(percent, 1) + "% " + name_of(band));
  }
  return with_commas(all) + " answers count as targets (" + join(shares, ", ") + ")";
}

void run_probes(const ProbesCommand& command) {
  ProbeDatasetOptions options = command.options;
  for (const auto& name : command.tasks)
    options.tasks.push_back(value_named<ProbeTask>(name).value());
  const auto report = write_probe_dataset(options);
  std::cout << options.output.string() << ": " << with_commas(report.sequences) << " sequences, "
            << with_commas(report.tokens) << " tokens, of which " << shares_of_answers(report)
            << "; fingerprint " << report.fingerprint << '\n';
}

void add_size_options(CLI::App& command, ProbeDatasetOptions& options) {
  add_number(command, "--length", &options.length, between(1, kLongestProbe),
             "Tokens of a sequence, BOS and EOS included: data.sequence_length of the run")
      ->required();
  add_number(command, "--window", &options.bands.window, at_least(1),
             "Window W of the model's local layers", "W")
      ->required();
  add_number(command, "--layers", &options.bands.layers, at_least(1),
             "Number n of all layers of the model")
      ->required();
  add_number(command, "--sequences", &options.sequences, at_least(1),
             "How many to write; a run takes all but the last as samples")
      ->required();
}

void add_content_options(CLI::App& command, ProbesCommand& probes) {
  auto& options = probes.options;
  command
      .add_option("--tasks", probes.tasks,
                  "Tasks that take turns, as in passkey,copying; one named twice gets two turns")
      ->delimiter(',')
      ->check(CLI::IsMember(names_of<ProbeTask>()))
      ->type_name("")
      ->default_str("all");
  add_number(command, "--keys", &options.vocabulary.keys, at_least(1),
             "Number of tokens that ask, as keys or names");
  add_number(command, "--values", &options.vocabulary.values, at_least(1),
             "Number of tokens that answer; a guess is right once in so many times");
  add_number(command, "--fillers", &options.vocabulary.fillers, at_least(0),
             "Number of tokens that stand between; 0: all others");
  add_number(command, "--questions", &options.questions, at_least(0),
             "Questions in a sequence of associative_recall; 0: length / 8");
  add_number(command, "--pairs", &options.pairs, at_least(2),
             "Pairs (strings, chains) of which one is asked for; several take turns; default: the "
             "task's own",
             "N,N,…");
  add_number(command, "--hops", &options.hops, at_least(1),
             "Hops of variable_tracking from the asked name to a value; several take turns; "
             "default: 2",
             "N,N,…");
  command
      .add_option("--seed", options.seed,
                  "Chooses the sequences; those of an evaluation are others with any seed")
      ->type_name("N")
      ->capture_default_str();
}

void add_probes_command(CLI::App& data) {
  auto* app = data.add_subcommand(
      "probes",
      "Writes a token dataset of synthetic recall tasks: the answer to each question stands "
      "earlier "
      "in its sequence, at a distance within the window W (control), up to n W, as far as local "
      "layers relay it (relay), or farther (beyond), a third each where the length has room. Only "
      "answers count as targets, and a model never reads them");
  const auto command = std::make_shared<ProbesCommand>();
  auto& options = command->options;
  app->add_option("--tokenizer", options.tokenizer,
                  "SentencePiece model or tokenizer.json of the runs to come")
      ->required()
      ->type_name("FILE");
  add_size_options(*app, options);
  add_content_options(*app, *command);
  app->add_option("--output", options.output, "Folder to make")->required()->type_name("DIR");
  app->add_flag("--overwrite", options.overwrite,
                "Replace the output if it is a token dataset already");
  app->footer(
      "Example: zebra data probes --tokenizer tok.model --length 256 --window 16 --layers 6 "
      "--sequences 20000 --output data/probes");
  app->callback([command] { run_probes(*command); });
}

}  // namespace

void add_data_command(CLI::App& app) {
  auto* data = app.add_subcommand("data", "Makes tokenizers and token datasets, and shows them");
  data->require_subcommand(1);
  add_tokenizer_command(*data);
  add_pack_command(*data);
  add_chat_command(*data);
  add_probes_command(*data);
  add_adopt_command(*data);
  add_merge_command(*data);
  add_split_command(*data);
  add_show_command(*data);
  add_stat_command(*data);
}

}  // namespace zebra

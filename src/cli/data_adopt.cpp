#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/json_reader.h"
#include "base/text.h"
#include "cli/data_commands.h"
#include "cli/shared_options.h"
#include "data/adopt.h"
#include "data/dataset_parts.h"

namespace zebra {
namespace {

constexpr const char* kAdoptHelp =
    "Makes a token dataset of token files that other programs wrote: Megatron's .bin with .idx, "
    "datatrove's .ds, llm.c's and llm.q's .bin, OLMo's .npy, litdata's chunks. Nothing is copied: "
    "the dataset names the files, which must stay.\n\n"
    "Example: zebra data adopt fineweb/ --tokenizer tok.model --output data/fineweb";

// More than any id.
constexpr double kMostIds = 1U << 31;

struct AdoptCommand {
  std::vector<std::string> paths;
  AdoptOptions options;
  std::filesystem::path tokenizer;
  bool json = false;
};

void add_dataset_sizes(const TokenDatasetDescription& description,
                       const std::filesystem::path& path,
                       std::vector<std::vector<std::string>>& rows) {
  rows.push_back({"dataset", path.string()});
  rows.push_back({"  documents", with_commas(description.documents)});
  rows.push_back({"  tokens", with_commas(description.tokens)});
  rows.push_back({"  files of tokens", with_commas(std::ssize(description.all_pieces()))});
  rows.push_back({"  text bytes", with_commas(description.text_bytes)});
  rows.push_back({"  fingerprint", description.fingerprint()});
}

nlohmann::ordered_json dataset_sizes_json(const TokenDatasetDescription& description,
                                          const std::filesystem::path& path) {
  return {{"path", path.string()},
          {"documents", description.documents},
          {"tokens", description.tokens},
          {"files", std::ssize(description.all_pieces())},
          {"text_bytes", description.text_bytes},
          {"fingerprint", description.fingerprint()}};
}

void print_adoption(const AdoptReport& report, const AdoptCommand& command) {
  const auto& output = command.options.output;
  if (command.json) {
    auto json = dataset_sizes_json(report.description, output);
    json["has_loss_mask"] = report.description.loss_mask_file.has_value();
    json["largest_id"] = report.largest_id;
    json["adopted"] = nlohmann::ordered_json::array();
    for (const auto& file : report.files) {
      json["adopted"].push_back({{"path", file.path.string()},
                                 {"format", file.format},
                                 {"tokens", file.tokens},
                                 {"documents", file.documents}});
    }
    json["seconds"] = report.seconds;
    std::cout << json_text(json, 2);
    return;
  }
  std::vector<std::vector<std::string>> files = {{"file", "format", "tokens", "documents"}};
  for (const auto& file : report.files) {
    files.push_back(
        {file.path.string(), file.format, with_commas(file.tokens), with_commas(file.documents)});
  }
  std::vector<std::vector<std::string>> rows;
  add_dataset_sizes(report.description, output, rows);
  rows.push_back({"  largest id", with_commas(report.largest_id)});
  rows.push_back({"time", duration_text(report.seconds)});
  std::cout << text_table(files, "llr") << '\n' << text_table(rows);
}

void add_output_options(CLI::App& command, std::filesystem::path& output, bool& overwrite) {
  command.add_option("--output", output, "Folder to make")->required()->type_name("DIR");
  command.add_flag("--overwrite", overwrite, "Replace the output if it is a token dataset already");
}

void add_separator_options(CLI::App& command, AdoptOptions& options) {
  add_number(
      command, "--document-separator", &options.document_separator, between(0, kMostIds),
      "Id that separates documents in files without an index of them; default: EOS, of llm.c's "
      "files of Llama 3 BOS",
      "ID");
  command
      .add_option_function<std::string>(
          "--at",
          [&options](const std::string& place) {
            options.separator_place =
                place == "start" ? SeparatorPlace::start : SeparatorPlace::end;
          },
          "Where in a document it stands: start or end; default: start in llm.c's files, else end")
      ->check(CLI::IsMember({"start", "end"}))
      ->type_name("");
  add_number(command, "--token-bytes", &options.token_bytes, between(2, 8),
             "Bytes of a token, 2, 4 or 8, in files that do not say it (raw .npy, .ds without "
             "metadata); default: what the tokenizer's ids need");
}

struct MergeCommand {
  std::vector<std::string> datasets;
  MergeOptions options;
  bool json = false;
};

struct SplitCommand {
  SplitOptions options;
  bool json = false;
};

void run_split(const SplitCommand& command) {
  const auto& options = command.options;
  const SplitReport report = split_dataset(options);
  if (command.json) {
    auto json = dataset_sizes_json(report.dataset, options.output);
    json["holdout"] = dataset_sizes_json(report.holdout, options.holdout_output);
    std::cout << json_text(json, 2);
    return;
  }
  std::vector<std::vector<std::string>> rows;
  add_dataset_sizes(report.dataset, options.output, rows);
  add_dataset_sizes(report.holdout, options.holdout_output, rows);
  std::cout << text_table(rows);
}

}  // namespace

void add_adopt_command(CLI::App& data) {
  auto* app = data.add_subcommand("adopt", kAdoptHelp);
  const auto command = std::make_shared<AdoptCommand>();
  app->add_option("PATH", command->paths,
                  "Token files, or folders with such files in them and below, sorted by path")
      ->required();
  app->add_option("--tokenizer", command->tokenizer,
                  "The tokenizer that the files were made with; runs must name the same")
      ->required()
      ->type_name("FILE");
  add_output_options(*app, command->options.output, command->options.overwrite);
  add_separator_options(*app, command->options);
  add_json_flag(*app, command->json);
  app->callback([command] {
    command->options.paths.assign(command->paths.begin(), command->paths.end());
    print_adoption(adopt(command->options, Tokenizer(command->tokenizer)), *command);
  });
}

void add_merge_command(CLI::App& data) {
  auto* app = data.add_subcommand(
      "merge",
      "Makes one token dataset of several, in the order given, without a copy of their tokens: it "
      "names their files, which must stay.\n\n"
      "Example: zebra data merge data/a data/b --output data/both");
  const auto command = std::make_shared<MergeCommand>();
  app->add_option("DATASET", command->datasets, "Token datasets")->required()->type_name("DIR");
  add_output_options(*app, command->options.output, command->options.overwrite);
  add_json_flag(*app, command->json);
  app->callback([command] {
    command->options.datasets.assign(command->datasets.begin(), command->datasets.end());
    const auto description = merge_datasets(command->options);
    const auto& output = command->options.output;
    if (command->json) {
      std::cout << json_text(dataset_sizes_json(description, output), 2);
      return;
    }
    std::vector<std::vector<std::string>> rows;
    add_dataset_sizes(description, output, rows);
    std::cout << text_table(rows);
  });
}

void add_split_command(CLI::App& data) {
  auto* app = data.add_subcommand(
      "split",
      "Makes two token datasets of one, without a copy of its tokens: they name its files, which "
      "must stay. The last documents are held out.\n\n"
      "Example: zebra data split data/all --output data/train --holdout 0.01 "
      "--holdout-output data/valid");
  const auto command = std::make_shared<SplitCommand>();
  app->add_option("DATASET", command->options.dataset, "Token dataset")
      ->required()
      ->type_name("DIR");
  add_output_options(*app, command->options.output, command->options.overwrite);
  add_number(*app, "--holdout", &command->options.holdout, above(0).below(1),
             "Share of the tokens, such as 0.01, that is held out, to the nearest document on",
             "FRACTION")
      ->required();
  app->add_option("--holdout-output", command->options.holdout_output,
                  "Folder to make for the held-out documents")
      ->required()
      ->type_name("DIR");
  add_json_flag(*app, command->json);
  app->callback([command] { run_split(*command); });
}

}  // namespace zebra

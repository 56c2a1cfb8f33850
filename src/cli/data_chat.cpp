#include <CLI/CLI.hpp>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/json_reader.h"
#include "base/text.h"
#include "cli/command_line.h"
#include "cli/data_commands.h"
#include "cli/shared_options.h"
#include "data/chat_dataset.h"
#include "data/chat_template.h"

namespace zebra {
namespace {

constexpr double kMostChatThreads = 1024;

constexpr const char* kChatHelp =
    "Encodes conversations into a token dataset in which the answers count as targets. A line of "
    "JSONL is a conversation: {\"messages\": [{\"role\": \"user\", \"content\": \"…\"}, …]}, or as "
    "ShareGPT (\"conversations\", \"from\", \"value\") or Alpaca (\"instruction\", \"input\", "
    "\"output\") has them.\n\n"
    "Example: zebra data chat --input chats.jsonl --tokenizer tokenizer.json --template chatml "
    "--output data/chats";

struct ChatCommand {
  ChatOptions options;
  bool json = false;
};

nlohmann::ordered_json report_json(const ChatReport& report) {
  return {{"path", report.dataset.path.string()},
          {"conversations", report.dataset.documents},
          {"tokens", report.dataset.tokens},
          {"trained_tokens", report.targets},
          {"longest_conversation", report.longest},
          {"text_bytes", report.dataset.text_bytes},
          {"fingerprint", report.dataset.fingerprint},
          {"end_of_turn", report.end_of_turn},
          {"end_of_turn_has_control_token", report.has_end_token},
          {"skipped",
           {{"bad_lines", report.bad_lines}, {"without_trained_token", report.without_target}}},
          {"conversations_with_control_text", report.control_text},
          {"conversations_with_half_surrogates", report.half_surrogates},
          {"seconds", report.seconds}};
}

void print_report(const ChatReport& report, bool keeps_control_text) {
  const auto share =
      static_cast<double>(report.targets) / static_cast<double>(report.dataset.tokens);
  std::string end = json_text(report.end_of_turn);
  end.pop_back();  // the line's end
  std::cout << text_table(
      {{"dataset", report.dataset.path.string()},
       {"  conversations", with_commas(report.dataset.documents)},
       {"  tokens", with_commas(report.dataset.tokens)},
       {"  trained tokens", with_commas(report.targets) + " (" + percent(share) + ")"},
       {"  longest conversation", with_commas(report.longest) + " tokens"},
       {"  fingerprint", report.dataset.fingerprint},
       {"end of an answer", end + (report.has_end_token ? "" : ", which is no control token")},
       {"skipped bad lines", with_commas(report.bad_lines)},
       {"skipped without a trained token", with_commas(report.without_target)},
       {std::string(keeps_control_text ? "kept" : "skipped") + " with control text",
        with_commas(report.control_text)},
       {"with half surrogates", with_commas(report.half_surrogates)},
       {"time", duration_text(report.seconds)}});
}

void run_chat(const ChatCommand& command) {
  const ChatReport report = write_chat_dataset(command.options);
  if (command.json) {
    std::cout << json_text(report_json(report), 2);
    return;
  }
  print_report(report, command.options.keep_control_text);
}

void add_chat_input_options(CLI::App& app, DocumentReaderOptions& input) {
  app.add_option("--input", input.inputs,
                 "Files of JSONL, folders (with all files below) or - for standard input; plain, "
                 "gzip or Zstandard, known by content")
      ->required()
      ->type_name("FILE_OR_DIR");
  app.add_option("--extensions", input.extensions,
                 "Of folders take only files with these endings, as in .jsonl")
      ->delimiter(',')
      ->type_name("LIST");
  app.add_flag("--skip-bad-lines", input.skip_bad_lines,
               "Count and leave out, instead of ending with an error: lines that hold no "
               "conversation, conversations of which nothing is trained, and those whose text "
               "spells a control token");
  app.add_option("--max-line-bytes", input.max_line_bytes, "A longer line is a bad one")
      ->transform(CLI::AsSizeValue(/*kb_is_1000=*/true))
      ->type_name("BYTES")
      ->capture_default_str();
}

}  // namespace

void add_chat_command(CLI::App& data) {
  auto* app = data.add_subcommand("chat", kChatHelp);
  const auto command = std::make_shared<ChatCommand>();
  auto& options = command->options;
  add_chat_input_options(*app, options.input);
  app->add_option("--tokenizer", options.tokenizer,
                  "SentencePiece model or tokenizer.json of the runs to come")
      ->required()
      ->type_name("FILE");
  app->add_option(
         "--template", options.chat_template,
         "How conversations are written: " + join(chat_template_names(), ", ") + ", or a YAML file")
      ->required()
      ->type_name("NAME_OR_FILE");
  app->add_option("--output", options.output, "Folder to make")->required()->type_name("DIR");
  app->add_flag("--keep-control-text", options.keep_control_text,
                "Take text that spells a control token as text, and count such conversations");
  add_number(*app, "--threads", &options.threads, between(0, kMostChatThreads),
             "Threads that encode; 0: one for each core");
  app->add_flag("--overwrite", options.overwrite,
                "Replace the output if it is a token dataset already");
  add_json_flag(*app, command->json);
  app->callback([command] { run_chat(*command); });
}

}  // namespace zebra

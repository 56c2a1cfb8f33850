#include "cli/command_line.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdlib>
#include <ostream>

#include "base/error.h"
#include "base/message.h"
#include "base/text.h"
#include "config/value.h"

namespace zebra {
namespace {

constexpr char kFirstOfTwoBytes = '\xc2';  // of U+0080 to U+00BF

// By the words that stand for paths in the help texts.
bool takes_path(const CLI::Option& option) {
  const std::string shown = option.get_name(/*positional=*/true) + " " + option.get_type_name();
  constexpr std::array kWords = {"FILE", "DIR", "RUN", "PATH", ".yaml"};
  return std::ranges::any_of(
      kWords, [&](const char* word) { return shown.find(word) != std::string::npos; });
}

void expand_home_in_paths(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    if (!takes_path(*option)) continue;
    option->transform(CLI::Validator(
        [](std::string& path) {
          path = expand_home(path);
          return std::string();
        },
        ""));
  }
  for (CLI::App* inner : command.get_subcommands({})) expand_home_in_paths(*inner);
}

std::string without_dashes(const std::string& name) {
  return name.substr(std::min(name.find_first_not_of('-'), name.size()));
}

/// "zebra train: there is no option --stpe; did you mean --step? …"
std::string no_such(const std::string& command, const std::string& kind, const std::string& word,
                    const std::vector<std::string>& names) {
  const std::string near = nearest_word(without_dashes(word), names);
  const std::string dashes = word.starts_with("--") ? "--" : "";
  return command + ": there is no " + kind + " " + word +
         (near.empty() ? "" : "; did you mean " + dashes + near + "?") + " (`" + command +
         " --help` lists them)";
}

/// What is said of the first word that is no subcommand or option; empty where all are.
std::string unknown_word(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* command = &app;
  std::string path = "zebra";
  for (const std::string& word : words) {
    if (word == "--") break;
    std::vector<std::string> names;
    if (word.starts_with("--")) {
      const std::string name = word.substr(0, word.find('='));
      if (command->get_option_no_throw(name) != nullptr) continue;
      for (const CLI::Option* option : command->get_options()) {
        for (const auto& known : option->get_lnames()) names.push_back(known);
      }
      return no_such(path, "option", name, names);
    }
    for (const CLI::App* inner : command->get_subcommands({})) names.push_back(inner->get_name());
    if (names.empty() || word.starts_with("-")) continue;
    if (std::ranges::count(names, word) == 0) return no_such(path, "subcommand", word, names);
    command = command->get_subcommand(word);
    path += " " + word;
  }
  return "";
}

}  // namespace

void add_commands(CLI::App& app, int& status) {
  app.require_subcommand(1);
  add_train_command(app, status);
  add_watch_command(app, status);
  add_report_command(app);
  add_config_command(app);
  add_plan_command(app);
  add_eval_command(app);
  add_recall_command(app);
  add_generate_command(app);
  add_data_command(app);
  add_ablate_command(app, status);
  add_bench_command(app);
  add_checkpoint_command(app, status);
  add_import_command(app);
  add_export_command(app);
  expand_home_in_paths(app);
}

void parse_and_run(CLI::App& app, std::vector<std::string> words) {
  if (!words.empty() && words.front() == "help") {
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  try {
    // CLI11 takes them from the back.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    const auto code = static_cast<CLI::ExitCodes>(error.get_exit_code());
    const bool may_be_unknown =
        code == CLI::ExitCodes::ExtrasError || code == CLI::ExitCodes::RequiredError;
    const std::string fault = may_be_unknown ? unknown_word(app, words) : "";
    if (fault.empty()) throw;
    throw InputError(fault);
  }
}

PrintableOutput::PrintableOutput(std::ostream& stream) : stream_(stream), inner_(stream.rdbuf()) {
  stream_.rdbuf(this);
}

PrintableOutput::~PrintableOutput() {
  sync();
  stream_.rdbuf(inner_);
}

PrintableOutput::int_type PrintableOutput::overflow(int_type byte) {
  if (traits_type::eq_int_type(byte, traits_type::eof())) return traits_type::not_eof(byte);
  const char letter = traits_type::to_char_type(byte);
  return xsputn(&letter, 1) == 1 ? byte : traits_type::eof();
}

std::streamsize PrintableOutput::xsputn(const char* text, std::streamsize size) {
  std::string whole = held_ + std::string(text, static_cast<std::size_t>(size));
  held_.clear();
  if (whole.ends_with(kFirstOfTwoBytes)) {
    held_ = kFirstOfTwoBytes;
    whole.pop_back();
  }
  const std::string shown = printable(whole, "\n\t");
  const auto length = static_cast<std::streamsize>(shown.size());
  return inner_->sputn(shown.data(), length) == length ? size : 0;
}

int PrintableOutput::sync() {
  inner_->sputn(held_.data(), static_cast<std::streamsize>(held_.size()));
  held_.clear();
  return inner_->pubsync();
}

void print_line(std::ostream& stream, std::string_view line, Style style) {
  auto* const printable = dynamic_cast<PrintableOutput*>(stream.rdbuf());
  const bool is_styled = style != Style::plain && printable != nullptr &&
                         ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  // Past what makes the text itself harmless.
  const auto send = [&](std::string_view code) {
    printable->sync();
    printable->inner_->sputn(code.data(), static_cast<std::streamsize>(code.size()));
  };
  if (is_styled)
    send(style == Style::bold ? "\x1b[1m" : style == Style::green ? "\x1b[32m" : "\x1b[2m");
  stream << line;
  if (is_styled) send("\x1b[0m");
  stream << '\n';
}

RawOutput::RawOutput(std::ostream& stream) : stream_(stream), saved_(stream.rdbuf()) {
  auto* const printable = dynamic_cast<PrintableOutput*>(saved_);
  if (printable != nullptr && ::isatty(STDOUT_FILENO) != 1) stream_.rdbuf(printable->inner_);
}

RawOutput::~RawOutput() { stream_.rdbuf(saved_); }

}  // namespace zebra

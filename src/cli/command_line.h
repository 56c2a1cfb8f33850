#pragma once

#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>
#include <vector>

// The command line as a whole, and its subcommands.

namespace CLI {
class App;
}

namespace zebra {

/// Adds all subcommands. Among their arguments paths may begin with "~/".
void add_commands(CLI::App& app, int& status);

/// Parses the words behind the program's name, and thereby does the work. `help [SUBCOMMAND]` is
/// --help. Throws InputError, with the nearest name, for a word that is no subcommand or option,
/// CLI::ParseError for what else is wrong with the usage (and for help), and what the work throws.
void parse_and_run(CLI::App& app, std::vector<std::string> words);

/// How a terminal shows a line.
enum class Style { plain, bold, green, faint };

/// Prints the line in that style where `stream` is a PrintableOutput and standard output a
/// terminal, unless NO_COLOR is set; elsewhere the line alone.
void print_line(std::ostream& stream, std::string_view line, Style style);

/// As long as it lives what `stream` prints holds no control characters but lines and tabs: names,
/// paths and messages come from files of others.
class PrintableOutput : public std::streambuf {
 public:
  explicit PrintableOutput(std::ostream& stream);
  ~PrintableOutput() override;
  PrintableOutput(const PrintableOutput&) = delete;
  PrintableOutput& operator=(const PrintableOutput&) = delete;

 private:
  friend class RawOutput;
  friend void print_line(std::ostream& stream, std::string_view line, Style style);
  int_type overflow(int_type byte) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;

  std::ostream& stream_;
  std::streambuf* const inner_;
  std::string held_;  // the first byte of a character whose second one decides
};

/// As long as it lives `stream` prints to files and pipes what it is given, to the byte. A terminal
/// still gets no control characters.
class RawOutput {
 public:
  explicit RawOutput(std::ostream& stream);
  ~RawOutput();
  RawOutput(const RawOutput&) = delete;
  RawOutput& operator=(const RawOutput&) = delete;

 private:
  std::ostream& stream_;
  std::streambuf* const saved_;
};

// Each adds one subcommand, whose work is done in a callback while the command line is parsed;
// errors are exceptions (InputError, RunError). Some set `status`, which is else kExitDone.

/// `status`: where training ends otherwise than done.
void add_train_command(CLI::App& app, int& status);
/// `status`: where the run that is watched failed.
void add_watch_command(CLI::App& app, int& status);
void add_report_command(CLI::App& app);
void add_config_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_recall_command(CLI::App& app);
void add_generate_command(CLI::App& app);
/// data tokenizer|pack|probes|adopt|merge|split|show|stat
void add_data_command(CLI::App& app);
/// `status`: where arms failed or were stopped.
void add_ablate_command(CLI::App& app, int& status);
void add_bench_command(CLI::App& app);
/// checkpoint list|verify|show|prune|fork|average; `status`: where `verify` finds something broken.
void add_checkpoint_command(CLI::App& app, int& status);
void add_import_command(CLI::App& app);
void add_export_command(CLI::App& app);

}  // namespace zebra

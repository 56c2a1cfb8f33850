#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/system.h"
#include "cli/command_line.h"
#include "watch/run_view.h"

namespace zebra {
namespace {

struct ReportOptions {
  std::vector<std::filesystem::path> runs;
  std::filesystem::path output;
};

void report(const ReportOptions& options) {
  std::vector<std::string> arguments;
  Problems problems;
  for (const auto& folder : options.runs) {
    problems.collect([&] {
      RunView run(folder);
      if (!run.refresh()) {
        throw InputError(folder.string() +
                         ": metrics.jsonl holds no row yet; wait for the first logged step");
      }
    });
    arguments.push_back(folder.string());
  }
  problems.throw_if_any();
  arguments.insert(
      arguments.end(),
      {"--output",
       (options.output.empty() ? options.runs.front() / "report.html" : options.output).string()});
  run_python_script("run_report", arguments);
}

}  // namespace

void add_report_command(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "report", "Writes one HTML page about runs: curves, what happened, settings, samples");
  const auto options = std::make_shared<ReportOptions>();
  command->add_option("RUN", options->runs, "Folders of runs, which the page compares")
      ->required()
      ->type_name("DIR");
  command
      ->add_option("--output", options->output,
                   "Page to write; default: report.html in the first run's folder")
      ->type_name("FILE");
  command->footer(
      "The page needs nothing else: no network, no files beside it. It may be written while runs\n"
      "train. Needs Python with scripts/requirements.txt.\n"
      "Example: zebra report runs/tiny --output tiny.html");
  command->callback([options] { report(*options); });
}

}  // namespace zebra

// zebra SUBCOMMAND: each subcommand lives in a file of its own; this one turns errors into exit
// statuses.

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/build_info.h"
#include "base/error.h"
#include "cli/commands.h"
#include "distributed/job.h"

namespace {

std::string version_text() {
  return std::string("zebra ") + zebra::kVersion + " (" + zebra::kCommit + ", " +
         zebra::kBuildType + ", " + zebra::kCompiler + ", LibTorch " + zebra::kTorchVersion +
         (zebra::kCudaEnabled ? ", CUDA" : ", CPU only") + ")";
}

}  // namespace

int main(int argc, char** argv) {
  int status = zebra::kExitDone;
  CLI::App app(
      "Zebra: pretrains language models whose layers alternate between global and local attention");
  app.set_version_flag("--version", version_text(), "Print the version and build");
  app.require_subcommand(1);
  zebra::add_train_command(app, status);
  zebra::add_config_command(app);
  zebra::add_plan_command(app);
  zebra::add_eval_command(app);
  zebra::add_recall_command(app);
  zebra::add_generate_command(app);
  zebra::add_data_command(app);
  zebra::add_ablate_command(app, status);
  zebra::add_bench_command(app);
  zebra::add_checkpoint_command(app, status);
  zebra::add_import_command(app);
  zebra::add_export_command(app);
  try {
    app.parse(argc, argv);
    return status;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? zebra::kExitDone
                                : zebra::kExitBadInput;  // help and version are done with 0
  } catch (const zebra::ReportedByFirstRank&) {
    return zebra::kExitBadInput;
  } catch (const zebra::InputError& error) {
    std::cerr << error.what() << std::endl;
    return zebra::kExitBadInput;
  } catch (const std::exception& error) {
    std::cerr << "error: " << zebra::without_backtrace(error.what()) << std::endl;
    return zebra::kExitFailed;
  }
}

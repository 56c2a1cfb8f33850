// zebra SUBCOMMAND: each subcommand lives in a file of its own; this one turns errors into exit
// statuses.

#include <CLI/CLI.hpp>
#include <iostream>

#include "base/build_info.h"
#include "base/error.h"
#include "base/message.h"
#include "cli/command_line.h"
#include "distributed/job.h"

namespace {

std::string version_text() {
  return std::string("zebra ") + zebra::kVersion + " (" + zebra::kCommit + ", " +
         zebra::kBuildType + ", " + zebra::kCompiler + ", LibTorch " + zebra::kTorchVersion +
         (zebra::kCudaEnabled ? ", CUDA" : ", CPU only") + ")";
}

}  // namespace

int main(int argc, char** argv) {
  const zebra::PrintableOutput results(std::cout), messages(std::cerr);
  int status = zebra::kExitDone;
  CLI::App app(
      "Zebra: pretrains language models whose layers alternate between global and local attention",
      "zebra");
  try {
    app.set_version_flag("--version", version_text(), "Print the version and build");
    zebra::add_commands(app, status);
    zebra::parse_and_run(app, {argv + std::min(argc, 1), argv + argc});
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
    std::cerr << "error: " << zebra::failure_text(error) << std::endl;
    return zebra::kExitFailed;
  } catch (...) {
    std::cerr << "error: an exception of an unknown kind" << std::endl;
    return zebra::kExitFailed;
  }
}

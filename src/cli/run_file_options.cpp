#include "cli/run_file_options.h"

#include "base/error.h"
#include "config/load.h"

namespace zebra {

void RunFileOptions::add_to(CLI::App& command) {
  command.add_option("RUN.yaml", files, "Run files; keys of later ones win");
  command
      .add_option("--set", overrides,
                  "Override one key, for example --set train.max_steps=100 (repeatable)")
      ->type_name("section.key=VALUE")
      ->allow_extra_args(false);
}

RunFile RunFileOptions::load(int ranks) const {
  if (files.empty()) {
    throw InputError(
        "no run file was given; name one, for example run.yaml (`zebra config --reference` lists "
        "its keys)");
  }
  return load_run_file({files.begin(), files.end()}, overrides, ranks);
}

}  // namespace zebra

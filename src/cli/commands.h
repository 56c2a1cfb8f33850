#pragma once

namespace CLI {
class App;
}

namespace zebra {

// Each adds one subcommand, whose work is done in a callback while the command line is parsed;
// errors are exceptions (InputError, RunError). Some set `status`, which is else kExitDone.

/// `status`: where training ends otherwise than done.
void add_train_command(CLI::App& app, int& status);
void add_config_command(CLI::App& app);
void add_plan_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_recall_command(CLI::App& app);
void add_generate_command(CLI::App& app);
/// data tokenizer|pack|probes
void add_data_command(CLI::App& app);
/// `status`: where arms failed or were stopped.
void add_ablate_command(CLI::App& app, int& status);
void add_bench_command(CLI::App& app);
/// checkpoint list|verify|show|prune|fork; `status`: where `verify` finds something broken.
void add_checkpoint_command(CLI::App& app, int& status);
void add_import_command(CLI::App& app);
void add_export_command(CLI::App& app);

}  // namespace zebra

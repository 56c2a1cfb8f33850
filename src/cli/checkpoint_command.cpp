#include "cli/checkpoint_command.h"

#include "cli/checkpoint_fork.h"
#include "cli/checkpoint_list.h"
#include "cli/checkpoint_prune.h"
#include "cli/checkpoint_show.h"
#include "cli/checkpoint_verify.h"

namespace zebra {

void add_checkpoint_command(CLI::App& app, int& status) {
  auto* checkpoint =
      app.add_subcommand("checkpoint", "Lists, verifies, shows, prunes and forks checkpoints");
  checkpoint->require_subcommand(1);
  add_checkpoint_list_command(*checkpoint);
  add_checkpoint_verify_command(*checkpoint, status);
  add_checkpoint_show_command(*checkpoint);
  add_checkpoint_prune_command(*checkpoint);
  add_checkpoint_fork_command(*checkpoint);
}

}  // namespace zebra

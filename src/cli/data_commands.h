#pragma once

namespace CLI {
class App;
}

namespace zebra {

// Subcommands of `zebra data`, each added to it.

/// adopt, merge, split: token datasets of files that are there.
void add_adopt_command(CLI::App& data);
void add_merge_command(CLI::App& data);
void add_split_command(CLI::App& data);

/// chat: a token dataset of conversations.
void add_chat_command(CLI::App& data);

/// show, stat: what is in a token dataset.
void add_show_command(CLI::App& data);
void add_stat_command(CLI::App& data);

}  // namespace zebra

#pragma once

#include <exception>
#include <string>
#include <string_view>

// What leaves the program. A name, a path or the text of a library's exception is somebody else's:
// it must not steer the terminal that shows it, nor be read as a command by the shell that it is
// pasted into.

namespace zebra {

/// Control characters (those that move the cursor, colour or hide text) become visible, as in
/// "\x1b" and "\n"; those in `allowed` stay.
std::string printable(std::string_view text, std::string_view allowed = "");

/// Whether printable would change the text.
bool has_control_characters(std::string_view text);

/// One word of a shell's command line that stands for exactly this text. Words of harmless
/// characters stay as they are.
std::string shell_word(const std::string& text);

/// Whether memory ran out, on the host or on a GPU, in the words of whatever library said so.
bool is_out_of_memory(const std::exception& error);

/// What an exception of any library says to people: one line, or those of an error of ours, without
/// stack frames.
std::string failure_text(const std::exception& error);

}  // namespace zebra

#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <string_view>
#include <thread>

#include "base/error.h"
#include "cli/command_line.h"
#include "cli/shared_options.h"
#include "train/stop_signal.h"
#include "watch/run_view.h"
#include "watch/screen.h"

namespace zebra {
namespace {

constexpr ScreenSize kWithoutTerminal = {100, 40};

struct WatchOptions {
  std::filesystem::path run;
  double every = 2.0;
  bool once = false;
};

ScreenSize screen_size() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kWithoutTerminal;
  return {size.ws_col, size.ws_row};
}

// As the environment says it, in the order in which the C library looks.
bool shows_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string_view locale = value;
    return locale.ends_with("UTF-8") || locale.ends_with("utf8");
  }
  return false;
}

/// The whole of a terminal, given back as it was. What is written to it goes around std::cout,
/// which shows control characters.
class Terminal {
 public:
  Terminal() { write("\x1b[?1049h\x1b[?25l"); }  // another screen, no cursor
  ~Terminal() { write("\x1b[?25h\x1b[?1049l"); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Line by line over what is there, so that nothing flickers.
  void show(const std::vector<std::string>& lines) {
    std::string text = "\x1b[H";
    for (std::size_t i = 0; i < lines.size(); ++i)
      text += lines[i] + "\x1b[K" + (i + 1 < lines.size() ? "\r\n" : "");
    write(text + "\x1b[J");
  }

 private:
  static void write(std::string_view text) {
    while (!text.empty()) {
      const auto count = ::write(STDOUT_FILENO, text.data(), text.size());
      if (count <= 0) return;  // the terminal is gone; so will be this process
      text.remove_prefix(static_cast<std::size_t>(count));
    }
  }
};

// Until the next look, or until somebody asks to end.
bool wait_for(double seconds) {
  constexpr auto kStep = std::chrono::milliseconds(50);
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (stop_signal() == 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(kStep);
  return stop_signal() == 0;
}

void print_screen(const RunView& run) {
  for (const auto& line : draw_screen(run, screen_size(), shows_unicode()))
    std::cout << line << "\n";
}

// Redraws until the run ends, and leaves the last screen behind.
void watch_on_terminal(RunView& run, const WatchOptions& options) {
  {
    Terminal terminal;
    do {
      run.refresh();
      terminal.show(draw_screen(run, screen_size(), shows_unicode()));
    } while (run.is_running() && wait_for(options.every));
  }
  print_screen(run);
}

// A line whenever there is something new, and how it ended.
void watch_in_pipe(RunView& run, const WatchOptions& options) {
  do {
    if (run.refresh()) std::cout << newest_line(run) << std::endl;
  } while (run.is_running() && wait_for(options.every));
  std::cout << state_line(run) << std::endl;
}

int watch(const WatchOptions& options) {
  RunView run(options.run);
  if (options.once) {
    run.refresh();
    print_screen(run);
    return kExitDone;
  }
  watch_stop_signals();
  if (::isatty(STDOUT_FILENO) == 1) {
    watch_on_terminal(run, options);
  } else {
    watch_in_pipe(run, options);
  }
  return run.state() == "failed" ? kExitFailed : kExitDone;
}

}  // namespace

void add_watch_command(CLI::App& app, int& status) {
  CLI::App* command =
      app.add_subcommand("watch", "Shows how far a run is, its figures and curves, until it ends");
  const auto options = std::make_shared<WatchOptions>();
  command->add_option("RUN", options->run, "Folder of a run")->required()->type_name("DIR");
  add_number(*command, "--every", &options->every, between(0.1, 3600), "Seconds between two looks",
             "SECONDS");
  command->add_flag("--once", options->once, "Print one screen and end");
  command->footer(
      "On a terminal it redraws the screen; in a pipe it prints a line for each new row. It reads\n"
      "the run folder alone, so that it works on any machine that sees the folder. Ctrl-C ends it "
      "and\n"
      "leaves the run alone. Ends with 0, or with 1 where the run failed.\n"
      "Example: zebra watch runs/tiny");
  command->callback([options, &status] { status = watch(*options); });
}

}  // namespace zebra

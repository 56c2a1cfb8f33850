#pragma once

#include <array>
#include <csignal>
#include <string>
#include <string_view>

namespace zebra {

/// From now on SIGINT, SIGTERM, SIGUSR1 and SIGHUP (the terminal is gone) ask for a stop at the end
/// of the step; a second SIGINT ends the process at once. A SIGHUP that was ignored when the
/// program started (nohup) stays ignored. The first of them is answered with `answer` on standard
/// error, and so that it is there at once it is written within the signal's handler; it must live
/// for good.
void watch_stop_signals(std::string_view answer = "");

/// The signals that ask for a stop.
inline constexpr std::array<int, 4> kStopSignals = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};

/// The one of them that came, or 0.
int stop_signal();

/// "SIGTERM".
std::string stop_signal_name(int signal);

}  // namespace zebra

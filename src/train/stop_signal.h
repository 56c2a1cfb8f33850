#pragma once

#include <array>
#include <csignal>
#include <string>

namespace zebra {

/// From now on SIGINT, SIGTERM, SIGUSR1 and SIGHUP (the terminal is gone) ask for a stop at the end
/// of the step; a second SIGINT ends the process at once. A SIGHUP that was ignored when the
/// program started (nohup) stays ignored.
void watch_stop_signals();

/// The signals that ask for a stop.
inline constexpr std::array<int, 4> kStopSignals = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};

/// The one of them that came, or 0.
int stop_signal();

/// "SIGTERM".
std::string stop_signal_name(int signal);

}  // namespace zebra

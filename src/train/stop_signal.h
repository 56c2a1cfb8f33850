#pragma once

#include <array>
#include <csignal>
#include <string>

namespace zebra {

/// From now on SIGINT, SIGTERM and SIGUSR1 ask for a stop at the end of the step; a second SIGINT
/// ends the process at once.
void watch_stop_signals();

/// The signals that ask for a stop.
inline constexpr std::array<int, 3> kStopSignals = {SIGINT, SIGTERM, SIGUSR1};

/// The one of them that came, or 0.
int stop_signal();

/// "SIGTERM".
std::string stop_signal_name(int signal);

}  // namespace zebra

#pragma once

namespace zebra {

/// From now on SIGINT, SIGTERM and SIGUSR1 ask for a stop at the end of the step; a second SIGINT
/// ends the process at once.
void watch_stop_signals();

/// The signal that asked for a stop ("SIGTERM"), or nullptr.
const char* stop_signal();

}  // namespace zebra

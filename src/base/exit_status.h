#pragma once

namespace zebra {

// Exit statuses of the command.
inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;    ///< failed while running
inline constexpr int kExitBadInput = 2;  ///< bad usage, configuration or input
inline constexpr int kExitStopped =
    75;  ///< stopped by a signal after saving: start it again to go on

}  // namespace zebra

#include "train/stop_signal.h"

#include <unistd.h>

#include <csignal>
#include <initializer_list>

namespace zebra {
namespace {

constexpr int kEndedBySigint = 128 + SIGINT;

volatile std::sig_atomic_t g_received = 0;
volatile std::sig_atomic_t g_interrupted = 0;

// Only sets flags: the training loop does the rest.
void on_signal(int signal) {
  if (signal == SIGINT && g_interrupted != 0) _exit(kEndedBySigint);
  if (signal == SIGINT) g_interrupted = 1;
  g_received = signal;
}

}  // namespace

void watch_stop_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

const char* stop_signal() {
  switch (g_received) {
    case SIGINT:
      return "SIGINT";
    case SIGTERM:
      return "SIGTERM";
    case SIGUSR1:
      return "SIGUSR1";
    default:
      return nullptr;
  }
}

}  // namespace zebra

// Signals that are noted: a handler may do no more than that.
#include "cli/interrupt.h"

#include <array>
#include <csignal>

namespace kvcs::cli {
namespace {

constexpr std::array<int, 3> kSignals = {SIGINT, SIGTERM, SIGHUP};

volatile std::sig_atomic_t noted = 0;  // The number of the signal; 0: none came.

void on_signal(int number) {
  if (noted != 0) {
    std::signal(number, SIG_DFL);
    std::raise(number);
  }
  noted = number;
}

}  // namespace

// Without SA_RESTART: a call that waits ends.
Interrupts::Interrupts() {
  noted = 0;
  for (size_t i = 0; i < kSignals.size(); i++) {
    ::sigaction(kSignals[i], nullptr, &before_[i]);
    if (before_[i].sa_handler == SIG_IGN) continue;
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(kSignals[i], &action, nullptr);
  }
}

Interrupts::~Interrupts() {
  for (size_t i = 0; i < kSignals.size(); i++) ::sigaction(kSignals[i], &before_[i], nullptr);
  if (noted == 0) return;
  const int number = noted;
  noted = 0;
  std::raise(number);
}

bool interrupted() {
  return noted != 0;
}

}  // namespace kvcs::cli

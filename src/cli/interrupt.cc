// Signals that are noted: a handler may do no more than that.
#include "cli/interrupt.h"

#include <unistd.h>

#include <array>
#include <csignal>
#include <cstring>
#include <utility>

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

const char* last_words = nullptr;  // Changed while its handler is not in place, or to another.

void on_last_signal(int number) {
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, last_words, std::strlen(last_words));
  std::signal(number, SIG_DFL);
  std::raise(number);
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
  std::signal(number, SIG_DFL);
  std::raise(number);
}

bool interrupted() {
  return noted != 0;
}

Status interruption(std::string message) {
  return unavailable(std::move(message)).with_reason("stopped");
}

LastWords::LastWords(const char* words) : words_before_(last_words) {
  last_words = words;
  ::sigaction(SIGINT, nullptr, &before_);
  if (before_.sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = on_last_signal;
  ::sigaction(SIGINT, &action, nullptr);
}

LastWords::~LastWords() {
  ::sigaction(SIGINT, &before_, nullptr);
  last_words = words_before_;
}

}  // namespace kvcs::cli

// Ctrl-C and the like while something is under way that must be left in order: the signal is noted,
// what is under way ends soon, and then the process dies by it as it would have.
#pragma once
#include <csignal>
#include <string>

#include "base/status.h"

namespace kvcs::cli {

// While it lives, SIGINT, SIGTERM and SIGHUP are noted and not obeyed; one that was ignored stays
// so. The destructor lets the signal that came end the process. A second one does so at once. At
// most one lives at a time, in the process's first thread.
class Interrupts final {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

 private:
  struct sigaction before_[3]{};
};

// Whether a signal was noted. For any thread.
bool interrupted();

// How what was interrupted has failed, whatever it was at.
Status interruption(std::string message = "Interrupted.");

// While it lives, Ctrl-C ends the process with these words on stderr, a static text with its line
// end. Interrupts go before it: who notes a signal says so in words of its own.
class LastWords final {
 public:
  explicit LastWords(const char* words);
  ~LastWords();
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;

 private:
  const char* const words_before_;
  struct sigaction before_ {};
};

}  // namespace kvcs::cli

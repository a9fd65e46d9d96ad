// Ctrl-C and the like while something is under way that must be left in order: the signal is noted,
// what is under way ends soon, and then the process dies by it as it would have.
#pragma once
#include <csignal>

namespace kvcs::cli {

// While it lives, SIGINT, SIGTERM and SIGHUP are noted and not obeyed; one that was ignored stays
// so. The destructor lets the signal that came do its work. A second one does so at once. At most
// one lives at a time, in the process's first thread.
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

}  // namespace kvcs::cli

// The y/N question before something is destroyed: stderr asks, stdin answers, and only "y" or "yes"
// goes on.
#include "cli/confirm.h"

#include <iostream>

#include "base/bytes.h"

namespace kvcs::cli {

std::optional<int> declined(const Invocation& in, Console& console, const std::string& question) {
  if (in.flag("yes")) return std::nullopt;
  console.write_error(question + " [y/N] ");
  std::string answer;
  // The end of stdin is no answer: a script without --yes must fail, not look as if it had deleted.
  if (!std::getline(std::cin, answer)) {
    console.write_error("\n");
    return console.fail(invalid("Nobody answered; nothing was changed. Scripts say --yes."));
  }
  const std::string word = lower_ascii(trim(answer));
  // A user who answers anything else has declined, which is no failure.
  if (word == "y" || word == "yes") return std::nullopt;
  console.note("Cancelled.");
  return kExitOk;
}

Option yes_option() {
  return {.name = "-y,--yes", .kind = ValueKind::kFlag, .help = "Do not ask."};
}

}  // namespace kvcs::cli

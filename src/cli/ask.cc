// Reads lines and secrets from a terminal or a pipe.
#include "cli/ask.h"

#include <termios.h>
#include <unistd.h>

#include <iostream>

#include "base/bytes.h"
#include "cli/admin_calls.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kPasswordFileMaxBytes = 4 << 10;

// Switches the echo of the terminal off while it lives.
class HiddenInput final {
 public:
  HiddenInput() : active_(can_ask() && tcgetattr(STDIN_FILENO, &before_) == 0) {
    if (!active_) return;
    termios hidden = before_;
    hidden.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &hidden);
  }
  ~HiddenInput() {
    if (active_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  HiddenInput(const HiddenInput&) = delete;
  HiddenInput& operator=(const HiddenInput&) = delete;

 private:
  termios before_{};
  const bool active_;
};

}  // namespace

Option password_file_option(std::string help) {
  return {.name = "--password-file", .help = std::move(help), .value_name = "FILE"};
}

bool can_ask() {
  return isatty(STDIN_FILENO) == 1;
}

std::optional<std::string> ask_line(Console& console, const std::string& question) {
  if (can_ask()) console.write_error(question);
  std::string line;
  if (!std::getline(std::cin, line)) return std::nullopt;
  return std::string(trim(line));
}

std::optional<Secret> ask_secret(Console& console, const std::string& question) {
  const bool is_asked = can_ask();
  if (is_asked) console.write_error(question);
  std::string line;
  bool is_read = false;
  {
    const HiddenInput hidden;
    is_read = static_cast<bool>(std::getline(std::cin, line));
  }
  if (is_asked) console.write_error("\n");
  if (!is_read) return std::nullopt;
  if (line.ends_with('\r')) line.pop_back();
  return Secret(std::move(line));
}

Result<std::optional<Secret>> read_password_file(const Invocation& in) {
  const auto path = in.optional_text("password-file");
  if (!path) return std::optional<Secret>();
  const std::string text = KVCS_TRY(read_input(*path, kPasswordFileMaxBytes));
  const std::string line(trim(text.substr(0, text.find('\n'))));
  if (line.empty()) {
    return invalid("'" + printable(*path, kShownValue) + "' has no password in its first line.");
  }
  return std::optional<Secret>(Secret(line));
}

}  // namespace kvcs::cli

// Questions to whoever runs a command: asked on stderr where a terminal is, answered on stdin, one
// line each. One thread.
#pragma once
#include <optional>
#include <string>

#include "base/secret.h"
#include "cli/command.h"

namespace kvcs::cli {

// "--password-file", whose first line is read, as arguments of a process are visible to others.
Option password_file_option(std::string help);

// Nothing when stdin has ended.
std::optional<std::string> ask_line(Console& console, const std::string& question);
// The same without showing what is typed.
std::optional<Secret> ask_secret(Console& console, const std::string& question);
// A person is there to be asked.
bool can_ask();
// The first line of --password-file; nothing without it. Invalid: it is empty.
Result<std::optional<Secret>> read_password_file(const Invocation& in);

}  // namespace kvcs::cli

// The parser of the command line: the commands' own descriptions become a CLI11 parser, argv
// becomes an Invocation, and what goes wrong becomes one line and an exit code. One thread, the
// process's own.
#include "cli/cli.h"

#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <new>
#include <system_error>
#include <utility>

#include "base/build_info.h"
#include "base/bytes.h"
#include "base/environment.h"
#include "base/file.h"
#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/interrupt.h"
#include "cli/man.h"
#include "cli/terminal.h"
#include "cli/typed_words.h"
#include "cli/usage_fault.h"
#include "kvfile/format/parallel.h"

namespace kvcs::cli {
namespace {

constexpr const char* kInterruptedJson =
    R"({"error":"Interrupted.","code":"interrupted","reason":"stopped"})"
    "\n";
constexpr int kAnyNumber = -1;  // CLI11 takes a negative limit for none.

// The end of a command's --help: its further paragraphs, then its examples. Two spaces stand before
// a typed line and six before what it does; tests find the examples by that.
std::string examples_text(const Command& command) {
  std::string text;
  if (!command.details.empty()) text += command.details + "\n\n";
  text += "Examples:\n";
  for (const Example& example : command.examples) {
    text += "  " + example.line + "\n";
    if (!example.says.empty()) text += "      " + example.says + "\n";
  }
  return text;
}

// "" when the value fits the option.
std::string value_fault(const Option& option, const std::string& value) {
  // From an unset variable of a script, most often.
  if (value.empty() && (option.required || option.never_empty)) return "it is empty.";
  if (option.kind == ValueKind::kNumber) {
    int64_t number = 0;
    const char* const end = value.data() + value.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error != std::errc() || stop != end || number < option.min || number > option.max) {
      return "'" + printable(value, kShownName) + "' is not a whole number between " +
             std::to_string(option.min) + " and " + std::to_string(option.max) + ".";
    }
  }
  if (!option.choices.empty() &&
      std::find(option.choices.begin(), option.choices.end(), value) == option.choices.end()) {
    return "'" + printable(value, kShownName) + "' is not one of: " + join(option.choices, ", ") +
           ".";
  }
  return {};
}

// A description beside the part of the parser that was made from it. Both live as long as run_cli.
struct BoundOption {
  const Option* option;
  CLI::Option* parsed;
};
struct BoundCommand {
  const Command* command;
  CLI::App* parser;
  std::vector<BoundOption> options;
  std::vector<CLI::Option*> common, server;  // Of common_options() and server_options().
};
// The flags that every command has.
struct CommonFlags {
  bool json = false, quiet = false, no_color = false;
};

// Values stay texts here: CLI11 only counts and collects them, and read_invocation() checks them,
// so that a value from the environment is checked by the same rules as a typed one.
CLI::Option* bind_option(const Option& option, CLI::App& parser) {
  if (option.kind == ValueKind::kFlag) return parser.add_flag(option.name, option.help);
  CLI::Option* const parsed = parser.add_option(
      option.name, [](const CLI::results_t&) { return true; }, option.help);
  if (option.kind == ValueKind::kList) {
    parsed->expected(1, kAnyNumber);
    // An argument takes one word at a time, and only so one after the first.
    if (option.name[0] != '-') parsed->allow_extra_args();
  } else {
    parsed->expected(1);
  }
  if (option.name[0] == '-') parsed->type_name(value_word(option));
  if (!option.fallback.empty()) parsed->default_str(option.fallback);
  // A value from the environment satisfies a required option, so CLI11 must not insist on one.
  if (option.env.empty()) parsed->required(option.required);
  return parsed;
}

// Adds the options of one command to its parser. CLI11 has a --help of its own.
BoundCommand bind_command(const Command& command, CLI::App& parser) {
  BoundCommand bound{&command, &parser, {}, {}, {}};
  parser.footer(examples_text(command));
  for (const Option& option : command.options) {
    bound.options.push_back({&option, bind_option(option, parser)});
  }
  if (command.asks_server) {
    for (const Option& option : server_options()) {
      bound.server.push_back(bind_option(option, parser));
    }
  }
  for (const Option& option : common_options()) {
    const bool is_help = asked_name(option) == "help";
    if (!is_help) bound.common.push_back(bind_option(option, parser));
  }
  return bound;
}

CommonFlags read_common_flags(const BoundCommand& bound) {
  const auto is_given = [&](const std::string& name) {
    return std::any_of(bound.common.begin(), bound.common.end(), [&](const CLI::Option* one) {
      return one->get_name() == name && one->count() > 0;
    });
  };
  return {is_given("--json"), is_given("--quiet"), is_given("--no-color")};
}

// The group `name` below `parent`. `full_name` is the path from the root ("admin org"), by which
// the group's summary is found; a group without a summary in command_groups() has an empty one.
CLI::App& find_or_add_group(CLI::App& parent, const std::string& name,
                            const std::string& full_name) {
  const std::vector<CLI::App*> found = parent.get_subcommands(
      [&](const CLI::App* subcommand) { return subcommand->get_name() == name; });
  if (!found.empty()) return *found.front();
  std::string summary;
  for (const CommandGroup& known : command_groups()) {
    if (known.name == full_name) summary = known.summary;
  }
  CLI::App* const group = parent.add_subcommand(name, summary);
  group->require_subcommand(1);
  if (full_name == name) group->group(std::string(door_of(name)));
  return *group;
}

// "admin org list" → the subcommand `list` of the group `org` of the group `admin`; groups are
// made when they are new.
CLI::App& place_command(CLI::App& root, const Command& command) {
  CLI::App* parent = &root;
  size_t begin = 0;
  for (size_t space = command.name.find(' '); space != std::string::npos;
       space = command.name.find(' ', begin)) {
    parent = &find_or_add_group(*parent, command.name.substr(begin, space - begin),
                                command.name.substr(0, space));
    begin = space + 1;
  }
  CLI::App* const made = parent->add_subcommand(command.name.substr(begin), command.summary);
  if (parent == &root) made->group(std::string(door_of(command.name)));
  return *made;
}

// The values of a command's options, each from the first place that has one: the command line, the
// variables in `env` in their order (an empty variable counts as unset), the fallback.
Result<Invocation> read_invocation(const BoundCommand& bound) {
  Invocation invocation;
  for (const auto& [option, parsed] : bound.options) {
    std::vector<std::string> values;
    if (option->kind == ValueKind::kFlag) {
      if (parsed->count() > 0) values = {"1"};
    } else {
      values = parsed->results();
      for (size_t i = 0; values.empty() && i < option->env.size(); i++) {
        std::string value = environment(option->env[i]);
        if (!value.empty()) values = {std::move(value)};
      }
      if (values.empty() && !option->fallback.empty()) values = {option->fallback};
      if (values.empty() && option->required) return invalid(option->name + ": required.");
    }
    for (const std::string& value : values) {
      const std::string fault = option->kind == ValueKind::kFlag ? "" : value_fault(*option, value);
      if (!fault.empty()) return invalid(option->name + ": " + fault);
    }
    invocation.set(asked_name(*option), std::move(values));
  }
  ServerFlags flags;
  for (const CLI::Option* const parsed : bound.server) {
    if (parsed->count() == 0) continue;
    std::string value = parsed->results().front();
    if (value.empty()) return invalid(parsed->get_name() + ": it is empty.");
    (parsed->get_name() == "--server" ? flags.server : flags.cacert) = std::move(value);
  }
  invocation.set_server_flags(std::move(flags));
  return invocation;
}

// How results are printed. Colour needs a terminal on both streams, or CLICOLOR_FORCE
// (bixense.com/clicolors), and is switched off by --no-color and by a non-empty NO_COLOR
// (no-color.org). Progress needs only stderr to be a terminal.
Console::Mode console_mode(const CommonFlags& common) {
  Console::Mode mode;
  mode.json = common.json;
  mode.quiet = common.quiet;
  mode.terminal = isatty(STDERR_FILENO) == 1;
  const bool color_asked = !common.no_color && environment("NO_COLOR").empty();
  const std::string forced = environment("CLICOLOR_FORCE");
  const bool is_forced = !forced.empty() && forced != "0";
  mode.out_terminal = isatty(STDOUT_FILENO) == 1;
  mode.color = color_asked && ((mode.terminal && mode.out_terminal) || is_forced);
  mode.out_columns = [] { return terminal_columns(STDOUT_FILENO); };
  mode.error_columns = [] { return terminal_columns(STDERR_FILENO); };
  return mode;
}

// Flushed after each piece, so that output and messages keep their order on a terminal. A failed
// write is found by ferror() at the end of run_cli().
Console::Writer stream_writer(std::FILE* stream) {
  return [stream](std::string_view bytes) {
    std::fwrite(bytes.data(), 1, bytes.size(), stream);
    std::fflush(stream);
  };
}

// A standard stream that is closed would lend its number to the next file that is opened, and
// printed text would go into that file. So each closed one is opened on /dev/null.
void open_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // Standard output is opened for reading alone: a write fails then, and the failure is told.
    if (::fcntl(fd, F_GETFD) < 0) {
      ::open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

// Runs a command. Memory or threads that run out end it as any other failure does, with one line
// and exit code 1; the stack is unwound by then, so files that were not published are gone.
int run_caught(const Command& command, const Invocation& invocation, Console& console) {
  // Who waits for a server may be stopped at any time, and a script reads why.
  std::optional<LastWords> words;
  if (console.mode().json && command.asks_server) words.emplace(kInterruptedJson);
  try {
    return command.run(invocation, console);
  } catch (const std::bad_alloc&) {
    return console.fail(kvfile::out_of_memory());
  } catch (const std::system_error& fault) {  // A thread that cannot be started.
    return console.fail(unavailable(std::string("the system refuses more: ") + fault.what()));
  }
}

}  // namespace

std::string asked_name(const Option& option) {
  const size_t long_at = option.name.find("--");
  if (long_at == std::string::npos) return lower_ascii(option.name);
  const size_t end = option.name.find(',', long_at);
  return option.name.substr(long_at + 2, end - long_at - 2);
}

std::string value_word(const Option& option) {
  if (option.kind == ValueKind::kFlag) return {};
  if (!option.choices.empty()) return join(option.choices, "|");
  if (!option.value_name.empty()) return option.value_name;
  return option.kind == ValueKind::kNumber ? "N" : "TEXT";
}

std::vector<Option> common_options() {
  return {{.name = "--json", .kind = ValueKind::kFlag, .help = "Print the result as JSON."},
          {.name = "-q,--quiet", .kind = ValueKind::kFlag, .help = "Print nothing but the result."},
          {.name = "--no-color", .kind = ValueKind::kFlag, .help = "Print without colours."},
          {.name = "-h,--help", .kind = ValueKind::kFlag, .help = "Print the help and exit."}};
}

std::vector<Option> server_options() {
  return {
      {.name = "--server",
       .help = "The server to ask, in place of the usual.",
       .value_name = "URL"},
      {.name = "--cacert", .help = "Trust these authorities alone (PEM).", .value_name = "FILE"}};
}

namespace {

std::string version_line() {
  return std::string("kvcs ") + version() + "\n";
}

// What shells and packages ask for; nothing for a command line of a user.
std::optional<int> run_hidden(const std::vector<std::string>& arguments,
                              const std::vector<Command>& all, const Console::Writer& out,
                              const Console::Writer& error) {
  if (arguments.empty()) return std::nullopt;
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (arguments[0] == kCompleteWord) {
    for (const std::string& one : complete(all, rest)) out(one + "\n");
    return kExitOk;
  }
  if (arguments[0] != kManWord || rest.size() != 1) return std::nullopt;
  for (const ManPage& page : man_pages(all)) {
    const Status written = write_private_file(rest[0] + "/" + page.file_name, page.text);
    if (written.ok()) continue;
    error("error: " + written.message() + "\n");
    return kExitFailed;
  }
  return kExitOk;
}

}  // namespace

int run_cli(const std::vector<std::string>& typed, const std::vector<Command>& all,
            const Console::Writer& out, const Console::Writer& error) {
  if (const auto ran = run_hidden(typed, all, out, error)) return *ran;
  CLI::App root("kvcs: artifact store, tool gateway and AI gateway in one daemon.", "kvcs");
  root.set_version_flag("-V,--version", version_line());
  root.require_subcommand(1);
  root.footer("`kvcs help COMMAND` shows options and examples.\n");
  std::vector<BoundCommand> bound;
  for (const Command& command : all) {
    bound.push_back(bind_command(command, place_command(root, command)));
  }
  const std::vector<std::string> arguments =
      help_behind_command(root, flags_behind_command(root, typed));
  try {
    // CLI11 takes the arguments in reverse.
    const std::vector<std::string> read = with_dash_words(arguments, all);
    root.parse(std::vector<std::string>(read.rbegin(), read.rend()));
  } catch (const CLI::CallForVersion&) {
    out(version_line());
    return kExitOk;
  } catch (const CLI::CallForHelp&) {
    // Goes down to the subcommand that was reached by itself.
    out(fit_help(root.help(), terminal_columns(STDOUT_FILENO)));
    return kExitOk;
  } catch (const CLI::ParseError& fault) {
    if (arguments.empty()) {
      out(fit_help(root.help(), terminal_columns(STDOUT_FILENO)));
      return kExitUsage;
    }
    const std::string said = usage_fault(root, arguments, fault.what());
    // What was typed before the fault may not have been read yet.
    CommonFlags common;
    common.json = std::find(typed.begin(), typed.end(), "--json") != typed.end();
    if (common.json) return Console(console_mode(common), out, error).misused(invalid(said));
    error("error: " + said + "\n");
    return kExitUsage;
  }
  // A parser of a group counts as parsed too, but only commands are in this list.
  for (const BoundCommand& candidate : bound) {
    if (!candidate.parser->parsed()) continue;
    Console console(console_mode(read_common_flags(candidate)), out, error);
    Result<Invocation> invocation = read_invocation(candidate);
    if (!invocation.ok()) return console.misused(invocation.status());
    return run_caught(*candidate.command, *invocation, console);
  }
  error("error: No such command. Run `kvcs --help`.\n");
  return kExitUsage;
}

namespace {

// argv[0] is the program's name and is left out; a caller may pass no argument at all.
int run_process(int argc, const char* const* argv, CommandMaker more) {
  const std::vector<std::string> typed(argv + (argc > 0 ? 1 : 0), argv + argc);
  const Console::Writer out = stream_writer(stdout);
  // The descriptions of all commands, and the parser made of them, take longer than the answer.
  if (typed.size() == 1 && (typed[0] == "--version" || typed[0] == "-V")) {
    out(version_line());
    return kExitOk;
  }
  std::vector<Command> all = more();
  for (Command& command : all) command.asks_server = false;  // They are the daemon's own.
  for (Command& command : commands()) all.push_back(std::move(command));
  return run_cli(typed, all, out, stream_writer(stderr));
}

}  // namespace

int run_cli(int argc, const char* const* argv, CommandMaker more) {
  open_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // A file that may not grow is a failure as a full disk is.
  int code = kExitFailed;
  try {
    code = run_process(argc, argv, more);
  } catch (const std::bad_alloc&) {  // Not even enough to begin, or to say so by the usual way.
    std::fprintf(stderr, "error: %s.\n", kvfile::kOutOfMemory.data());
  }
  // A result that did not reach its reader is a failure, even if the command itself went well.
  if (std::ferror(stdout) == 0) return code;
  std::fputs("error: the result could not be written to standard output.\n", stderr);
  return code == kExitOk ? kExitFailed : code;
}

}  // namespace kvcs::cli

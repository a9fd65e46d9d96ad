// A command of the kvcs binary as data: cli.cc turns it into a parser, help, completion.
// A command file includes this and nothing of CLI11:
//
//   std::vector<Command> list_commands() {
//     return {{.name = "list",
//              .summary = "List the artifacts of the project.",
//              .options = {{.name = "--limit", .kind = ValueKind::kNumber, .help = "At most N."}},
//              .examples = {{"kvcs list --limit 20", "The newest twenty."}},
//              .run = [](const Invocation& in, Console& console) { … }}};
//   }
//
// and is named once in cli/commands.cc. Every command has --json, --quiet and --no-color by itself,
// and one that asks a server --server and --cacert; all of them also before the command's words.
// Exit codes: 0 ok, 1 failed, 2 usage (`kvcs help exit-codes`); what a command adds to these it
// says in its details.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/status.h"

namespace kvcs::cli {

// The exit codes that all commands share. A command that answers a question (verify) has more of
// its own, from 3 on, and lists them in its details.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// Stands in a table's column of numbers.
inline constexpr std::string_view kNoLimit = "no limit";

enum class ValueKind : uint8_t {
  kFlag,    // Present or not.
  kText,    // One word.
  kNumber,  // A whole number between min and max.
  kList,    // One word or more; the option may be repeated.
};

// An option ("--name", "-n,--name") or, without dashes, a positional argument ("FILE").
struct Option {
  std::string name;
  ValueKind kind = ValueKind::kText;
  std::string help;
  std::string value_name = {};  // What help prints for the value: "DIR", "HOST:PORT".
  std::string fallback = {};    // Taken when neither the command line nor `env` gives one.
  bool required = false;
  bool never_empty = false;               // "" is refused, as it always is for what is required.
  std::vector<std::string> choices = {};  // When not empty, the value is one of these.
  std::vector<std::string> env = {};      // Tried in order after the command line.
  // Bounds of kNumber, both allowed.
  int64_t min = 0, max = INT64_MAX;
};

struct Example {
  std::string line;  // As typed: "kvcs kv get apikey:… --family auth"
  std::string says;
};

// Which server a command asks, and by whose certificates it is believed, where the command line
// says so.
struct ServerFlags {
  std::string server = {}, cacert = {};
};

// The values of one run of a command, from the command line, the environment or the fallbacks.
// Options are asked for by their long name without dashes ("data-dir"), arguments by their own name
// in lower case ("file"). Asking for a name that the command does not describe aborts: it is a
// programmer's error, and no input of a user leads there.
class Invocation final {
 public:
  std::string text(std::string_view name) const;  // "" when absent.
  std::optional<std::string> optional_text(std::string_view name) const;
  bool flag(std::string_view name) const;
  int64_t number(std::string_view name) const;  // 0 when absent and without fallback.
  std::optional<int64_t> optional_number(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;
  const ServerFlags& server_flags() const { return server_flags_; }

  // For cli.cc and tests.
  void set_server_flags(ServerFlags flags) { server_flags_ = std::move(flags); }
  void set(std::string name, std::vector<std::string> values);

 private:
  const std::vector<std::string>& find(std::string_view name) const;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  ServerFlags server_flags_;
};

// Where a command prints. Results go to stdout; questions, notes, progress and failures go to
// stderr, so that a pipe gets the result alone. One thread.
class Console final {
 public:
  // How the command was asked to print. `json`, `quiet` and `color` come from the common flags.
  struct Mode {
    bool json = false, quiet = false, color = false;
    bool terminal = false;      // stderr is one: progress may be drawn.
    bool out_terminal = false;  // stdout is one.
    // The columns that a line may take there, asked anew for each drawing; 0, or no function: any
    // number.
    std::function<size_t()> out_columns = {}, error_columns = {};
  };
  using Writer = std::function<void(std::string_view bytes)>;
  Console(Mode mode, Writer out, Writer error);

  const Mode& mode() const { return mode_; }
  // A result line; foreign text in it must have passed printable().
  void print(std::string_view line);
  void write(std::string_view bytes);  // Raw bytes of a result, for pipes.
  void print_json(const Json& value);  // The one result of --json, indented.
  void note(std::string_view line);    // Progress and advice; nothing when quiet or --json.
  // The failure, as text or, with --json, as {"error","code"} (cli/error_codes.h) with "reason" and
  // "retry_after_s" where the server gave them. Returns kExitFailed.
  int fail(const Status& status);
  // Of a command line that is wrong. Returns kExitUsage.
  int misused(const Status& status);
  // Aligned columns; a column whose cells are all numbers stands to the right. The first row is the
  // heading. What is too wide for a terminal is cut in its widest texts ("…"), never in numbers or
  // ids; a table that is too wide even so becomes a list of fields for each row.
  void print_table(const std::vector<std::vector<std::string>>& rows);
  // Names with their values, one pair a line, the values aligned.
  void print_fields(const std::vector<std::pair<std::string, std::string>>& fields);
  std::string bold(std::string_view text) const;
  std::string red(std::string_view text) const;
  std::string green(std::string_view text) const;
  void write_error(std::string_view bytes) { error_(bytes); }  // For questions.
  // A line of a terminal's stderr that the next drawing takes the place of; what else is said there
  // begins on a clean line.
  void draw(std::string_view line);
  void wipe();

 private:
  size_t out_columns() const { return mode_.out_columns ? mode_.out_columns() : 0; }
  void tell_failure(const Status& status, std::string_view code);
  const Mode mode_;
  Writer out_, error_;
  bool is_drawn_ = false;
};

struct Command {
  std::string name;  // "list", or "kv get" for a command of a group, or of a group in a group.
  std::string summary;
  std::vector<Option> options = {};
  std::vector<Example> examples;
  std::function<int(const Invocation&, Console&)> run;
  std::string details = {};  // More paragraphs for --help.
  bool asks_server = true;   // Else it has no use for --server and --cacert.
  // Words with one dash are arguments, as in `kvcs tag demo -old`. Such a command is in no group,
  // and has no options of its own with one dash.
  bool takes_dash_words = false;
};

// The summary of a group, e.g. {"kv", "Read and change the key-value store."}.
struct CommandGroup {
  std::string name, summary;
};

}  // namespace kvcs::cli

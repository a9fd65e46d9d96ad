// Writes the tables of commands as man(7) pages.
#include "cli/man.h"

#include <algorithm>

#include "base/build_info.h"
#include "base/bytes.h"
#include "cli/cli.h"

namespace kvcs::cli {
namespace {

// A text between macros: no letter of it is taken for a request (man(7), groff_char(7)).
std::string roff(std::string_view text) {
  std::string out;
  bool line_begins = true;
  for (const char c : text) {
    if (line_begins && (c == '.' || c == '\'')) out += "\\&";
    line_begins = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
  return text;
}

std::string heading(const std::string& page, std::string_view summary) {
  return ".TH " + upper(page) + " 1 \"\" \"kvcs " + version() + "\" \"User Commands\"\n.SH NAME\n" +
         roff(page) + " \\- " + roff(summary) + "\n";
}

std::string first_word(const Command& command) {
  return command.name.substr(0, command.name.find(' '));
}

std::string about(const Option& option) {
  std::string text = option.help;
  if (!option.fallback.empty()) text += " Else " + option.fallback + ".";
  if (!option.env.empty()) text += " Also from " + join(option.env, ", ") + ".";
  return text;
}

std::string option_text(const Option& option) {
  const bool is_argument = !option.name.starts_with('-');
  const std::string value = is_argument ? std::string() : value_word(option);
  return ".TP\n.B " + roff(option.name) + (value.empty() ? "" : " \\fI" + roff(value) + "\\fR") +
         "\n" + roff(about(option)) + "\n";
}

std::string synopsis(const Command& command) {
  std::string text = ".B kvcs " + roff(command.name) + "\n";
  if (std::any_of(command.options.begin(), command.options.end(),
                  [](const Option& one) { return one.name.starts_with('-'); })) {
    text += "[\\fIOPTIONS\\fR]\n";
  }
  for (const Option& option : command.options) {
    if (option.name.starts_with('-')) continue;
    const std::string dots = option.kind == ValueKind::kList ? "..." : "";
    const std::string name = "\\fI" + roff(option.name) + "\\fR" + dots;
    text += (option.required ? name : "[" + name + "]") + "\n";
  }
  return text;
}

std::string command_text(const Command& command, std::string_view level) {
  std::string text = std::string(level) + " " + roff("kvcs " + command.name) + "\n" +
                     synopsis(command) + ".PP\n" + roff(command.summary) + "\n";
  if (!command.details.empty()) text += ".PP\n" + roff(command.details) + "\n";
  for (const Option& option : command.options) text += option_text(option);
  for (const Example& example : command.examples) {
    text += ".PP\n" + (example.says.empty() ? "Example:" : roff(example.says)) +
            "\n.PP\n.nf\n.RS\n" + roff(example.line) + "\n.RE\n.fi\n";
  }
  return text;
}

// The options that need no telling at each command.
std::string shared_options_text(bool asks_server) {
  std::string text = ".SH OPTIONS OF EVERY COMMAND\n";
  for (const Option& option : common_options()) text += option_text(option);
  if (!asks_server) return text;
  text += ".SH OPTIONS OF COMMANDS THAT ASK A SERVER\n";
  for (const Option& option : server_options()) text += option_text(option);
  return text;
}

ManPage page_of_word(const std::string& word, const std::vector<Command>& commands) {
  std::string summary, body;
  bool asks_server = false;
  for (const CommandGroup& group : command_groups()) {
    if (group.name == word) summary = group.summary;
  }
  for (const Command& command : commands) {
    if (first_word(command) != word) continue;
    if (command.name == word) summary = command.summary;
    body += command_text(command, ".SS");
    asks_server = asks_server || command.asks_server;
  }
  const std::string page = "kvcs-" + word;
  return {page + ".1", heading(page, summary) + ".SH COMMANDS\n" + body +
                           shared_options_text(asks_server) + ".SH SEE ALSO\n.BR kvcs (1)\n"};
}

}  // namespace

std::vector<ManPage> man_pages(const std::vector<Command>& commands) {
  std::vector<ManPage> pages;
  std::vector<std::string> words;
  for (const Command& command : commands) {
    const std::string word = first_word(command);
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  std::string main = heading("kvcs", "artifact store, tool gateway and AI gateway in one daemon") +
                     ".SH SYNOPSIS\n.B kvcs\n\\fICOMMAND\\fR [\\fIOPTIONS\\fR]\n.SH COMMANDS\n";
  for (const std::string& word : words) {
    pages.push_back(page_of_word(word, commands));
    const std::string& text = pages.back().text;
    const size_t begin = text.find(" \\- ") + 4;
    main += ".TP\n.BR kvcs\\-" + roff(word) + " (1)\n" +
            text.substr(begin, text.find('\n', begin) - begin) + "\n";
  }
  main += shared_options_text(true) +
          ".SH FILES\n.TP\n.I ~/.config/kvcs/config.json\nServers and the API key of this "
          "machine.\n.TP\n.I /etc/kvcs/kvcs.yaml\nThe daemon's configuration.\n";
  pages.insert(pages.begin(), ManPage{"kvcs.1", main});
  return pages;
}

}  // namespace kvcs::cli

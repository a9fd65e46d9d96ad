// Follows the words of a command line down the tree of commands, to the first that fits nowhere.
#include "cli/usage_fault.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

#include "base/bytes.h"

namespace kvcs::cli {
namespace {

// The Levenshtein distance: how many letters must be put in, left out or changed to turn `a` into
// `b`. One row of the table is kept; `diagonal` is the value up and to the left of the current one.
size_t distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) row[j] = j;
  for (size_t i = 1; i <= a.size(); i++) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); j++) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({change, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// The advice behind an unknown word: the subcommand that was probably meant, else all of them. A
// name is near when at most one letter, and one more for every four, is different.
std::string next_words(const std::vector<const CLI::App*>& subcommands, const std::string& word) {
  std::string list, nearest;
  size_t best = 1 + word.size() / 4;
  for (const CLI::App* one : subcommands) {
    const std::string& name = one->get_name();
    list += (list.empty() ? "" : ", ") + name;
    const size_t found = distance(word, name);
    if (found > best) continue;
    best = found;
    nearest = name;
  }
  return nearest.empty() ? "It has: " + list + "." : "Did you mean '" + nearest + "'?";
}

// "" when the word is an option of the command, or no long option at all.
std::string option_fault(const CLI::App& command, const std::string& path,
                         const std::string& word) {
  if (!word.starts_with("--")) return {};
  std::string nearest;
  size_t best = 1 + word.size() / 4;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      const size_t found = distance(word.substr(2), name);
      if (found == 0) return {};
      if (found >= best) continue;
      best = found;
      nearest = name;
    }
  }
  return "'" + printable(word, kShownName) + "' is no option of `" + path + "`." +
         (nearest.empty() ? " Run `" + path + " --help` for its usage."
                          : " Did you mean '--" + nearest + "'?");
}

}  // namespace

// The text of a usage error. CLI11's own message (`what`) does not say which command was meant, so
// the arguments are followed down the tree of commands until a word fits no subcommand.
std::string usage_fault(const CLI::App& root, const std::vector<std::string>& arguments,
                        const std::string& what) {
  const auto all = [](const CLI::App*) { return true; };
  const CLI::App* reached = &root;
  std::string path = "kvcs";
  for (const std::string& word : arguments) {
    const std::vector<const CLI::App*> subcommands = reached->get_subcommands(all);
    if (subcommands.empty() || word.starts_with('-')) break;
    const auto next = std::find_if(subcommands.begin(), subcommands.end(),
                                   [&](const auto* one) { return one->get_name() == word; });
    if (next == subcommands.end()) {
      return "'" + printable(word, kShownName) + "' is no command of `" + path + "`. " +
             next_words(subcommands, word);
    }
    reached = *next;
    path += " " + word;
  }
  const std::vector<const CLI::App*> subcommands = reached->get_subcommands(all);
  if (!subcommands.empty() && reached != &root) {
    return "`" + path + "` needs a command. " + next_words(subcommands, "");
  }
  for (const std::string& word : arguments) {
    if (word == "--") break;
    const std::string fault = option_fault(*reached, path, word.substr(0, word.find('=')));
    if (!fault.empty()) return fault;
  }
  return printable(what, kShownText) + ".\nRun `" + path + " --help` for its usage.";
}

}  // namespace kvcs::cli

// Brings flags, `help` and words with a dash to the places where the parser expects them.
#include "cli/typed_words.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <string_view>

#include "base/bytes.h"
#include "cli/cli.h"

namespace kvcs::cli {
namespace {

// The command or group `word` of a group; null when it has none.
const CLI::App* below(const CLI::App& group, const std::string& word) {
  const auto found =
      group.get_subcommands([&](const CLI::App* one) { return one->get_name() == word; });
  return found.empty() ? nullptr : found.front();
}

// How many words from `at` on are one of the flags that every command has; 0: they are none.
size_t common_flag_words(const std::vector<std::string>& words, size_t at) {
  const std::string& word = words[at];
  for (const Option& option : common_options()) {
    if (asked_name(option) == "help") continue;
    for (const std::string_view name : split(option.name, ',')) {
      if (word == name) return 1;
    }
  }
  for (const Option& option : server_options()) {
    if (word.starts_with(option.name + "=")) return 1;
    if (word == option.name) return at + 1 < words.size() ? 2 : 0;
  }
  return 0;
}

}  // namespace

std::vector<std::string> flags_behind_command(const CLI::App& root,
                                              const std::vector<std::string>& arguments) {
  size_t begin = 0;
  while (begin < arguments.size()) {
    const size_t words = common_flag_words(arguments, begin);
    if (words == 0) break;
    begin += words;
  }
  size_t end = begin;
  const CLI::App* reached = &root;
  for (; end < arguments.size(); end++) {
    const CLI::App* const next = below(*reached, arguments[end]);
    if (next == nullptr) break;
    reached = next;
  }
  const auto at = [&](size_t i) { return arguments.begin() + static_cast<ptrdiff_t>(i); };
  std::vector<std::string> words(at(begin), at(end));
  if (end > begin) words.insert(words.end(), at(0), at(begin));
  words.insert(words.end(), at(end), arguments.end());
  return words;
}

std::vector<std::string> help_behind_command(const CLI::App& root,
                                             const std::vector<std::string>& arguments) {
  const CLI::App* const help = below(root, "help");
  if (help == nullptr || arguments.empty() || arguments.front() != "help") return arguments;
  const CLI::App* reached = &root;
  std::vector<std::string> words;
  for (size_t i = 1; i < arguments.size() && !arguments[i].starts_with('-'); i++) {
    if (i == 1 && below(*help, arguments[i]) != nullptr) return arguments;
    const bool has_more = !reached->get_subcommands([](const CLI::App*) { return true; }).empty();
    if (!has_more) break;
    words.push_back(arguments[i]);
    reached = below(*reached, arguments[i]);
    if (reached == nullptr) return words;
  }
  words.emplace_back("--help");
  return words;
}

std::vector<std::string> with_dash_words(const std::vector<std::string>& arguments,
                                         const std::vector<Command>& all) {
  const auto is_called = [&](const Command& one) {
    return one.takes_dash_words && !arguments.empty() && one.name == arguments.front();
  };
  if (std::none_of(all.begin(), all.end(), is_called)) return arguments;
  std::vector<std::string> options = {arguments.front()}, words = {"--"};
  for (size_t i = 1; i < arguments.size(); i++) {
    const std::string& word = arguments[i];
    if (word == "--") return arguments;
    const bool is_option = word.starts_with("--") || word == "-q" || word == "-h";
    (is_option ? options : words).push_back(word);
  }
  if (words.size() == 1) return options;
  options.insert(options.end(), words.begin(), words.end());
  return options;
}

}  // namespace kvcs::cli

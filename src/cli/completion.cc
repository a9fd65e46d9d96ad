// Finds what may stand at the end of a command line in the tables of commands, and holds the three
// scripts that ask for it.
#include "cli/completion.h"

#include <algorithm>

#include "base/bytes.h"
#include "cli/cli.h"

namespace kvcs::cli {
namespace {

constexpr std::string_view kBash = R"(# kvcs: completion for bash.
#   source <(kvcs completion bash)
_kvcs() {
  local IFS=$'\n'
  COMPREPLY=($(kvcs __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null))
}
complete -o bashdefault -o default -F _kvcs kvcs
)";

constexpr std::string_view kZsh = R"(#compdef kvcs
# kvcs: completion for zsh.
#   kvcs completion zsh > ~/.zfunc/_kvcs    with ~/.zfunc in fpath, or
#   source <(kvcs completion zsh)
_kvcs() {
  local -a found
  found=("${(@f)$(kvcs __complete "${(@)words[2,CURRENT]}" 2> /dev/null)}")
  if [[ -n "${found[1]}" ]]; then compadd -- "${found[@]}"; else _files; fi
}
if [[ "${funcstack[1]}" = _kvcs ]]; then _kvcs "$@"; else compdef _kvcs kvcs; fi
)";

constexpr std::string_view kFish = R"(# kvcs: completion for fish.
#   kvcs completion fish > ~/.config/fish/completions/kvcs.fish
function __kvcs_complete
  set -l words (commandline -opc) (commandline -ct)
  kvcs __complete $words[2..-1] 2> /dev/null
end
complete -c kvcs -a '(__kvcs_complete)'
)";

// Where the words lead: the command, if they name one, and the path so far ("admin org").
struct Reached {
  const Command* command = nullptr;
  std::string path;
  bool has_more = false;  // A word behind the path is no command's.
};

bool is_below(std::string_view name, std::string_view path) {
  return path.empty() ||
         (name.starts_with(path) && name.size() > path.size() && name[path.size()] == ' ');
}

Reached follow(const std::vector<Command>& commands, const std::vector<std::string>& words) {
  Reached reached;
  for (size_t i = 0; i + 1 < words.size(); i++) {
    if (words[i].starts_with('-')) continue;
    const std::string next = reached.path.empty() ? words[i] : reached.path + " " + words[i];
    const auto fits = std::find_if(commands.begin(), commands.end(), [&](const Command& one) {
      return one.name == next || is_below(one.name, next);
    });
    if (fits == commands.end()) {
      reached.has_more = true;
      break;
    }
    reached.path = next;
    if (fits->name == next) reached.command = &*fits;
  }
  return reached;
}

// "--limit" of "-n,--limit"; "" for an argument.
std::string long_name(const Option& option) {
  return option.name.starts_with('-') ? "--" + asked_name(option) : std::string();
}

// The option whose value the last word is; null when it is none's.
const Option* option_before(const Command& command, const std::vector<std::string>& words) {
  if (words.size() < 2) return nullptr;
  for (const Option& option : command.options) {
    if (option.kind == ValueKind::kFlag || !option.name.starts_with('-')) continue;
    for (const std::string_view name : split(option.name, ',')) {
      if (name == words[words.size() - 2]) return &option;
    }
  }
  return nullptr;
}

std::vector<std::string> candidates(const std::vector<Command>& commands,
                                    const std::vector<std::string>& words) {
  const Reached reached = follow(commands, words);
  std::vector<std::string> found;
  if (reached.command != nullptr) {
    if (const Option* option = option_before(*reached.command, words)) return option->choices;
    for (const Option& option : reached.command->options) {
      const std::string name = long_name(option);
      if (words.back().starts_with('-')) {
        if (!name.empty()) found.push_back(name);
      } else if (name.empty()) {
        found.insert(found.end(), option.choices.begin(), option.choices.end());
      }
    }
  }
  if (words.back().starts_with('-')) {
    for (const Option& option : common_options()) found.push_back(long_name(option));
    if (reached.command != nullptr && reached.command->asks_server) {
      for (const Option& option : server_options()) found.push_back(long_name(option));
    }
  }
  // The next word of a group, and of commands that are groups as well.
  const size_t begin = reached.path.empty() ? 0 : reached.path.size() + 1;
  for (const Command& command : commands) {
    if (reached.has_more || words.back().starts_with('-')) break;
    if (!is_below(command.name, reached.path)) continue;
    found.push_back(command.name.substr(begin, command.name.find(' ', begin) - begin));
  }
  return found;
}

}  // namespace

std::vector<std::string> complete(const std::vector<Command>& commands,
                                  const std::vector<std::string>& words) {
  const std::vector<std::string> whole = words.empty() ? std::vector<std::string>{""} : words;
  std::vector<std::string> found = candidates(commands, whole);
  if (whole.size() > 1 && whole.front() == "help") {
    for (std::string& one : candidates(commands, {whole.begin() + 1, whole.end()})) {
      found.push_back(std::move(one));
    }
  }
  std::erase_if(found, [&](const std::string& one) { return !one.starts_with(whole.back()); });
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return std::string(kBash);
  if (shell == "zsh") return std::string(kZsh);
  if (shell == "fish") return std::string(kFish);
  return {};
}

}  // namespace kvcs::cli

// The table of what servers say of their own interface, and what the command line says instead.
#include "cli/server_words.h"

#include <string_view>

namespace kvcs::cli {
namespace {

struct Phrase {
  std::string_view server, command;
  // The word that goes on behind the server's phrase ("/gpt-9" of a path) is the command's last
  // argument.
  bool takes_word = false;
};

// A phrase that begins another one stands behind it.
constexpr Phrase kPhrases[] = {
    {"Choose one with PATCH /api/v1/me", "Choose one with `kvcs org use ORG`"},
    {"PATCH /api/v1/me", "`kvcs org use ORG` or `kvcs project use PROJECT`"},
    {"project_id: required, as no project is active in this session",
     "--project: required, as no project is active (`kvcs project use PROJECT`)"},
    {"project_id: required, as an organization key", "--project: required, as an organization key"},
    {"; null makes a key of the organization", "; --organization makes a key of the organization"},
    {"project_id: required with an organization key",
     "--project-id: required with a key of an "
     "organization"},
    {"current_password: required.",
     "The account's password is required: it is asked for, or read from stdin."},
    {"DELETE /auth/totp", "`kvcs totp off`"},
    {"POST /auth/totp", "`kvcs totp on`"},
    {"GET /auth/providers has those", "`kvcs login` finds those"},
    {"POST /api/v1/billing/checkout", "`kvcs org upgrade PLAN`"},
    {"GET /api/v1/plans", "`kvcs org plan`"},
    {"PUT /admin/ai/prices/{model}", "`kvcs admin prices set MODEL`"},
    {"PUT /admin/ai/prices/", "kvcs admin prices set ", true},
    {"POST /admin/jobs/autoresearch/run", "`kvcs admin jobs --run autoresearch`"},
    {"GET /admin/jobs", "`kvcs admin jobs`"},
    {"?force=true", "--force"},
    {"?dry_run=true", "--dry-run"},
};

// The word at the beginning of the text, without the stop that ends its sentence.
std::string_view first_word(std::string_view text) {
  std::string_view word = text.substr(0, text.find_first_of(" ,;"));
  while (word.ends_with('.')) word.remove_suffix(1);
  return word;
}

}  // namespace

std::string in_commands(std::string text) {
  for (const Phrase& phrase : kPhrases) {
    size_t at = text.find(phrase.server);
    while (at != text.npos) {
      std::string said(phrase.command);
      size_t size = phrase.server.size();
      if (phrase.takes_word) {
        const std::string_view word = first_word(std::string_view(text).substr(at + size));
        said = "`" + said + std::string(word) + "`";
        size += word.size();
      }
      text.replace(at, size, said);
      at = text.find(phrase.server, at + said.size());
    }
  }
  return text;
}

}  // namespace kvcs::cli

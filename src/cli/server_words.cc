// The table of what servers say of their own interface, and what the command line says instead.
#include "cli/server_words.h"

#include <string_view>
#include <vector>

namespace kvcs::cli {
namespace {

// "*" stands for a part of a path, "#" for all that is left of one. The command has them in the
// same order.
struct Phrase {
  std::string_view server, command;
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
     "--project: required with a key of an "
     "organization"},
    {"current_password: required.",
     "The account's password is required: it is asked for, or read from stdin."},
    {"DELETE /auth/totp", "`kvcs totp off`"},
    {"POST /auth/totp", "`kvcs totp on`"},
    {"GET /auth/providers has those", "`kvcs login` finds those"},
    {"POST /api/v1/billing/checkout", "`kvcs org upgrade PLAN`"},
    {"GET /api/v1/plans", "`kvcs org plan`"},
    {"PUT /admin/ai/prices/{model}", "`kvcs admin prices set MODEL`"},
    {"PUT /admin/ai/prices/#", "`kvcs admin prices set #`"},
    {"POST /admin/jobs/*/run", "`kvcs admin jobs --run *`"},
    {"GET /admin/job-runs?job=*", "`kvcs admin jobs` for *"},
    {"GET /admin/jobs", "`kvcs admin jobs`"},
    {"POST /admin/tenants/*/providers/*/connect", "`kvcs gateway account connect * *`"},
    {"PUT /admin/tenants/*/providers/*/accounts/*", "`kvcs gateway account add * * *`"},
    {"DELETE /admin/tenants/*/providers/*/accounts/*", "`kvcs gateway account remove * * *`"},
    {"?force=true", "--force"},
    {"?dry_run=true", "--dry-run"},
    {"?permanent=true", "--permanent"},
};

// What a sign of a phrase stands for at the beginning of the text, without the stop that ends its
// sentence.
std::string_view part_of(std::string_view text, char sign) {
  std::string_view part = text.substr(0, text.find_first_of(sign == '*' ? "/?& ,;)" : " ,;)"));
  while (part.ends_with('.')) part.remove_suffix(1);
  return part;
}

bool is_sign(char c) {
  return c == '*' || c == '#';
}

struct Match {
  size_t size = 0;  // Of what the text has there; 0: something else.
  std::vector<std::string_view> parts;
};

// Whether the text begins as the phrase says.
Match match(std::string_view text, std::string_view phrase) {
  Match found;
  size_t at = 0;
  for (const char c : phrase) {
    if (is_sign(c)) {
      const std::string_view part = part_of(text.substr(at), c);
      if (part.empty()) return {};
      found.parts.push_back(part);
      at += part.size();
    } else if (at < text.size() && text[at] == c) {
      at++;
    } else {
      return {};
    }
  }
  found.size = at;
  return found;
}

std::string filled(std::string_view command, const std::vector<std::string_view>& parts) {
  std::string text;
  size_t next = 0;
  for (const char c : command) {
    const bool is_part = is_sign(c) && next < parts.size();
    text += is_part ? parts[next++] : std::string_view(&c, 1);
  }
  return text;
}

}  // namespace

std::string in_commands(std::string text) {
  for (const Phrase& phrase : kPhrases) {
    const std::string_view first = phrase.server.substr(0, phrase.server.find_first_of("*#"));
    size_t at = text.find(first);
    while (at != text.npos) {
      const Match found = match(std::string_view(text).substr(at), phrase.server);
      size_t next = at + first.size();
      if (found.size > 0) {
        const std::string said = filled(phrase.command, found.parts);
        text.replace(at, found.size, said);
        next = at + said.size();
      }
      at = text.find(first, next);
    }
  }
  return text;
}

}  // namespace kvcs::cli

// The table of the dashboard's pages. A test compares it with the navigation of the dashboard.
#include "cli/dashboard_pages.h"

namespace kvcs::cli {
namespace {

constexpr DashboardPage kPages[] = {
    {"overview", "/"},
    {"artifacts", "/artifacts"},
    {"compare", "/artifacts/compare"},
    {"deleted", "/artifacts/deleted"},
    {"catalogue", "/catalogue"},
    {"usage", "/ai"},
    {"requests", "/ai/requests"},
    {"users", "/ai/users"},
    {"playground", "/ai/playground"},
    {"prices", "/ai/prices"},
    {"providers", "/ai/providers"},
    {"accounts", "/gateway"},
    {"services", "/gateway/catalogue"},
    {"console", "/gateway/console"},
    {"tenants", "/gateway/tenants"},
    {"schedules", "/gateway/schedules"},
    {"briefings", "/gateway/briefings"},
    {"members", "/organization"},
    {"projects", "/organization/projects"},
    {"keys", "/organization/keys"},
    {"billing", "/billing"},
    {"history", "/organization/audit"},
    {"settings", "/organization/settings"},
    {"account", "/account"},
    {"security", "/account/security"},
    {"sessions", "/account/sessions"},
    {"health", "/ops"},
    {"metrics", "/ops/metrics"},
    {"config", "/ops/config"},
    {"jobs", "/ops/jobs"},
    {"runs", "/ops/runs"},
    {"errors", "/ops/errors"},
    {"alerts", "/ops/alerts"},
    {"audit", "/ops/audit"},
    {"kv", "/ops/kv"},
    {"backups", "/ops/backups"},
    {"people", "/ops/people"},
    {"organizations", "/ops/organizations"},
};

}  // namespace

std::span<const DashboardPage> dashboard_pages() {
  return kPages;
}

std::string_view find_dashboard_page(std::string_view called) {
  for (const auto& [word, path] : kPages) {
    if (called == word || (!called.empty() && called == path.substr(1))) return path;
  }
  return {};
}

std::string dashboard_words() {
  std::string words;
  for (const auto& [word, path] : kPages) words.append(words.empty() ? "" : ", ").append(word);
  return words;
}

}  // namespace kvcs::cli

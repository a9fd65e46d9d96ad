// Gathers the figures of the briefing from the ledger, the gateway's accounts and providers and the
// organizations, and keeps and shows the result. One job a day writes; any worker may read.
#include "briefing/briefing.h"

#include <nlohmann/json.hpp>

#include <utility>

#include "base/bytes.h"
#include "gateway/catalogue/canaries.h"
#include "gateway/tokens/refresher.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "kv/last_used.h"
#include "ledger/rows.h"

namespace kvcs::briefing {
namespace {

constexpr int64_t kExpiringWithinS = 7 * 86'400;
constexpr size_t kAccountsMax = 200, kUnusedMax = 50;
constexpr size_t kSummarizedMax = 40, kSummaryMaxBytes = 4000;

// A finding as the briefing shows it. Evidence was made by this process and parses.
Json finding_json(const Finding& finding) {
  Result<Json> evidence = parse_json(finding.evidence_json);
  return Json{{"id", finding.id},
              {"severity", finding.severity},
              {"title", finding.title},
              {"subject", finding.subject},
              {"evidence", evidence.ok() ? std::move(evidence).value() : Json::object()},
              {"suggested_action", finding.suggested_action}};
}

// The briefing with its first `findings_max` findings, which are the worst ones.
Json briefing_of(const Figures& figures, const std::vector<Finding>& findings,
                 size_t findings_max) {
  Json list = Json::array();
  for (size_t i = 0; i < findings.size() && i < findings_max; ++i) {
    list.push_back(finding_json(findings[i]));
  }
  return Json{{"date", format_day(figures.now_ms)},
              {"generated_at", format_iso8601_s(figures.now_ms)},
              {"totals",
               {{"errors_24h", figures.digest.errors},
                {"errors_day_before", figures.digest.errors_before},
                {"accounts_in_trouble", figures.accounts.size()},
                {"findings", findings.size()}}},
              {"findings", std::move(list)}};
}

// The model's words are shown in terminals and pages: one line of printable text, bounded.
std::string one_paragraph(std::string text) {
  for (char& c : text) {
    if (c == '\n' || c == '\r' || c == '\t') c = ' ';
  }
  return printable(trim(text), kSummaryMaxBytes);
}

}  // namespace

DailyBriefing::DailyBriefing(KvStore& kv, Ledger& ledger, const gateway::TokenStore& tokens,
                             const gateway::ProviderDirectory& providers, const Clock& clock,
                             Summarizer summarize)
    : kv_(kv),
      ledger_(ledger),
      tokens_(tokens),
      providers_(providers),
      clock_(clock),
      summarize_(std::move(summarize)) {}

void DailyBriefing::add_if_unused(const gateway::AccountView& view, Figures& figures) const {
  // An account that an import brought has no time of creation, but at least that of its last
  // change.
  const int64_t since_ms = (view.created_at_s != 0 ? view.created_at_s : view.updated_at_s) * 1000;
  const bool is_old = since_ms != 0 && figures.now_ms - since_ms >= kUnusedAfterMs;
  if (!is_old || figures.unused_accounts.size() >= kUnusedMax) return;
  const int64_t used_ms = tokens_.last_used_ms(view.id);
  if (figures.now_ms - used_ms < kUnusedAfterMs) return;
  figures.unused_accounts.push_back({view.id, view.created_at_s * 1000, used_ms});
}

Status DailyBriefing::gather_accounts(Figures& figures) const {
  const int64_t now_s = figures.now_ms / 1000;
  const auto visit = [&](const gateway::AccountView& view) -> Status {
    const bool ends = view.expires_at_s != 0;
    const bool renewed = gateway::is_refreshable(view.type);
    // Something that nothing renews is told a week ahead; a token that the refresher renews only
    // when it could not.
    const bool troubled = view.health.state == gateway::TokenState::kReauthRequired ||
                          view.health.state == gateway::TokenState::kRetrying ||
                          (ends && view.expires_at_s <= now_s) ||
                          (ends && !renewed && view.expires_at_s - now_s <= kExpiringWithinS);
    if (troubled && figures.accounts.size() < kAccountsMax) figures.accounts.push_back(view);
    add_if_unused(view, figures);
    return ok();
  };
  return tokens_.for_each_view("", "", visit);
}

void DailyBriefing::gather_providers(Figures& figures) const {
  const Result<std::vector<std::string>> names = providers_.list();
  if (names.ok()) {
    for (const std::string& name : names.value()) {
      const auto provider = providers_.find(name);
      if (provider.ok()) figures.cached[name] = provider.value()->cache_ttl_s > 0;
    }
  }
  // The snapshot of the canaries is JSON that a bulk import may have written too. A snapshot that
  // is not there, or has another shape, is no reason to have no briefing.
  const Result<KvEntry> entry = kv_.get(KvFamily::kSystem, keyspace::kProviderHealth);
  const Result<Json> parsed = parse_json(entry.ok() ? entry.value().value : "{}");
  if (!parsed.ok() || !parsed.value().is_object()) return;
  const auto list = parsed.value().find("providers");
  if (list == parsed.value().end() || !list->is_object()) return;
  for (const auto& [name, health] : list->items()) {
    if (!health.is_object()) continue;
    const auto status = health.find("status");
    figures.providers.push_back(
        {name, text_member(health, "error"), status == health.end() || *status != "down",
         integer_member(health, "latency_ms"), integer_member(health, "usual_latency_ms"),
         integer_member(health, "failures")});
  }
}

// Budgets and unused keys of every organization, in one scan: the keys of an organization follow
// its record, but names are known for all only at the end, and are put in then.
Status DailyBriefing::gather_organizations(Figures& figures) const {
  std::map<std::string, std::string> names;
  std::vector<UnusedKey> keys;
  const auto visit = [&](const KvItem& item) -> Status {
    if (keyspace::parse_org_config(item.key)) {
      const Result<Organization> organization = parse_organization(item.entry.value);
      if (!organization.ok()) return ok();
      const Organization& o = organization.value();
      names[o.id] = o.slug.empty() ? o.name : o.slug;
      figures.budgets.push_back({names[o.id], o.id, o.monthly_budget_nano_usd, 0});
    }
    auto held = keyspace::parse_org_key(item.key);
    if (!held) held = keyspace::parse_tenant_token(item.key);
    if (held) {
      const Result<KeyRecord> key = parse_key(item.entry.value, PrincipalKind::kProjectKey);
      if (!key.ok() || key.value().status != KeyStatus::kActive) return ok();
      if (figures.now_ms - key.value().created_ms < kUnusedAfterMs) return ok();
      keys.push_back(
          {key.value().id, key.value().name, std::string(held->org_id), key.value().created_ms, 0});
    }
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::kOrgPrefix, visit));
  for (BudgetFigure& budget : figures.budgets) {
    for (const SpendGroup& spend : figures.digest.spend_groups) {
      if (spend.organization_id == budget.organization_id) {
        budget.spent_nano_usd = spend.month_nano_usd;
      }
    }
  }
  for (UnusedKey& key : keys) {
    key.last_used_ms = find_last_used_ms(kv_, key.id);
    if (figures.now_ms - key.last_used_ms < kUnusedAfterMs) continue;
    if (figures.unused_keys.size() >= kUnusedMax) break;
    if (const auto name = names.find(key.organization); name != names.end()) {
      key.organization = name->second;
    }
    figures.unused_keys.push_back(key);
  }
  return ok();
}

Result<Figures> DailyBriefing::gather() const {
  Figures figures;
  figures.now_ms = clock_.unix_ms();
  figures.digest = KVCS_TRY(read_day_figures(ledger_, figures.now_ms));
  KVCS_TRY(gather_accounts(figures));
  gather_providers(figures);
  KVCS_TRY(gather_organizations(figures));
  return figures;
}

// Synced: a briefing that was shown once is there tomorrow, too.
Status DailyBriefing::keep(const Figures& figures, const Json& briefing) const {
  KvBatch batch;
  batch.put(KvFamily::kSystem, keyspace::briefing(format_day(figures.now_ms)),
            KvEntry{dump_json(briefing), "", figures.now_ms / 1000 + kBriefingKeptS});
  return kv_.write(batch, KvDurability::kSynced);
}

// The rows of the ledger come first and have the findings' ids: a run that died between the two
// writes is repeated without a second row.
Result<std::string> DailyBriefing::run() {
  const Figures figures = KVCS_TRY(gather());
  const std::vector<Finding> findings = find_findings(figures);
  const auto insert = [findings, now_ms = figures.now_ms](Database& db) -> Status {
    for (const Finding& finding : findings) {
      DecisionRecord record;
      record.id = finding.id;
      record.ts_ms = now_ms;
      record.kind = "autoresearch";  // The stored word; see briefing.h.
      record.severity = finding.severity;
      record.subject = finding.subject;
      record.suggestion = finding.title + ". " + finding.suggested_action;
      record.evidence_json = finding.evidence_json;
      KVCS_TRY(insert_decision(db, record));
    }
    return ok();
  };
  KVCS_TRY(ledger_.write(insert));
  Json briefing = briefing_of(figures, findings, findings.size());
  KVCS_TRY(keep(figures, briefing));
  Json report{{"findings", findings.size()}};
  if (summarize_ && !findings.empty()) {
    // The briefing was kept above already, so that it stands whatever the model does.
    const Result<std::string> summary =
        summarize_(dump_json(briefing_of(figures, findings, kSummarizedMax)));
    report["summary"] = summary.ok();
    if (summary.ok()) {
      briefing["summary"] = one_paragraph(summary.value());
    } else {
      briefing["summary_error"] = printable(summary.status().message(), kSummaryMaxBytes);
    }
    KVCS_TRY(keep(figures, briefing));
  }
  return dump_json(report);
}

namespace {

constexpr http::ApiType kTypes[] = {
    {"Briefing", R"(
date!: string # 2026-11-29.
generated_at!: time
totals!: BriefingTotals
findings!: [Finding] # The worst first.
summary: string # By a model, where one is configured.
summary_error: string # Why there is none.)"},
    {"BriefingTotals", R"(
errors_24h!: integer
errors_day_before!: integer
accounts_in_trouble!: integer
findings!: integer)"},
    {"Finding", R"(
id!: string # Also of its row in /admin/decisions.
severity!: string
title!: string
subject!: string # What it is about: an account, a provider, a budget, a key.
evidence!: object # The figures that it was found by.
suggested_action!: string)"},
};

}  // namespace

std::span<const http::ApiType> DailyBriefing::types() {
  return kTypes;
}

void DailyBriefing::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  using enum http::Method;
  http::Rows rows(table, *this, "/admin/briefings");
  rows.add(kGet, "/{date}", access.viewer, http::kNoBody, &DailyBriefing::show,
           "The findings of one day, or of 'latest'.", {.id = "getBriefing", .answer = "Briefing"});
}

Result<http::Response> DailyBriefing::show(http::Request& request) {
  const std::string_view asked = request.param("date");
  std::vector<std::string> days = {std::string(asked)};
  if (asked == "latest") {
    const int64_t now_ms = clock_.unix_ms();
    days = {format_day(now_ms), format_day(now_ms - 86'400'000)};
  } else if (asked.size() != 10 || !parse_iso8601_ms(asked).ok()) {
    return invalid("A briefing has a date, YYYY-MM-DD, or 'latest'.");
  }
  for (const std::string& day : days) {
    const Result<KvEntry> entry = kv_.get(KvFamily::kSystem, keyspace::briefing(day));
    if (entry.ok()) return http::json_response(200, entry.value().value);
    if (entry.code() != Code::kNotFound) return entry.status();
  }
  return not_found("There is no briefing for " + printable(asked, kShownWord) +
                   "; they are made at 06:00 UTC, or by POST /admin/jobs/autoresearch/run.");
}

}  // namespace kvcs::briefing

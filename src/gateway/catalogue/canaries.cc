// Asks each provider its canary and keeps the outcome beside the last ones, on the thread of one
// job.
#include "gateway/catalogue/canaries.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>

#include "base/bytes.h"
#include "gateway/catalogue/record_request.h"
#include "gateway/outbound/outbound_auth.h"
#include "gateway/outbound/url_guard.h"
#include "kv/keyspace.h"
#include "ledger/alerts.h"

namespace kvcs::gateway {
namespace {

// Of an answer that is read only to be thrown away.
constexpr size_t kAnswerMaxBytes = 1 << 20;

// The first account of every provider whose tenant may call, whoever that is.
Result<std::map<std::string, AccountId>> first_accounts(const TokenStore& tokens,
                                                        const Canaries::MayCall& may_call) {
  std::map<std::string, AccountId> accounts;
  const auto visit = [&](const AccountView& view) -> Status {
    if (view.health.state != TokenState::kReauthRequired && may_call(view.id)) {
      accounts.emplace(view.id.provider, view.id);
    }
    return ok();
  };
  KVCS_TRY(tokens.for_each_view("", "", visit));
  return accounts;
}

// The same steps as a call takes, but for the caller's part: what a canary proves holds for calls.
Result<OutboundRequest> canary_request(const Provider& provider, const AccessCredential& credential,
                                       int64_t now_ms) {
  OutboundRequest request;
  KVCS_TRY(set_base_url(provider, credential, {}, request));
  request.method = provider.canary.method;
  const std::string& path = provider.canary.path;
  const size_t mark = std::min(path.find('?'), path.size());
  const std::string checked = KVCS_TRY(check_path(path.substr(0, mark)));
  request.path += checked;
  if (mark < path.size()) {
    for (const std::string_view pair : split(std::string_view(path).substr(mark + 1), '&')) {
      const size_t equals = std::min(pair.find('='), pair.size());
      const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
      const std::string decoded = KVCS_TRY(percent_decode(value, true));
      request.query.emplace_back(pair.substr(0, equals), decoded);
    }
  }
  KVCS_TRY(add_default_headers(provider, credential, {}, request));
  KVCS_TRY(apply_auth(provider.auth, credential, now_ms, request));
  return request;
}

}  // namespace

struct Canaries::Outcome {
  bool up = false;
  int status = 0;
  int64_t latency_ms = 0;
  std::string error;
};

Canaries::Canaries(KvStore& kv, const TokenStore& tokens, const ProviderDirectory& providers,
                   http::HttpUpstream& upstream, const Clock& clock, Entropy& entropy,
                   MayCall may_call)
    : kv_(kv),
      tokens_(tokens),
      providers_(providers),
      upstream_(upstream),
      clock_(clock),
      entropy_(entropy),
      may_call_(std::move(may_call)) {}

Canaries::Outcome Canaries::ask(const Provider& provider, const AccountId& id) const {
  Outcome outcome;
  const auto credential = tokens_.find(id);
  if (!credential.ok()) return {false, 0, 0, credential.status().message()};
  const auto outbound = canary_request(provider, *credential.value(), clock_.unix_ms());
  if (!outbound.ok()) return {false, 0, 0, outbound.status().message()};
  http::UpstreamRequest request;
  request.method = outbound.value().method;
  request.url = outbound.value().url();
  request.headers = outbound.value().headers;
  request.deadline_ms = kCanaryDeadlineMs;
  request.allow_private_addresses = provider.allow_private_addresses;
  const int64_t started_us = clock_.mono_us();
  const auto response = upstream_.open(request);
  outcome.latency_ms = (clock_.mono_us() - started_us) / 1000;
  if (!response.ok()) {
    // A query key is part of the URL, which the words of a failure may repeat.
    outcome.error = "It cannot be reached: " +
                    redact(response.status().message() + " (" + response.status().cause() + ")",
                           *credential.value());
    outcome.error = redact(outcome.error, provider.secrets);
    return outcome;
  }
  outcome.status = response.value()->status();
  // The body is read to its end, or the connection could not be used again.
  const Status drained = response.value()->read_all(kAnswerMaxBytes).status();
  const std::vector<int>& expect = provider.canary.expect;
  // A refusal still shows that the provider serves; 5xx does not.
  outcome.up = expect.empty()
                   ? outcome.status < 500
                   : std::find(expect.begin(), expect.end(), outcome.status) != expect.end();
  if (!outcome.up) outcome.error = "It answered " + std::to_string(outcome.status) + ".";
  if (outcome.up && !drained.ok()) {
    outcome.up = false;
    outcome.error = "Its answer broke off.";
  }
  return outcome;
}

Result<int64_t> Canaries::run(const std::function<bool()>& cancelled) {
  Json known = Json::object();
  if (const auto entry = kv_.get(KvFamily::kSystem, keyspace::kProviderHealth); entry.ok()) {
    Result<Json> parsed = parse_json(entry.value().value);
    if (parsed.ok() && parsed.value().is_object() && parsed.value().contains("providers")) {
      known = parsed.value()["providers"];
    }
  }
  Json now = Json::object();
  KvBatch batch;
  int64_t asked = 0;
  const auto accounts = KVCS_TRY(first_accounts(tokens_, may_call_));
  // Providers without an account or a canary are not asked and have no entry.
  for (const auto& [name, id] : accounts) {
    const auto provider = providers_.find(name);
    if (!provider.ok() || provider.value()->canary.path.empty() || cancelled()) continue;
    if (!may_call_(id)) continue;  // Suspended, or frozen, while others were asked.
    const Outcome outcome = ask(*provider.value(), id);
    ++asked;
    const Json before = known.is_object() ? known.value(name, Json::object()) : Json::object();
    const int64_t failures = outcome.up ? 0 : integer_member(before, "failures") + 1;
    const int64_t usual_before = integer_member(before, "usual_latency_ms");
    // A moving average over about eight checks, so that one slow answer is not the new normal.
    const int64_t usual =
        usual_before == 0 ? outcome.latency_ms : (usual_before * 7 + outcome.latency_ms) / 8;
    now[name] = Json{{"status", outcome.up ? "up" : "down"},
                     {"http_status", outcome.status},
                     {"latency_ms", outcome.latency_ms},
                     {"usual_latency_ms", outcome.up ? usual : usual_before},
                     {"failures", failures},
                     {"checked_at", format_iso8601_s(clock_.unix_ms())},
                     {"error", printable(outcome.error, kShownText)}};
    // By equality: one alert when the number is reached, none while it grows.
    if (failures == kCanaryFailuresBeforeAlert) {
      add_alert(batch, {"provider.down", name, outcome.error}, clock_, entropy_);
    }
  }
  batch.put(KvFamily::kSystem, std::string(keyspace::kProviderHealth),
            dump_json(Json{{"checked_at", format_iso8601_s(clock_.unix_ms())},
                           {"providers", std::move(now)}}));
  KVCS_TRY(kv_.write(batch, KvDurability::kBuffered));
  return asked;
}

}  // namespace kvcs::gateway

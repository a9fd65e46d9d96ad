// One tool call, in four stages:
//   auth     mode, rate limits and the tenant's state; who calls was found out by the guard
//   token    the account and its credential
//   route    the provider, the body checked against its record, and the outgoing request
//   execute  the kept answer, or the exchange with the provider
// A call reads KV only (through caches), never refreshes a token, never retries and never follows a
// redirect. Owned by App; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/secret.h"
#include "gateway/call/response_cache.h"
#include "gateway/call/stranger_rows.h"
#include "gateway/call/tenant_rows.h"
#include "gateway/catalogue/provider_directory.h"
#include "gateway/catalogue/tenants.h"
#include "gateway/gateway_config.h"
#include "gateway/tokens/tokens.h"
#include "http/client/upstream.h"
#include "http/http.h"
#include "ledger/ledger.h"
#include "ops/idempotency.h"
#include "ops/metrics.h"
#include "ops/provider_counts.h"
#include "ops/rate_limit.h"

namespace kvcs::gateway {

// The caller as the guard recognized it, and the address it calls from.
struct Caller {
  std::string tenant, key_id, organization_id;
  std::string remote_ip, request_id;
  std::string idempotency_key;  // Of the header; the body may have one, too.
  int64_t started_us = 0;       // Of the request; the auth stage is counted from here.
  bool want_timing = false;     // Answer with Server-Timing.
};

struct PipelineParts {
  Tenants& tenants;
  TokenStore& tokens;
  ProviderDirectory& providers;
  ResponseCache& cache;
  RateLimiter& rates;
  http::HttpUpstream& upstream;
  Metrics& metrics;
  const Idempotency& idempotency;
  const Clock& clock;
  std::function<void(ErrorRecord)> record_error;  // Ledger::record_error.
  Secret ip_hash_key;                             // Addresses are kept as HMACs under it.
  // The provider refused the account's token (401); may be empty.
  std::function<void(const AccountId&)> token_rejected = {};
  int64_t error_rows_per_day = 10'000;  // Of one tenant, in the error ledger.
  // Counts a call of the organization, or refuses it for its plan. Asked right before the provider
  // is; may be empty.
  std::function<Status(std::string_view organization_id)> take_call = {};
};

class Pipeline final {
 public:
  Pipeline(PipelineParts parts, PipelineLimits limits);
  ~Pipeline();

  // Asks the ledger, at the start, how many rows of strangers this day has had.
  void count_earlier_strangers(const Ledger& ledger) {
    strangers_.count_earlier(ledger, parts_.clock.unix_ms());
  }
  // Always an answer: failures in the gateway's dialect, counted, and in the error ledger within
  // the tenant's rows (tenant_rows.h); what a rate limit of ours refuses is counted alone.
  http::Response call(const Caller& caller, std::string_view provider, std::string_view body_json);
  // For failures of a known caller before call(): counted and kept in the same way.
  http::Response refuse(const Caller& caller, std::string_view provider, const Status& why);
  // For a caller that the guard refused: counted by its code, and in the error ledger at most one
  // row for each address block and minute, which holds no word of the caller's.
  void refuse_stranger(const Caller& caller, const Status& why);
  // Requests to providers, without what was kept or refused here; what a provider failed is its own
  // fault: a server's error, no answer, or none in time.
  const ProviderCounts& provider_counts() const { return asked_; }

 private:
  class Run;
  struct Instruments;
  http::Response finish(const Run& run, Result<http::Response> result);
  void watch_stream(const Run& run, http::Response& response);
  void record(const std::string& tenant, ErrorRecord row);

  const PipelineParts parts_;
  const PipelineLimits limits_;
  const std::unique_ptr<Instruments> instruments_;
  StrangerRows strangers_;
  TenantRows tenant_rows_;
  ProviderCounts asked_;
};

}  // namespace kvcs::gateway

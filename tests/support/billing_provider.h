// Providers that bill by rules of their own, written without a look at src/ai: a table of prices, a
// reading of the request as the provider's documentation has it, an answer that the request allows,
// and the amount for it. What the gateway charges can then be compared with what was billed.
//
// One server plays several providers, each under its own first segment of the path: "alpha" and
// "beta" speak OpenAI's APIs, "gamma" and "delta" Anthropic's. Each request has a marker (`user` or
// metadata.user_id). The marker and the seed alone decide how it is answered. Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "support/billing_rules.h"
#include "support/loopback_server.h"

namespace kvcs::test {

struct Bill {
  int64_t nano_usd = 0;
  std::string manner;  // How it was answered: "whole", "cut", "429", …
  // The counts, which a failure costs nothing of, and their prices.
  Use used;
  const Sheet* sheet = nullptr;
};

class BillingProvider final {
 public:
  // `at_each_step` is called when a request has come and before each part of an answer, by many
  // threads at once.
  explicit BillingProvider(
      uint64_t seed, std::function<void()> at_each_step = [] {});
  std::string url(const std::string& provider) const;

  struct PriceRow {
    std::string name, json;  // As PUT /admin/ai/prices/NAME takes them.
  };
  static std::vector<PriceRow> price_rows();

  // By marker and provider.
  using Bills = std::map<std::pair<std::string, std::string>, Bill>;
  Bills bills() const;
  // A request whose marker ends in "-held" is answered only after let_go() (or five seconds).
  bool has_come(const std::string& marker) const;
  void let_go(const std::string& marker);

 private:
  void serve(LoopbackPeer& peer);
  // Nothing when no provider has that model, or the request no marker.
  std::optional<Reading> read(const LoopbackPeer::Request& request, std::string& provider) const;
  void bill(const std::string& marker, const std::string& provider, Bill bill);
  void wait_until_let_go(const std::string& marker);

  const uint64_t seed_;
  const std::function<void()> at_each_step_;
  mutable Mutex mutex_;
  CondVar changed_;
  Bills bills_ KVCS_GUARDED_BY(mutex_);
  std::set<std::string> come_ KVCS_GUARDED_BY(mutex_), let_go_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer server_;
};

}  // namespace kvcs::test

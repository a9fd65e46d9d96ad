// Stripe's API on loopback, as far as billing uses it: customers, checkouts, the customer portal,
// subscriptions, invoices. It holds requests to what Stripe's API asks for (key, version, form,
// idempotency key) and notes what does not fit; what a key was answered it answers again.
#pragma once
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/mutex.h"
#include "portal/portal.h"
#include "support/loopback_server.h"

namespace kvcs::test {

inline constexpr const char* kStripeKey = "sk_test_4eC39HqLyjWDarjtT1zdp7dc";
inline constexpr const char* kWebhookSecret = "whsec_test_secret";

class FakeStripe final {
 public:
  FakeStripe();

  struct Asked {
    std::string method, path, form, key;  // The path with its query; the idempotency key.
  };
  struct Sub {
    std::string customer, price, status;
    bool cancels = false;
    int64_t created = 0;
    int64_t cancel_at = 0;  // A time that was set in the dashboard; 0: none.
  };

  portal::BillingConfig config(const std::string& secrets = kWebhookSecret) const;
  // A subscription as Stripe would have it after a checkout; its id.
  std::string subscribe(const std::string& customer, const std::string& price,
                        const std::string& status);
  void set_status(const std::string& id, const std::string& status);
  void set_cancel_at(const std::string& id, int64_t unix_s);
  Sub subscription(const std::string& id) const;
  std::vector<Asked> asked() const;
  size_t asked_count(const std::string& method, const std::string& path) const;
  std::vector<std::string> customers() const;
  std::vector<std::string> faults() const;  // What Stripe would have refused.
  // From now on every request is answered with this status; 0: as usual.
  void fail_with(int status) { failing_ = status; }
  // As who operates the account may do; Stripe then says `deleted`, or knows no such customer.
  void delete_customer(const std::string& id, bool leaves_mark);
  // As with the right key again, after one of another account.
  void restore_customer(const std::string& id);
  void decline_payments(bool declines) { declining_ = declines; }

  // An event's body: {"id", "type", "data": {"object": …}}.
  static std::string event(const std::string& id, const std::string& type,
                           const std::string& object);
  // The header Stripe-Signature.
  static std::string sign(const std::string& body, int64_t now_s,
                          const std::string& secret = kWebhookSecret);

 private:
  void serve(LoopbackPeer& peer);
  std::pair<int, std::string> answer(const Asked& asked);
  std::pair<int, std::string> answer_customer(const Asked& asked);
  bool names_gone_customer(const Asked& asked) const;
  std::pair<int, std::string> answer_checkout(const Asked& asked);
  std::pair<int, std::string> answer_subscription(const Asked& asked);
  void check(const LoopbackPeer::Request& request, const Asked& asked) KVCS_REQUIRES(mutex_);
  std::string subscription_json(const std::string& id) const KVCS_REQUIRES(mutex_);

  std::atomic<int> failing_{0};
  std::atomic<bool> declining_{false};
  mutable Mutex mutex_;
  int next_ KVCS_GUARDED_BY(mutex_) = 1;
  std::vector<Asked> asked_ KVCS_GUARDED_BY(mutex_);
  std::vector<std::string> customers_ KVCS_GUARDED_BY(mutex_), faults_ KVCS_GUARDED_BY(mutex_);
  std::map<std::string, Sub> subs_ KVCS_GUARDED_BY(mutex_);
  std::map<std::string, std::string> sessions_ KVCS_GUARDED_BY(mutex_);  // Id → status.
  std::map<std::string, std::pair<int, std::string>> kept_ KVCS_GUARDED_BY(mutex_);
  std::map<std::string, std::string> forms_ KVCS_GUARDED_BY(mutex_);  // What a key came with.
  std::set<std::string> deleted_ KVCS_GUARDED_BY(mutex_), missing_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer server_;
};

}  // namespace kvcs::test

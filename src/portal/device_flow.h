// The device authorization grant (RFC 8628) without HTTP: a program without a browser gets a code
// for itself and one for its person, who decides in a browser somewhere; meanwhile the program asks
// again and again. What is under way lives in memory alone, for some minutes: a restart ends it,
// and the program begins anew. Thread-safe; bounded, in all and per address block.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/mutex.h"
#include "base/secret.h"
#include "base/status.h"

namespace kvcs::portal {

inline constexpr size_t kDeviceFlowsMax = 2'000;
inline constexpr size_t kDeviceFlowsPerBlockMax = 20;
inline constexpr size_t kUserCodeLetters = 8;  // Shown as XXXX-XXXX.

// Who asks: what its person is shown, and what the token is for.
struct DeviceAsk {
  std::string client_id;
  std::string name;  // Of the device, in its own words.
  std::string scope;
  std::string address, user_agent;
};
struct StartedDevice {
  Secret device_code;
  std::string user_code;
};
enum class DeviceState : uint8_t {
  kMissing,
  kPending,
  kSlowDown,
  kUnknown,
  kExpired,
  kDenied,
  kApproved
};
struct DeviceAnswer {
  DeviceState state = DeviceState::kUnknown;
  DeviceAsk ask;
  // kApproved: who has agreed, and in which session; "" where there are no sessions.
  std::string subject, session_id;
};

// As a person may have typed it: in small letters, with or without the hyphen; "" for what is no
// user code.
std::string normal_user_code(std::string_view typed);
// As a device shows it to its person, with the hyphen; "" for what is no user code.
std::string shown_user_code(std::string_view typed);

class DeviceFlow final {
 public:
  // `lifetime_s` of the codes; a program asks every `interval_s`, and later when it asks too often.
  DeviceFlow(const Clock& clock, Entropy& entropy, int64_t lifetime_s, int64_t interval_s)
      : clock_(clock), entropy_(entropy), lifetime_s_(lifetime_s), interval_s_(interval_s) {}

  int64_t lifetime_s() const { return lifetime_s_; }
  int64_t interval_s() const { return interval_s_; }
  // RateLimited with reason devices_full.
  Result<StartedDevice> start(DeviceAsk ask);
  // What waits under this code. NotFound with reason user_code_unknown: nothing does, or no longer.
  Result<DeviceAsk> find(std::string_view user_code);
  // Once. An empty subject denies. Fails as find().
  Status decide(std::string_view user_code, std::string_view subject,
                std::string_view session_id = {});
  // What the program is told. kDenied and kApproved are told once. Of kApproved a Redemption keeps
  // what was agreed to until the program has what it stands for.
  DeviceAnswer poll(std::string_view device_code, std::string_view client_id);

  // Held by whoever was told kApproved. Unless it is done() the approval is put back at its end:
  // the store took no session, and the program asks again. Lives no longer than the DeviceFlow.
  class Redemption final {
   public:
    Redemption(DeviceFlow& flows, std::string_view device_code);
    ~Redemption();
    Redemption(const Redemption&) = delete;
    Redemption& operator=(const Redemption&) = delete;
    void done() { is_done_ = true; }

   private:
    DeviceFlow& flows_;
    const std::string hash_;
    bool is_done_ = false;
  };

 private:
  struct Flow {
    DeviceAsk ask;
    std::string user_code, block;
    int64_t end_us = 0, polled_us = 0, interval_us = 0;
    DeviceState state = DeviceState::kPending;
    std::string subject, session_id;
  };
  using Flows = std::unordered_map<std::string, Flow>;  // By the SHA-256 of the device code.
  Flow* find_pending(std::string_view user_code) KVCS_REQUIRES(mutex_);
  void forget_old() KVCS_REQUIRES(mutex_);

  const Clock& clock_;
  Entropy& entropy_;
  const int64_t lifetime_s_, interval_s_;
  Mutex mutex_;
  Flows flows_ KVCS_GUARDED_BY(mutex_);
  Flows redeemed_ KVCS_GUARDED_BY(mutex_);  // Each until its Redemption ends.
};

}  // namespace kvcs::portal

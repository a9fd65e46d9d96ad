// Keeps the devices that wait for a person. All walk the one table of them, which is small.
#include "portal/device_flow.h"

#include <algorithm>

#include "base/address_block.h"
#include "base/bytes.h"
#include "base/counted.h"
#include "base/crypto.h"

namespace kvcs::portal {
namespace {

// RFC 8628 §6.1: letters that make no words and look like no others; 34 bits in eight of them.
constexpr std::string_view kLetters = "BCDFGHJKLMNPQRSTVWXZ";
constexpr size_t kDeviceCodeBytes = 32;
constexpr int64_t kSecondUs = 1'000'000;
constexpr int64_t kSlowDownUs = 5 * kSecondUs;  // RFC 8628 §3.5.
// A request that came late makes the next one come early.
constexpr int64_t kToleranceUs = kSecondUs / 2;
// So long after its end a code is said to have ended, and not to be unknown.
constexpr int64_t kRememberedUs = 600 * kSecondUs;

std::string make_user_code(Entropy& entropy) {
  std::string code;
  while (code.size() < kUserCodeLetters) {
    // Bytes beyond the last multiple of twenty would make some letters likelier.
    for (const char c : entropy.bytes(kUserCodeLetters)) {
      const auto byte = static_cast<unsigned char>(c);
      const size_t even = 256 / kLetters.size() * kLetters.size();
      if (byte < even && code.size() < kUserCodeLetters) code += kLetters[byte % kLetters.size()];
    }
  }
  return code;
}

}  // namespace

std::string normal_user_code(std::string_view typed) {
  std::string code;
  for (const char c : typed.substr(0, 4 * kUserCodeLetters)) {
    const char upper = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    if (upper == '-' || upper == ' ') continue;
    if (kLetters.find(upper) == kLetters.npos) return {};
    code += upper;
  }
  return code.size() == kUserCodeLetters ? code : std::string();
}

std::string shown_user_code(std::string_view typed) {
  const std::string code = normal_user_code(typed);
  if (code.empty()) return code;
  return code.substr(0, kUserCodeLetters / 2) + "-" + code.substr(kUserCodeLetters / 2);
}

void DeviceFlow::forget_old() {
  const int64_t now_us = clock_.mono_us();
  std::erase_if(flows_,
                [&](const auto& entry) { return entry.second.end_us + kRememberedUs <= now_us; });
}

Result<StartedDevice> DeviceFlow::start(DeviceAsk ask) {
  StartedDevice started;
  started.device_code = Secret(to_base64url(entropy_.bytes(kDeviceCodeBytes)));
  const std::string code = make_user_code(entropy_);
  started.user_code = shown_user_code(code);
  Flow flow;
  flow.user_code = code;
  flow.block = address_block(ask.address);
  flow.ask = std::move(ask);
  flow.interval_us = interval_s_ * kSecondUs;
  const MutexLock lock(mutex_);
  forget_old();
  const int64_t now_us = clock_.mono_us();
  const auto of_block = std::count_if(flows_.begin(), flows_.end(), [&](const auto& entry) {
    return entry.second.block == flow.block && entry.second.end_us > now_us;
  });
  if (flows_.size() >= kDeviceFlowsMax ||
      static_cast<size_t>(of_block) >= kDeviceFlowsPerBlockMax) {
    return rate_limited("Too many devices wait for their people; try again in a few minutes.", 60)
        .with_reason("devices_full");
  }
  flow.polled_us = now_us;
  flow.end_us = now_us + lifetime_s_ * kSecondUs;
  flows_.emplace(sha256_hex(started.device_code.reveal()), std::move(flow));
  return started;
}

DeviceFlow::Flow* DeviceFlow::find_pending(std::string_view user_code) {
  const std::string code = normal_user_code(user_code);
  for (auto& [hash, flow] : flows_) {
    const bool waits = flow.state == DeviceState::kPending && clock_.mono_us() < flow.end_us;
    if (waits && !code.empty() && constant_time_equal(flow.user_code, code)) return &flow;
  }
  return nullptr;
}

Result<DeviceAsk> DeviceFlow::find(std::string_view user_code) {
  const MutexLock lock(mutex_);
  const Flow* const flow = find_pending(user_code);
  if (flow != nullptr) return flow->ask;
  return not_found("No device waits under this code. Codes are good for " +
                   counted(lifetime_s_ / 60, "minute") + " and once.")
      .with_reason("user_code_unknown");
}

Status DeviceFlow::decide(std::string_view user_code, std::string_view subject,
                          std::string_view session_id) {
  KVCS_TRY(find(user_code).status());
  const MutexLock lock(mutex_);
  Flow* const flow = find_pending(user_code);
  if (flow == nullptr) {
    return not_found("The code has been used meanwhile.").with_reason("user_code_unknown");
  }
  flow->state = subject.empty() ? DeviceState::kDenied : DeviceState::kApproved;
  flow->subject = subject;
  flow->session_id = session_id;
  return ok();
}

DeviceAnswer DeviceFlow::poll(std::string_view device_code, std::string_view client_id) {
  DeviceAnswer answer;
  if (device_code.empty()) {
    answer.state = DeviceState::kMissing;
    return answer;
  }
  const MutexLock lock(mutex_);
  const auto found = flows_.find(sha256_hex(device_code));
  if (found == flows_.end() || found->second.ask.client_id != client_id) return answer;
  Flow& flow = found->second;
  const int64_t now_us = clock_.mono_us();
  if (now_us >= flow.end_us) {
    answer.state = DeviceState::kExpired;
    return answer;
  }
  const bool is_early = now_us - flow.polled_us < flow.interval_us - kToleranceUs;
  flow.polled_us = now_us;
  answer.state = flow.state;
  if (flow.state == DeviceState::kPending) {
    if (is_early) {
      flow.interval_us += kSlowDownUs;
      answer.state = DeviceState::kSlowDown;
    }
    return answer;
  }
  if (flow.state == DeviceState::kApproved) redeemed_[found->first] = flow;
  answer.ask = std::move(flow.ask);
  answer.subject = std::move(flow.subject);
  answer.session_id = std::move(flow.session_id);
  flows_.erase(found);
  return answer;
}

DeviceFlow::Redemption::Redemption(DeviceFlow& flows, std::string_view device_code)
    : flows_(flows), hash_(sha256_hex(device_code)) {}

DeviceFlow::Redemption::~Redemption() {
  const MutexLock lock(flows_.mutex_);
  auto node = flows_.redeemed_.extract(hash_);
  if (!node.empty() && !is_done_) flows_.flows_.insert(std::move(node));
}

}  // namespace kvcs::portal

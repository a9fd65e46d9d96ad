// The second factor of local accounts: codes of an authenticator app (RFC 6238: SHA-1, 6 digits, 30
// seconds), and recovery codes for when it is lost. The secret is sealed in the store, recovery
// codes are kept as hashes; each code counts once. Thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/secret.h"
#include "base/status.h"
#include "kv/audited_kv.h"

namespace kvcs::portal {

inline constexpr int64_t kTotpStepS = 30;
inline constexpr int64_t kTotpSkewSteps = 1;  // Before and after now.
inline constexpr size_t kRecoveryCodes = 10;
inline constexpr size_t kCodeMaxBytes = 40;           // As people type it, a recovery code too.
inline constexpr int64_t kTotpStartLifetimeS = 3600;  // For the first code of a new secret.
// Of an account in a row, from wherever: then it takes a recovery code, or an operator. NIST
// SP 800-63B-4 §3.2.2 allows 100.
inline constexpr int64_t kWrongCodesMax = 20;

// The six digits of a step, which is a time divided by kTotpStepS.
std::string totp_code(std::string_view secret, int64_t step);
std::string to_base32(std::string_view bytes);  // RFC 4648, without padding.

class TotpService final {
 public:
  // All outlive it. `clock` is the wall clock, as codes go by the phone's; `latest`
  // (base/kept_clock.h) ends a start that nobody confirmed. `take_try` as SignInService's.
  TotpService(const KvStore& kv, AuditedKv& audited, const Sealer& sealer, const Clock& clock,
              const Clock& latest, Entropy& entropy,
              std::function<int64_t(std::string_view whose)> take_try);

  struct Start {
    Secret secret_base32;
    Secret url;  // otpauth://, for a QR code.
  };
  // A new secret, which counts from confirm() on. Conflict with reason totp_is_on.
  Result<Start> start(std::string_view person_id, std::string_view account,
                      const AuditContext& who);
  // The recovery codes, shown this once. Conflict with reason totp_not_started or totp_is_on.
  // Forbidden with reason wrong_code. RateLimited with reason too_many_tries.
  Result<std::vector<Secret>> confirm(std::string_view person_id, std::string_view code,
                                      const AuditContext& who);
  Result<bool> is_on(std::string_view person_id) const;
  // Spends a code or a recovery code, in one write with `also`, which is what it opens. Failures as
  // of confirm(), and Conflict with reason totp_is_off. After kWrongCodesMax wrong ones in a row,
  // of which an alert tells, Forbidden with reason recovery_code_needed for all but those.
  Status check(std::string_view person_id, std::string_view code, const AuditContext& who,
               const KvBatch& also = {});
  // The same, and takes the factor off.
  Status remove(std::string_view person_id, std::string_view code, const AuditContext& who);
  // By an operator, without a code. Conflict with reason totp_is_off.
  Status take_off(std::string_view person_id, const AuditContext& who);

 private:
  struct Record;
  static std::optional<Record> parse(std::string_view text);
  // What is stored; nothing when there is none.
  Result<std::optional<KvEntry>> read(std::string_view person_id) const;
  // RateLimited with reason too_many_tries; Forbidden with reason recovery_code_needed.
  Status take_turn(std::string_view person_id, std::string_view code) const;
  Status spend(std::string_view person_id, std::string_view code, Record& record) const;
  // check(), or remove().
  Status use(std::string_view person_id, std::string_view code, bool takes_off,
             const AuditContext& who, const KvBatch& also);
  // Reads, lets `edit` change or remove the record, and writes it with what `edit` has put into the
  // batch, until nobody came between.
  using Edit = std::function<Status(std::optional<Record>& record, KvBatch& batch)>;
  Status change(std::string_view person_id, const Edit& edit, const AuditContext& who);

  const KvStore& kv_;
  AuditedKv& audited_;
  const Sealer& sealer_;
  const Clock& clock_;
  const Clock& latest_;
  Entropy& entropy_;
  const std::function<int64_t(std::string_view whose)> take_try_;
};

}  // namespace kvcs::portal

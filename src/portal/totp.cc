// Computes and checks codes, and keeps the record of each person's second factor. A code that
// counted is written down before it counts, by compare-and-swap, so that it counts once; wrong ones
// are counted there, so that nobody tries for as long as it takes.
#include "portal/totp.h"

#include <nlohmann/json.hpp>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

#include "base/bytes.h"
#include "base/json.h"
#include "base/origins.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "ledger/alerts.h"
#include "portal/sign_in.h"

namespace kvcs::portal {
namespace {

constexpr size_t kSecretBytes = 20;
constexpr size_t kRecoveryBytes = 10;  // 16 letters.
constexpr size_t kDigits = 6;
constexpr int kRaceAttemptsMax = 8;
constexpr std::string_view kIssuer = "kvcs";

Status wrong_code() {
  return forbidden("The code is wrong, old or used.").with_reason("wrong_code");
}
Status recovery_code_needed() {
  return forbidden(std::to_string(kWrongCodesMax) +
                   " codes in a row were wrong, and codes of the app open nothing now. Use a "
                   "recovery code, or have an operator take the second factor off; and choose "
                   "another password, since whoever tried knows it.")
      .with_reason("recovery_code_needed");
}
Status is_off() {
  return conflict("This account has no second factor.").with_reason("totp_is_off");
}
Status is_on_already() {
  return conflict("This account has a second factor; take it off first (DELETE /auth/totp).")
      .with_reason("totp_is_on");
}

// As people type it: spaces and dashes tell nothing.
std::string normal_code(std::string_view text) {
  std::string code;
  for (const char c : lower_ascii(text)) {
    if (c != ' ' && c != '-') code += c;
  }
  return code;
}

// In groups of four, as people read it.
std::string shown_recovery(const std::string& code) {
  std::string text;
  for (size_t i = 0; i < code.size(); i++) {
    if (i > 0 && i % 4 == 0) text += '-';
    text += code[i];
  }
  return text;
}

}  // namespace

std::string totp_code(std::string_view secret, int64_t step) {
  unsigned char message[8];
  for (int i = 7; i >= 0; i--, step >>= 8) message[i] = static_cast<unsigned char>(step & 0xff);
  unsigned char mac[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  KVCS_ASSERT(HMAC(EVP_sha1(), secret.data(), static_cast<int>(secret.size()), message,
                   sizeof message, mac, &size) != nullptr);
  // RFC 4226 §5.3: the last four bits say where the 31 bits begin.
  const size_t at = mac[size - 1] & 0xf;
  const uint32_t number = (uint32_t{mac[at]} & 0x7f) << 24 | uint32_t{mac[at + 1]} << 16 |
                          uint32_t{mac[at + 2]} << 8 | uint32_t{mac[at + 3]};
  std::string code = std::to_string(number % 1'000'000);
  return std::string(kDigits - code.size(), '0') + code;
}

std::string to_base32(std::string_view bytes) {
  constexpr char kLetters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
  std::string out;
  uint32_t kept = 0;
  int bits = 0;
  for (const char c : bytes) {
    kept = kept << 8 | static_cast<unsigned char>(c);
    for (bits += 8; bits >= 5; bits -= 5) out += kLetters[kept >> (bits - 5) & 31];
  }
  if (bits > 0) out += kLetters[kept << (5 - bits) & 31];
  return out;
}

// As it is stored. `last_step` is that of the last code that counted.
struct TotpService::Record {
  std::string sealed;
  bool is_confirmed = false;
  int64_t last_step = 0;
  std::vector<std::string> recovery_hashes;
  int64_t since_ms = 0;
  int64_t wrong_codes = 0;  // Since the last right one.
};

std::optional<TotpService::Record> TotpService::parse(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json.ok()) return std::nullopt;
  Record record;
  record.sealed = text_member(*json, "sealed");
  JsonReader reader(*json);
  reader.ignore_unknown();
  record.is_confirmed = reader.optional_boolean("confirmed").value_or(false);
  record.last_step = reader.optional_integer("last_step", 0, INT64_MAX).value_or(0);
  record.wrong_codes = reader.optional_integer("wrong_codes", 0, INT64_MAX).value_or(0);
  const Json* const codes = reader.array("recovery");
  if (!reader.finish().ok() || codes == nullptr || record.sealed.empty()) return std::nullopt;
  for (const Json& code : *codes) {
    if (code.is_string()) record.recovery_hashes.push_back(code.get<std::string>());
  }
  record.since_ms = parse_iso8601_ms(text_member(*json, "since")).value_or(0);
  return record;
}

namespace {

template <typename Record>
std::string to_json(const Record& record) {
  return dump_json(Json{{"sealed", record.sealed},
                        {"confirmed", record.is_confirmed},
                        {"last_step", record.last_step},
                        {"recovery", record.recovery_hashes},
                        {"since", time_json(record.since_ms)},
                        {"wrong_codes", record.wrong_codes}});
}

}  // namespace

TotpService::TotpService(const KvStore& kv, AuditedKv& audited, const Sealer& sealer,
                         const Clock& clock, const Clock& latest, Entropy& entropy,
                         std::function<int64_t(std::string_view whose)> take_try)
    : kv_(kv),
      audited_(audited),
      sealer_(sealer),
      clock_(clock),
      latest_(latest),
      entropy_(entropy),
      take_try_(std::move(take_try)) {}

Result<std::optional<KvEntry>> TotpService::read(std::string_view person_id) const {
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::person_totp(person_id));
  if (entry.code() == Code::kNotFound) return std::optional<KvEntry>();
  if (!entry.ok()) return entry.status();
  return std::optional(std::move(*entry));
}

Status TotpService::change(std::string_view person_id, const Edit& edit, const AuditContext& who) {
  const std::string key = keyspace::person_totp(person_id);
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    const std::optional<KvEntry> before = KVCS_TRY(read(person_id));
    std::optional<Record> record;
    if (before) record = parse(before->value);
    if (before && !record) return internal("damaged record of a second factor");
    // A start that has ended is none, also while the store has it still.
    if (before && is_kv_expired(before->expires_at_s, latest_)) record.reset();
    KvBatch batch, more;
    KVCS_TRY(edit(record, more));
    if (record) {
      const int64_t end_s = record->is_confirmed ? 0 : latest_.unix_s() + kTotpStartLifetimeS;
      batch.put(KvFamily::kConfig, key, KvEntry{to_json(*record), {}, end_s});
    } else {
      batch.remove(KvFamily::kConfig, key);
    }
    batch.append(more);
    const auto expected = before ? std::optional<std::string_view>(before->value) : std::nullopt;
    stored = audited_.compare_and_swap(KvFamily::kConfig, key, expected, batch, who);
    if (stored.code() != Code::kConflict || !stored.reason().empty()) return stored;
  }
  return stored;
}

// A record that cannot be read counts as one: nobody gets in because something is damaged.
Result<bool> TotpService::is_on(std::string_view person_id) const {
  const std::optional<KvEntry> entry = KVCS_TRY(read(person_id));
  if (!entry) return false;
  const std::optional<Record> record = parse(entry->value);
  return !record || record->is_confirmed;
}

Result<TotpService::Start> TotpService::start(std::string_view person_id, std::string_view account,
                                              const AuditContext& who) {
  const std::string secret = entropy_.bytes(kSecretBytes);
  const auto begin = [&](std::optional<Record>& record, KvBatch&) -> Status {
    if (record && record->is_confirmed) return is_on_already();
    record = Record{};
    record->sealed = sealer_.seal(secret, bound_context(keyspace::person_totp(person_id), {}));
    record->since_ms = clock_.unix_ms();
    return ok();
  };
  KVCS_TRY(change(person_id, begin, who));
  const std::string shown = to_base32(secret);
  const std::string label = percent_encode(kIssuer) + ":" + percent_encode(account);
  return Start{Secret(shown),
               Secret("otpauth://totp/" + label + "?secret=" + shown +
                      "&issuer=" + percent_encode(kIssuer) + "&algorithm=SHA1&digits=6&period=30")};
}

// Whoever tries codes of one person is slowed down wherever it comes from: a code has six digits. A
// recovery code is too long to be guessed, and opens the account also while somebody else takes all
// the tries; what is refused anyway takes none.
Status TotpService::take_turn(std::string_view person_id, std::string_view code) const {
  const std::optional<KvEntry> entry = KVCS_TRY(read(person_id));
  const std::optional<Record> record = entry ? parse(entry->value) : std::nullopt;
  if (record && record->is_confirmed) {
    const std::vector<std::string>& hashes = record->recovery_hashes;
    const std::string hash = sha256_hex(normal_code(code));
    if (std::find(hashes.begin(), hashes.end(), hash) != hashes.end()) return ok();
    if (record->wrong_codes >= kWrongCodesMax) return recovery_code_needed();
  }
  return too_many_tries(take_try_("totp:" + std::string(person_id)));
}

Status TotpService::spend(std::string_view person_id, std::string_view code, Record& record) const {
  const std::string wanted = normal_code(code);
  const std::string hash = sha256_hex(wanted);
  const auto recovery =
      std::find(record.recovery_hashes.begin(), record.recovery_hashes.end(), hash);
  if (recovery != record.recovery_hashes.end()) {
    record.recovery_hashes.erase(recovery);
    return ok();
  }
  if (record.wrong_codes >= kWrongCodesMax) return recovery_code_needed();
  const Secret secret =
      KVCS_TRY(sealer_.open(record.sealed, bound_context(keyspace::person_totp(person_id), {})));
  const int64_t now = clock_.unix_ms() / 1000 / kTotpStepS;
  for (int64_t step = now - kTotpSkewSteps; step <= now + kTotpSkewSteps; step++) {
    if (step <= record.last_step) continue;
    if (!constant_time_equal(totp_code(secret.reveal(), step), wanted)) continue;
    record.last_step = step;
    return ok();
  }
  return wrong_code();
}

Result<std::vector<Secret>> TotpService::confirm(std::string_view person_id, std::string_view code,
                                                 const AuditContext& who) {
  if (KVCS_TRY(is_on(person_id))) return is_on_already();
  KVCS_TRY(too_many_tries(take_try_("totp:" + std::string(person_id))));
  std::vector<Secret> shown;
  std::vector<std::string> hashes;
  for (size_t i = 0; i < kRecoveryCodes; i++) {
    const std::string text = lower_ascii(to_base32(entropy_.bytes(kRecoveryBytes)));
    hashes.push_back(sha256_hex(text));
    shown.emplace_back(shown_recovery(text));
  }
  const auto edit = [&](std::optional<Record>& record, KvBatch&) -> Status {
    if (record && record->is_confirmed) return is_on_already();
    if (!record) {
      return conflict("Begin with POST /auth/totp; its secret is good for an hour.")
          .with_reason("totp_not_started");
    }
    KVCS_TRY(spend(person_id, code, *record));
    record->is_confirmed = true;
    record->recovery_hashes = hashes;
    record->since_ms = clock_.unix_ms();
    return ok();
  };
  KVCS_TRY(change(person_id, edit, who));
  return shown;
}

// A wrong code is written down as a right one is; what it would have opened is not written.
Status TotpService::use(std::string_view person_id, std::string_view code, bool takes_off,
                        const AuditContext& who, const KvBatch& also) {
  KVCS_TRY(take_turn(person_id, code));
  Status refused;
  const auto edit = [&](std::optional<Record>& record, KvBatch& batch) -> Status {
    if (!record || !record->is_confirmed) return is_off();
    refused = spend(person_id, code, *record);
    if (refused.ok()) {
      record->wrong_codes = 0;
      if (takes_off) record.reset();
      batch.append(also);
      return ok();
    }
    if (refused.reason() != "wrong_code") return refused;
    if (++record->wrong_codes == kWrongCodesMax) {
      add_alert(
          batch,
          {"account.codes_locked", std::string(person_id),
           std::to_string(kWrongCodesMax) +
               " wrong codes in a row for the second factor of person " + std::string(person_id) +
               ": somebody may know the password. Codes of the app are refused until a "
               "recovery code is used or an operator takes the factor off."},
          clock_, entropy_);
    }
    return ok();
  };
  KVCS_TRY(change(person_id, edit, who));
  return refused;
}

Status TotpService::check(std::string_view person_id, std::string_view code,
                          const AuditContext& who, const KvBatch& also) {
  return use(person_id, code, false, who, also);
}

Status TotpService::remove(std::string_view person_id, std::string_view code,
                           const AuditContext& who) {
  return use(person_id, code, true, who, {});
}

Status TotpService::take_off(std::string_view person_id, const AuditContext& who) {
  if (!KVCS_TRY(read(person_id))) return is_off();
  KvBatch batch;
  batch.remove(KvFamily::kConfig, keyspace::person_totp(person_id));
  return audited_.write(batch, who);
}

}  // namespace kvcs::portal

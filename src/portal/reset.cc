// Makes, sends and spends links that give an account a new password.
#include "portal/reset.h"

#include "base/address_block.h"
#include "base/crypto.h"
#include "base/id.h"
#include "identity/users.h"
#include "kv/keyspace.h"

namespace kvcs::portal {
namespace {

constexpr int64_t kWaiting = INT64_MAX;

Status reset_token_invalid() {
  return unauthenticated("The link is used, has ended or never was. Ask for a new one.")
      .with_reason("reset_token_invalid");
}

// The person's id, and what the store knows the hash of.
struct Token {
  std::string_view person_id, secret;
};
Token parse_token(std::string_view text) {
  const size_t dot = std::min(text.find('.'), text.size());
  return {text.substr(0, dot), text.substr(std::min(dot + 1, text.size()))};
}

}  // namespace

Result<ResetLink> ResetService::make(std::string_view person_id, const AuditContext& who,
                                     std::string maker) {
  const Person person = KVCS_TRY(s_.people.find(person_id));
  const std::string password = KVCS_TRY(s_.people.password_hash(person.id));
  if (password.empty()) {
    return conflict("This account has no password; it signs in through another provider.")
        .with_reason("no_password");
  }
  const std::string secret = oauth::make_one_time_secret(s_.entropy);
  const int64_t expires_s = s_.clock.unix_s() + kResetLinkLifetimeS;
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::person_reset(person.id),
            KvEntry{sha256_hex(secret), std::move(maker), expires_s});
  KVCS_TRY(s_.audited.write(batch, who));
  return ResetLink{s_.public_url() + "/#/reset?token=" + person.id + "." + secret,
                   expires_s * 1000};
}

Status ResetService::take_try(std::string_view account, const Caller& caller) const {
  return too_many_tries(s_.take_try(try_name(account, caller)));
}

// Nothing that tells whether there is an account happens while the caller waits.
Status ResetService::send(std::string_view email, const Caller& caller) {
  if (s_.mailer == nullptr) {
    return conflict(
               "This daemon sends no mail (mail.smtp_url). An operator can make a link: kvcs admin "
               "reset-link EMAIL.")
        .with_reason("mail_not_configured");
  }
  const std::string address = KVCS_TRY(normal_email(email));
  KVCS_TRY(take_try("reset", caller));
  KVCS_TRY(take_try("reset:" + address, caller));
  const bool posted = s_.mailer->post(
      [this, address, request_id = caller.request_id] { return letter_to(address, request_id); });
  if (posted) return ok();
  return rate_limited("Too much mail waits to be sent; try again later.", 60)
      .with_reason("mail_busy");
}

// Mails that went out long ago.
void ResetService::forget_old() {
  const int64_t now_s = s_.clock.unix_s();
  std::erase_if(out_s_, [&](const auto& entry) {
    return entry.second != kWaiting && entry.second + kResetMailGapS <= now_s;
  });
}

// Whether a mail to the person waits to be sent, or has gone out a moment ago.
bool ResetService::is_out(const std::string& person_id) {
  const MutexLock lock(mutex_);
  forget_old();
  return out_s_.contains(person_id) || out_s_.size() >= kResetMailsMax;
}

void ResetService::note_out(const std::string& person_id, bool was_sent) {
  const MutexLock lock(mutex_);
  if (was_sent) {
    out_s_[person_id] = s_.clock.unix_s();
  } else {
    out_s_.erase(person_id);
  }
}

// A link of a moment ago stays good: whoever asks again and again for somebody else's account
// neither fills that mailbox nor spoils the link in it, or one that an operator has made. One whose
// mail was not sent is nobody's.
Result<std::optional<Letter>> ResetService::letter_to(const std::string& email,
                                                      const std::string& request_id) {
  const std::optional<Letter> nothing;
  const Result<Person> person = s_.people.find_by_sign_in({std::string(kLocalIssuer), email});
  if (person.code() == Code::kNotFound) return nothing;
  KVCS_TRY(person.status());
  if (!person->active) return nothing;
  const Result<KvEntry> present = kv_get_live(
      s_.kv, KvFamily::kConfig, keyspace::person_reset(person->id), s_.clock, kResetLinkLifetimeS);
  if (!present.ok() && present.code() != Code::kNotFound) return present.status();
  if (present.ok() && (!present->metadata.empty() || is_out(person->id))) return nothing;
  const ResetLink link = KVCS_TRY(make(person->id, {"reset-by-mail", "sign-in", request_id}));
  {
    const MutexLock lock(mutex_);
    forget_old();
    out_s_[person->id] = kWaiting;
  }
  return std::optional(
      Letter{email, "A new password",
             "Somebody, perhaps you, asked for a new password of your account at " +
                 s_.public_url() + ".\n\nChoose one within an hour; the link works once:\n\n" +
                 link.url + "\n\nIf it was not you, do nothing: your password stays.\n",
             [this, id = person->id](bool was_sent) { note_out(id, was_sent); }});
}

Result<KvEntry> ResetService::find_link(const Secret& token) const {
  const Token parts = parse_token(token.reveal());
  if (!is_uuid(parts.person_id)) return reset_token_invalid();
  Result<KvEntry> known =
      kv_get_live(s_.kv, KvFamily::kConfig, keyspace::person_reset(parts.person_id), s_.clock,
                  kResetLinkLifetimeS);
  if (!known.ok() && known.code() != Code::kNotFound) return known;
  if (!known.ok() || !constant_time_equal(known->value, sha256_hex(parts.secret))) {
    return reset_token_invalid();
  }
  if (!KVCS_TRY(s_.may_still(known->metadata))) return reset_token_invalid();
  return known;
}

Status ResetService::look_up(const Secret& token, const Caller& caller) const {
  KVCS_TRY(take_try("reset-link", caller));
  return find_link(token).status();
}

// What can be refused is looked at before the link is spent. One write gives the password, ends the
// link and the sessions; then those end that began between the look at them and that write.
Status ResetService::use(const Secret& token, const Secret& password, const Caller& caller) {
  KVCS_TRY(take_try("reset-link", caller));
  const KvEntry known = KVCS_TRY(find_link(token));
  const std::string_view person_id = parse_token(token.reveal()).person_id;
  const std::string key = keyspace::person_reset(person_id);
  const Person person = KVCS_TRY(s_.people.find(person_id));
  KVCS_TRY(check_new_password(password, {person.email, person.name}));
  const std::string hash = KVCS_TRY(s_.hasher.hash(password, address_block(caller.address)));
  // Hashing takes its time, in which the link's maker may have lost the role.
  if (!KVCS_TRY(s_.may_still(known.metadata))) return reset_token_invalid();
  const bool is_operator = person.operator_role() != AdminRole::kNone;
  const AuditContext who{"reset-link:" + person.id, is_operator ? "operator sign-in" : "sign-in",
                         caller.request_id};
  KvBatch batch = KVCS_TRY(s_.sessions.ending(person.id, ""));
  batch.remove(KvFamily::kConfig, key);
  batch.put(KvFamily::kConfig, keyspace::person_password(person.id), hash);
  const Status spent = s_.audited.compare_and_swap(KvFamily::kConfig, key, known.value, batch, who);
  if (spent.code() == Code::kConflict) return reset_token_invalid();
  KVCS_TRY(Status(spent));
  KVCS_TRY(s_.sessions.end_all(person.id, "", who));
  for (const SignIn& sign_in : KVCS_TRY(s_.people.list_sign_ins(person.id))) {
    if (sign_in.issuer == kLocalIssuer) s_.forgive(try_name(sign_in.subject, caller));
  }
  return ok();
}

}  // namespace kvcs::portal

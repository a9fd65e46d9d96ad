// Checks who signs in, and begins the session. Each step that a wrong word could take is the same
// for an account that is there and one that is not.
#include "portal/sign_in.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>

#include "base/address_block.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "http/json_api.h"
#include "identity/names.h"
#include "identity/users.h"
#include "kv/keyspace.h"
#include "oauth/browser.h"

namespace kvcs::portal {
namespace {

constexpr std::string_view kFirstOrganization = "default";

Status wrong_credentials() {
  return unauthenticated("The address or the password is wrong.").with_reason("wrong_credentials");
}

Status setup_token_invalid() {
  return unauthenticated(
             "The setup link is used, has ended or never was. `kvcs admin setup-link` makes "
             "another.")
      .with_reason("setup_token_invalid");
}

Status ticket_invalid() {
  return unauthenticated("This sign-in has ended, or was tried too often. Begin again.")
      .with_reason("ticket_invalid");
}

// Of one address block over all accounts, right and wrong tries together.
constexpr int64_t kTriesOfAddressPerMinute = 60;

AuditContext as(const Person& person, const Caller& caller) {
  const bool is_operator = person.operator_role() != AdminRole::kNone;
  std::string source = is_operator ? "operator sign-in" : "sign-in";
  if (!caller.address.empty()) source += " from " + caller.address;
  return {person_actor(person.id), std::move(source), caller.request_id};
}

}  // namespace

Caller caller_of(const http::Request& request) {
  return {request.remote_ip, std::string(request.header("user-agent").value_or("")),
          request.request_id, Secret()};
}

Result<Secret> read_link_token(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  Secret token(reader.string("token", {.max_bytes = 200}));
  KVCS_TRY(reader.finish());
  return token;
}

Result<http::Response> tell_whether_good(const Status& look) {
  if (!look.ok() && look.code() != Code::kUnauthenticated) return look;
  return http::private_reply(200, Json{{"works", look.ok()}});
}

http::Response no_content() {
  http::Response response = http::empty_response(204);
  response.set("cache-control", "no-store");
  return response;
}

Result<std::optional<Secret>> read_current_password(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const auto text = reader.optional_string("current_password", {.max_bytes = kPasswordMaxBytes});
  KVCS_TRY(reader.finish());
  return text ? std::optional(Secret(*text)) : std::nullopt;
}

Result<Proof> read_proof(http::Request& request) {
  const Json body = KVCS_TRY(http::read_body(request));
  JsonReader reader(body);
  const auto text = reader.optional_string("current_password", {.max_bytes = kPasswordMaxBytes});
  const auto code = reader.optional_string("code", {.max_bytes = kCodeMaxBytes});
  KVCS_TRY(reader.finish());
  Proof proof;
  if (text) proof.password = Secret(*text);
  proof.code = code.value_or("");
  return proof;
}

Caller caller_of(const http::Request& request, const BrowserRules& browser) {
  Caller caller = caller_of(request);
  caller.old_session =
      Secret(oauth::cookie_value(request, session_cookie_name(is_secure(browser))));
  return caller;
}

KvBatch setup_token_record(std::string_view token, int64_t now_s, std::string maker) {
  KvBatch batch;
  batch.put(KvFamily::kSystem, std::string(keyspace::kSetupToken),
            KvEntry{sha256_hex(token), std::move(maker), now_s + kSetupLinkLifetimeS});
  return batch;
}

std::string setup_url(std::string_view public_url, std::string_view token) {
  return std::string(public_url) + "/#/setup?token=" + std::string(token);
}

// An owner who is one no longer makes no owners.
Status SignInService::check_setup_token(std::string_view hash) const {
  const Result<KvEntry> known =
      kv_get_live(s_.kv, KvFamily::kSystem, keyspace::kSetupToken, s_.clock, kSetupLinkLifetimeS);
  if (!known.ok() && known.code() != Code::kNotFound) return known.status();
  if (!known.ok() || !constant_time_equal(known->value, hash)) return setup_token_invalid();
  return KVCS_TRY(s_.may_still(known->metadata)) ? ok() : setup_token_invalid();
}

namespace {

KvBatch without_setup_token(KvBatch batch) {
  batch.remove(KvFamily::kSystem, std::string(keyspace::kSetupToken));
  return batch;
}

}  // namespace

// A compare-and-swap: of two requests with the same link one gets in. In one write with the
// person's records, so that the link is not spent for nobody.
Status SignInService::take_setup_token(std::string_view hash, const KvBatch& records,
                                       const AuditContext& who) {
  KVCS_TRY(check_setup_token(hash));
  const Status taken = s_.audited.compare_and_swap(KvFamily::kSystem, keyspace::kSetupToken, hash,
                                                   without_setup_token(records), who);
  return taken.code() == Code::kConflict ? setup_token_invalid() : taken;
}

std::string try_name(std::string_view account, const Caller& caller) {
  return "sign-in:" + sha256_hex(account).substr(0, 16) + ":" + address_block(caller.address);
}

Status too_many_tries(int64_t wait_s, std::string_view words) {
  if (wait_s == 0) return ok();
  return rate_limited(std::string(words), static_cast<int>(wait_s)).with_reason("too_many_tries");
}

Status SignInService::take_try(std::string_view account, const Caller& caller) const {
  KVCS_TRY(too_many_tries(s_.take_try(try_name(account, caller), kAccountTriesPerMinute)));
  return too_many_tries(
      s_.take_try("sign-in-address:" + address_block(caller.address), kTriesOfAddressPerMinute),
      "Too many tries from this address; wait a while.");
}

// The session that the browser had ends in the write that begins the new one. A suspension ends the
// sessions that are there, and may have come before this one.
Result<StartedSession> SignInService::start(const Person& person, std::string_view provider,
                                            const Caller& caller,
                                            const SessionService::Write& write) {
  NewSession wanted;
  wanted.person_id = person.id;
  wanted.provider = provider;
  wanted.address = caller.address;
  wanted.user_agent = caller.user_agent;
  wanted.device = caller.device;
  const Place place = KVCS_TRY(last_place(person.id));
  wanted.organization_id = place.organization_id;
  wanted.project_id = place.project_id;
  AuditContext who = as(person, caller);
  if (!place.organization_id.empty()) who.source += ", organization " + place.organization_id;
  KvBatch old;
  if (!caller.old_session.empty()) old = KVCS_TRY(s_.sessions.ending_token(caller.old_session));
  const auto write_both = [&](const KvBatch& records) -> Status {
    KvBatch batch = old;
    batch.append(records);
    return write ? write(batch) : s_.audited.write(batch, who);
  };
  StartedSession started = KVCS_TRY(s_.sessions.start(wanted, who, write_both));
  const Result<Person> now = s_.people.find(person.id);
  if (now.ok() && now->active) return started;
  const Status ended = s_.sessions.end(person.id, started.session.id, who);
  if (now.code() != Code::kNotFound) KVCS_TRY(now.status());
  if (ended.code() != Code::kNotFound) KVCS_TRY(Status(ended));
  return person_suspended();
}

// Where the person worked last, else the organization that has had the person for the longest: one
// that somebody has just been led into is never first.
Result<SignInService::Place> SignInService::last_place(std::string_view person_id) const {
  const std::vector<std::string> joined = KVCS_TRY(s_.members.organizations_by_joining(person_id));
  if (joined.empty()) return Place{};
  for (const Session& session : KVCS_TRY(s_.sessions.list(person_id))) {
    if (std::find(joined.begin(), joined.end(), session.organization_id) != joined.end()) {
      return Place{session.organization_id, session.project_id};
    }
  }
  return Place{joined.front(), KVCS_TRY(s_.first_project(joined.front()))};
}

Status SignInService::look_up_setup(const Secret& token, const Caller& caller) const {
  KVCS_TRY(take_try("setup", caller));
  return check_setup_token(sha256_hex(token.reveal()));
}

// What can be refused is looked at before the token is spent. One write spends it, makes the person
// and the membership; an organization that is full keeps no owner of the daemon out.
Result<StartedSession> SignInService::set_up(const Secret& token, const NewAccount& account,
                                             const Caller& caller) {
  KVCS_TRY(take_try("setup", caller));
  const std::string hash = sha256_hex(token.reveal());
  KVCS_TRY(check_setup_token(hash));
  Prepared wanted = KVCS_TRY(prepare(account, caller));
  wanted.person.role = AdminRole::kOwner;
  const AuditContext who{"setup-link", "sign-in", caller.request_id};
  const Result<std::string> organization = s_.find_organization(kFirstOrganization);
  if (!organization.ok() && organization.code() != Code::kNotFound) return organization.status();
  const auto spend = [&](const Person& person, const KvBatch& records) -> Status {
    if (!organization.ok()) return take_setup_token(hash, records, who);
    const auto join = [&](KvBatch& batch) -> Status {
      KVCS_TRY(check_setup_token(hash));
      batch.append(without_setup_token(records));
      return ok();
    };
    Status joined = s_.members.add(organization.value(), person.id, OrgRole::kOwner, who, join);
    const bool is_full = joined.reason() == "quota_exceeded" || joined.reason() == "members_full";
    return is_full ? take_setup_token(hash, records, who) : joined;
  };
  const Person person = KVCS_TRY(s_.people.create_with(std::move(wanted.person), wanted.sign_in,
                                                       wanted.password_hash, who, spend));
  return start(person, kByPassword, caller);
}

Result<SignInService::Prepared> SignInService::prepare(const NewAccount& account,
                                                       const Caller& caller) const {
  Prepared made;
  made.person.email = KVCS_TRY(normal_email(account.email));
  made.person.name = KVCS_TRY(normal_name(account.name.empty() ? made.person.email : account.name));
  made.sign_in = {std::string(kLocalIssuer), made.person.email};
  KVCS_TRY(check_new_password(account.password, {made.person.email, made.person.name}));
  const Status present = s_.people.find_by_sign_in(made.sign_in).status();
  if (present.ok()) {
    return conflict("An account with this address is there already; sign in with it.")
        .with_reason("sign_in_exists");
  }
  if (present.code() != Code::kNotFound) return present;
  made.password_hash = KVCS_TRY(s_.hasher.hash(account.password, address_block(caller.address)));
  return made;
}

Result<StartedSession> SignInService::register_account(const NewAccount& account,
                                                       std::string_view invited, const Join& join,
                                                       const Caller& caller) {
  KVCS_TRY(take_try("register", caller));
  if (s_.sign_up == SignUp::kClosed) {
    return forbidden("New accounts are not made here (auth.signup: closed).")
        .with_reason("sign_up_closed");
  }
  // Before anything is looked up or hashed: the link of one address tells nothing of others.
  if (!invited.empty() && KVCS_TRY(normal_email(account.email)) != invited) {
    return forbidden("The invitation is for another address.")
        .with_reason("invitation_for_another");
  }
  Prepared wanted = KVCS_TRY(prepare(account, caller));
  const AuditContext who{"invitation", "sign-in", caller.request_id};
  const auto write = [&](const Person& person, const KvBatch& records) -> Status {
    return join(person, who, records);
  };
  const Person person = KVCS_TRY(s_.people.create_with(std::move(wanted.person), wanted.sign_in,
                                                       wanted.password_hash, who, write));
  return start(person, kByPassword, caller);
}

Result<FirstStep> SignInService::sign_in(std::string_view email, const Secret& password,
                                         const Caller& caller) {
  const Result<std::string> address = normal_email(email);
  if (!address.ok() || password.reveal().size() > kPasswordMaxBytes) return wrong_credentials();
  KVCS_TRY(take_try(address.value(), caller));
  const Result<Person> person =
      s_.people.find_by_sign_in({std::string(kLocalIssuer), address.value()});
  if (!person.ok() && person.code() != Code::kNotFound) return person.status();
  const std::string hash =
      person.ok() ? KVCS_TRY(s_.people.password_hash(person->id)) : std::string();
  if (!KVCS_TRY(s_.hasher.fits(password, hash, address_block(caller.address)))) {
    return wrong_credentials();
  }
  // The comparison takes its time, in which the person may have been suspended.
  const Result<Person> now = s_.people.find(person->id);
  if (now.code() == Code::kNotFound) return wrong_credentials();
  KVCS_TRY(now.status());
  if (!now->active) return person_suspended();
  FirstStep step;
  if (KVCS_TRY(s_.totp.is_on(person->id))) {
    step.ticket = KVCS_TRY(make_ticket(*person, hash));
    return step;
  }
  step.session = KVCS_TRY(start_by_password(*person, hash, caller));
  return step;
}

// A change of the password ends the sessions that are there, and may have come before this one.
Result<StartedSession> SignInService::start_by_password(const Person& person,
                                                        std::string_view password_hash,
                                                        const Caller& caller,
                                                        const SessionService::Write& write) {
  StartedSession started = KVCS_TRY(start(person, kByPassword, caller, write));
  const Result<std::string> now = s_.people.password_hash(person.id);
  if (now.ok() && *now == password_hash) return started;
  // Nobody gets its token. Who changed the password may have ended it already.
  const Status ended = s_.sessions.end(person.id, started.session.id, as(person, caller));
  KVCS_TRY(now.status());
  if (ended.code() != Code::kNotFound) KVCS_TRY(Status(ended));
  return wrong_credentials();
}

Status SignInService::confirm_person(const Principal& who, const std::optional<Secret>& password,
                                     const Caller& caller) const {
  const std::string hash = KVCS_TRY(s_.people.password_hash(who.person_id));
  if (hash.empty()) {
    const int64_t fresh_ms = s_.clock.unix_ms() - kFreshSignInS * 1000;
    for (const Session& one : KVCS_TRY(s_.sessions.list(who.person_id))) {
      if (one.id == who.session_id && one.device.empty() && one.created_ms >= fresh_ms) return ok();
    }
    return forbidden("Sign in anew and repeat this within five minutes.")
        .with_reason("sign_in_again");
  }
  if (!password) return invalid("current_password: required.");
  KVCS_TRY(take_try(who.person_id, caller));
  if (KVCS_TRY(s_.hasher.fits(*password, hash, address_block(caller.address)))) return ok();
  return forbidden("current_password: it is not the account's password.")
      .with_reason("wrong_password");
}

Status SignInService::confirm_factors(const Principal& who, const Proof& proof,
                                      const Caller& caller) const {
  KVCS_TRY(confirm_person(who, proof.password, caller));
  if (!KVCS_TRY(s_.totp.is_on(who.person_id))) return ok();
  if (proof.code.empty()) {
    return invalid("code: required, since the account has a second factor.")
        .with_reason("code_required");
  }
  return s_.totp.check(who.person_id, proof.code,
                       {person_actor(who.person_id), "sign-in", caller.request_id});
}

// The ticket goes with the password that it was given for: one that is changed meanwhile ends it.
Result<Secret> SignInService::make_ticket(const Person& person, std::string_view password_hash) {
  Secret ticket(oauth::make_one_time_secret(s_.entropy));
  const Json record{{"person_id", person.id},
                    {"password", sha256_hex(password_hash)},
                    {"tries", kSecondStepTries},
                    {"ends_s", s_.clock.unix_s() + kSecondStepLifetimeS}};
  KVCS_TRY(s_.tickets.put(ticket.reveal(), dump_json(record), kSecondStepLifetimeS));
  return ticket;
}

namespace {

Json with_tries(const Json& record, int change) {
  Json changed = record;
  changed["tries"] = record.value("tries", 0) + change;
  return changed;
}

}  // namespace

// The ticket stays while it has tries, and each try changes it in one write, so that of tries at
// once each needs its turn. What is read for it is read before that, and a store that fails in
// between leaves it as it was. The code is spent in the write that begins the session: a recovery
// code is not lost for nothing.
Result<StartedSession> SignInService::sign_in_with_code(const Secret& ticket, std::string_view code,
                                                        const Caller& caller) {
  KVCS_TRY(take_try("second-step", caller));
  Person person;
  std::string hash;
  const auto spend_try = [&](const Secret& kept) -> Result<KvBatch> {
    const Json record = KVCS_TRY(parse_json(kept.reveal()));
    person = KVCS_TRY(s_.people.find(text_member(record, "person_id")));
    hash = KVCS_TRY(s_.people.password_hash(person.id));
    const bool has_tries = record.value("tries", 0) > 0;
    if (!has_tries || sha256_hex(hash) != text_member(record, "password")) return ticket_invalid();
    if (!person.active) return person_suspended();
    return ticket_again(ticket, with_tries(record, -1));
  };
  const Status spent = s_.tickets.take(ticket.reveal(), spend_try).status();
  if (spent.code() == Code::kNotFound) return ticket_invalid();
  KVCS_TRY(Status(spent));
  const auto write = [&](const KvBatch& records) {
    return s_.totp.check(person.id, code, as(person, caller), records);
  };
  Result<StartedSession> started = start_by_password(person, hash, caller, write);
  const Status checked = started.status();
  // After the session: a failure before leaves the ticket for another try, and here it leaves one
  // that needs another code, for its few minutes.
  if (checked.ok()) (void)s_.tickets.take(ticket.reveal());
  if (checked.ok() || checked.reason() == "wrong_credentials") return started;
  const bool is_no_try =
      checked.code() == Code::kUnavailable || checked.code() == Code::kRateLimited;
  if (is_no_try) give_try_back(ticket);
  if (checked.reason() != "wrong_code") return checked;
  return unauthenticated(checked.message()).with_reason("wrong_code");
}

// It ends when it would have ended: a try gives it no more time.
KvBatch SignInService::ticket_again(const Secret& ticket, const Json& record) const {
  const int64_t left_s = integer_member(record, "ends_s") - s_.clock.unix_s();
  return s_.tickets.make(ticket.reveal(), dump_json(record), left_s);
}

// What the store fails at, or comes too fast, is no try; where the store fails at this too, it is.
void SignInService::give_try_back(const Secret& ticket) {
  const auto give = [&](const Secret& kept) -> Result<KvBatch> {
    const Json record = KVCS_TRY(parse_json(kept.reveal()));
    return ticket_again(ticket, with_tries(record, 1));
  };
  const Status given = s_.tickets.take(ticket.reveal(), give).status();
  if (!given.ok()) log::info("sign_in.try_not_given_back", {{"error", given.to_string()}});
}

// One write gives the password, ends the link for a new one and the sessions; then those end that
// began between the look at the sessions and that write. Of two at once with one current password,
// the later one's is the account's no more.
Result<StartedSession> SignInService::change_password(std::string_view person_id,
                                                      const Secret& current, const Secret& wanted,
                                                      const Caller& caller) {
  KVCS_TRY(take_try(person_id, caller));
  const Person person = KVCS_TRY(s_.people.find(person_id));
  const std::string known = KVCS_TRY(s_.people.password_hash(person_id));
  if (known.empty()) {
    return conflict("This account has no password; it signs in through another provider.")
        .with_reason("no_password");
  }
  const std::string block = address_block(caller.address);
  const Status wrong = forbidden("current_password: it is not the account's password.")
                           .with_reason("wrong_password");
  if (!KVCS_TRY(s_.hasher.fits(current, known, block))) return wrong;
  KVCS_TRY(check_new_password(wanted, {person.email, person.name}));
  const std::string hash = KVCS_TRY(s_.hasher.hash(wanted, block));
  KvBatch ended = KVCS_TRY(s_.sessions.ending(person_id, ""));
  const Status changed =
      s_.people.set_password_hash(person_id, known, hash, as(person, caller), std::move(ended));
  if (changed.reason() == "password_changed") return wrong;
  KVCS_TRY(Status(changed));
  KVCS_TRY(s_.sessions.end_all(person_id, "", as(person, caller)));
  return start_by_password(person, hash, caller);
}

}  // namespace kvcs::portal

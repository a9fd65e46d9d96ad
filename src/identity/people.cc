// Writes records of people. An entry per sign-in, under a hash of issuer and subject, makes
// sign-ins unique: who creates it first has it.
#include "identity/people.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/id.h"
#include "base/json.h"
#include "identity/names.h"
#include "identity/records.h"
#include "kv/keyspace.h"
#include "kv/owned.h"

namespace kvcs {

Status person_suspended() {
  return forbidden("This account is suspended.").with_reason("person_suspended");
}

// The length of the issuer stands first, so that no two pairs make one text.
std::string sign_in_id(const SignIn& sign_in) {
  return sha256_hex(std::to_string(sign_in.issuer.size()) + ":" + sign_in.issuer + sign_in.subject);
}

namespace {

constexpr int kRaceAttemptsMax = 8;
constexpr std::string_view kBeingRemoved = "{}";

Status no_such_person(std::string_view id) {
  return not_found("No person '" + printable(id, kShownName) + "'.")
      .with_reason("person_not_found");
}

std::string to_json(const SignIn& sign_in) {
  return dump_json(Json{{"issuer", sign_in.issuer}, {"subject", sign_in.subject}});
}

Status sign_in_exists() {
  return conflict("Somebody signs in with this account already.").with_reason("sign_in_exists");
}

// How long a sign-in is taken for somebody whose records are being written.
constexpr int64_t kSignInTakenS = 60;

KvBatch records_of(const Person& person, const SignIn& sign_in, std::string_view password_hash) {
  const std::string hash = sign_in_id(sign_in);
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::person_profile(person.id), person_to_json(person));
  batch.put(KvFamily::kConfig, keyspace::sign_in(hash), person.id);
  batch.put(KvFamily::kConfig, keyspace::person_sign_in(person.id, hash), to_json(sign_in));
  if (!password_hash.empty()) {
    batch.put(KvFamily::kConfig, keyspace::person_password(person.id), std::string(password_hash));
  }
  return batch;
}

}  // namespace

std::string person_to_json(const Person& person) {
  Json json{{"person_id", person.id},
            {"name", person.name},
            {"email", person.email},
            {"status", person.active ? "active" : "suspended"}};
  if (!person.email_verified_by.empty()) json["email_verified_by"] = person.email_verified_by;
  if (person.wants_place) json["wants_place"] = true;
  if (person.role != AdminRole::kNone) json["role"] = admin_role_name(person.role);
  if (person.appointed) {
    json["appointed_by"] = {{"provider", person.appointed->provider},
                            {"entry", person.appointed->entry}};
  }
  json["created_at"] = time_json(person.created_ms);
  json["updated_at"] = time_json(person.updated_ms);
  json["version"] = person.version;
  return dump_json(json);
}

Result<Person> parse_person(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json.ok()) return internal("damaged person record: " + json.status().message());
  JsonReader reader(json.value());
  reader.ignore_unknown();
  Person person;
  person.id = reader.string("person_id");
  person.name = reader.string("name", {.min_bytes = 0, .max_bytes = kPersonNameMaxBytes});
  person.email = reader.string("email", {.min_bytes = 0});
  person.active = reader.one_of("status", {"active", "suspended"}) == "active";
  const auto role = reader.optional_string("role");
  person.version = reader.integer("version", 1, INT64_MAX);
  const std::string created = reader.string("created_at"), updated = reader.string("updated_at");
  if (Status read = reader.finish(); !read.ok()) {
    return internal("damaged person record: " + read.message());
  }
  person.email_verified_by = text_member(*json, "email_verified_by");
  person.wants_place = json->contains("wants_place");
  if (role) person.role = KVCS_TRY(parse_admin_role(*role));
  if (const auto by = json->find("appointed_by"); by != json->end()) {
    person.appointed = AppointedBy{text_member(*by, "provider"), text_member(*by, "entry")};
  }
  person.created_ms = KVCS_TRY(parse_iso8601_ms(created));
  person.updated_ms = KVCS_TRY(parse_iso8601_ms(updated));
  return person;
}

Result<ActivePlace> parse_active_place(std::string_view text) {
  const Result<Json> json = parse_json(text);
  if (!json.ok()) return internal("damaged record of a place: " + json.status().message());
  return ActivePlace{text_member(*json, "organization_id"), text_member(*json, "project_id")};
}

PersonService::PersonService(KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy)
    : kv_(kv), audited_(audited), clock_(clock), entropy_(entropy) {}

Result<Person> PersonService::complete(Person wanted) const {
  wanted.name = KVCS_TRY(normal_name(wanted.name));
  wanted.id = make_uuid_v4(entropy_);
  wanted.created_ms = wanted.updated_ms = clock_.unix_ms();
  wanted.version = 1;
  return wanted;
}

Result<Person> PersonService::create(Person wanted, const SignIn& sign_in,
                                     std::string_view password_hash, const AuditContext& who) {
  const Person person = KVCS_TRY(complete(std::move(wanted)));
  Status stored =
      audited_.compare_and_swap(KvFamily::kConfig, keyspace::sign_in(sign_in_id(sign_in)),
                                std::nullopt, records_of(person, sign_in, password_hash), who);
  if (stored.code() == Code::kConflict) return sign_in_exists();
  KVCS_TRY(std::move(stored));
  return person;
}

// `write` compares and swaps a record of its own. So the sign-in is taken before, for a minute, in
// favour of a person who is not there yet, which reads as nobody; the batch makes both lasting.
Result<Person> PersonService::create_with(Person wanted, const SignIn& sign_in,
                                          std::string_view password_hash, const AuditContext& who,
                                          const Write& write) {
  const Person person = KVCS_TRY(complete(std::move(wanted)));
  const std::string taken = keyspace::sign_in(sign_in_id(sign_in));
  KvBatch take;
  take.put(KvFamily::kConfig, taken, KvEntry{person.id, {}, clock_.unix_s() + kSignInTakenS});
  Status free = audited_.compare_and_swap(KvFamily::kConfig, taken, std::nullopt, take, who);
  if (free.code() == Code::kConflict) return sign_in_exists();
  KVCS_TRY(std::move(free));
  Status written = write(person, records_of(person, sign_in, password_hash));
  if (written.ok()) return person;
  KvBatch release;
  release.remove(KvFamily::kConfig, taken);
  // What cannot be released ends by itself.
  [[maybe_unused]] const Status released =
      audited_.compare_and_swap(KvFamily::kConfig, taken, person.id, release, who);
  return written;
}

Result<Person> PersonService::find(std::string_view id) const {
  if (!is_uuid(id)) return no_such_person(id);
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::person_profile(id));
  if (entry.code() == Code::kNotFound) return no_such_person(id);
  if (!entry.ok()) return entry.status();
  return parse_person(entry.value().value);
}

Result<Person> PersonService::find_by_sign_in(const SignIn& sign_in) const {
  const Result<KvEntry> id = kv_.get(KvFamily::kConfig, keyspace::sign_in(sign_in_id(sign_in)));
  if (id.code() == Code::kNotFound) return no_such_person(sign_in.subject);
  if (!id.ok()) return id.status();
  return find(id.value().value);
}

Result<Person> PersonService::update(std::string_view id, const Edit& edit,
                                     const AuditContext& who) {
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    KVCS_TRY(find(id));
    const std::string name = keyspace::person_profile(id);
    const std::string before = KVCS_TRY(kv_.get(KvFamily::kConfig, name)).value;
    const Person old = KVCS_TRY(parse_person(before));
    Person changed = old;
    KVCS_TRY(edit(changed));
    if (changed.name != old.name) changed.name = KVCS_TRY(normal_name(changed.name));
    changed.id = old.id;
    changed.created_ms = old.created_ms;
    changed.updated_ms = clock_.unix_ms();
    changed.version = old.version + 1;
    KvBatch batch;
    batch.put(KvFamily::kConfig, name, person_to_json(changed));
    stored = audited_.compare_and_swap(KvFamily::kConfig, name, before, batch, who);
    if (stored.ok()) return changed;
    if (stored.code() != Code::kConflict) return stored;
  }
  return stored;
}

// With an end, as the daemon may die before the removal does.
Status PersonService::begin_removal(std::string_view id, const AuditContext& who) {
  KVCS_TRY(find(id));
  const std::string key = keyspace::deletion(keyspace::Owner::kPerson, id);
  KvBatch batch;
  batch.put(KvFamily::kSystem, key,
            KvEntry{std::string(kBeingRemoved), {}, clock_.unix_s() + kRemovalS});
  const Status begun = audited_.compare_and_swap(KvFamily::kSystem, key, std::nullopt, batch, who);
  if (begun.code() != Code::kConflict) return begun;
  return conflict("This account is being deleted already.").with_reason("name_in_deletion");
}

Status PersonService::withdraw_removal(std::string_view id, const AuditContext& who) {
  KvBatch batch;
  batch.remove(KvFamily::kSystem, keyspace::deletion(keyspace::Owner::kPerson, id));
  return audited_.write(batch, who);
}

Status PersonService::check_operator_stays(std::string_view leaving_id) const {
  std::string cursor;
  do {
    const PersonPage page = KVCS_TRY(list({cursor}));
    for (const Person& other : page.people) {
      const bool is_owner = other.active && other.operator_role() == AdminRole::kOwner;
      if (is_owner && other.id != leaving_id) return ok();
    }
    cursor = page.cursor;
  } while (!cursor.empty());
  return conflict(
             "Nobody else who may sign in is an owner of this daemon. Make somebody one first.")
      .with_reason("last_operator");
}

Status PersonService::check_removable(std::string_view id) const {
  const Person person = KVCS_TRY(find(id));
  return person.operator_role() == AdminRole::kOwner ? check_operator_stays(id) : ok();
}

Result<Person> PersonService::update_operator(std::string_view id, const Edit& edit,
                                              const AuditContext& who) {
  const MutexLock lock(operators_mutex_);
  const auto checked = [&](Person& person) -> Status {
    const bool was_owner = person.active && person.operator_role() == AdminRole::kOwner;
    KVCS_TRY(edit(person));
    const bool is_owner = person.active && person.operator_role() == AdminRole::kOwner;
    return was_owner && !is_owner ? check_operator_stays(id) : ok();
  };
  return update(id, checked, who);
}

// Ways to sign in are among what is owned: none comes between the look and the write. The mark of
// begin_removal() is compared, since it ends by itself where the caller took longer.
Status PersonService::remove(std::string_view id, const AuditContext& who) {
  const MutexLock operators_lock(operators_mutex_);
  const MutexLock lock(sign_ins_mutex_);
  KVCS_TRY(check_removable(id));
  const std::string mark = keyspace::deletion(keyspace::Owner::kPerson, id);
  KvBatch batch;
  batch.remove(KvFamily::kSystem, mark);
  const auto take = [&](KvFamily family, const KvItem& item) -> Status {
    batch.remove(family, item.key);
    return ok();
  };
  KVCS_TRY(for_each_owned(kv_, keyspace::Owner::kPerson, id, take));
  // What requests left under the id of their caller, as those of keys do.
  KVCS_TRY(for_each_owned(kv_, keyspace::Owner::kKey, id, take));
  Status gone = audited_.compare_and_swap(KvFamily::kSystem, mark, kBeingRemoved, batch, who);
  if (gone.code() != Code::kConflict) return gone;
  return conflict("The deletion of the account took more than " + std::to_string(kRemovalS) +
                  " s, in which something may have become the account's. Delete it again.")
      .with_reason("removal_ended");
}

Result<PersonPage> PersonService::list(const ListAsk& ask) const {
  PersonPage page;
  const auto step = [&](const KvItem& item) -> Result<Walked> {
    if (!keyspace::parse_person_profile(item.key)) return Walked::kNoRow;
    if (!ask.search.fits_members(item.entry.value, {"name", "email", "person_id"})) {
      return Walked::kPassed;
    }
    page.people.push_back(KVCS_TRY(parse_person(item.entry.value)));
    return Walked::kTaken;
  };
  page.cursor = KVCS_TRY(walk_list(kv_, KvFamily::kConfig, keyspace::kPersonPrefix, ask, step));
  return page;
}

Result<std::vector<Person>> PersonService::list_appointed() const {
  std::vector<Person> appointed;
  const auto add = [&](const KvItem& item) -> Status {
    if (!keyspace::parse_person_profile(item.key)) return ok();
    Result<Person> person = parse_person(item.entry.value);
    if (person.ok() && person->appointed) appointed.push_back(std::move(person).value());
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::kPersonPrefix, add));
  return appointed;
}

Result<std::vector<SignIn>> PersonService::list_sign_ins(std::string_view id) const {
  std::vector<SignIn> all;
  const auto add = [&](const KvItem& item) -> Status {
    const Json json = KVCS_TRY(parse_json(item.entry.value));
    all.push_back({text_member(json, "issuer"), text_member(json, "subject")});
    return ok();
  };
  KVCS_TRY(kv_for_each(kv_, KvFamily::kConfig, keyspace::person_sign_in_prefix(id), add));
  return all;
}

Status PersonService::add_sign_in(std::string_view id, const SignIn& sign_in,
                                  const AuditContext& who) {
  const MutexLock lock(sign_ins_mutex_);
  if (KVCS_TRY(list_sign_ins(id)).size() >= kSignInsPerPersonMax) {
    return conflict("A person may have " + std::to_string(kSignInsPerPersonMax) +
                    " ways to sign in; take one away first.")
        .with_reason("sign_ins_full");
  }
  const std::string hash = sign_in_id(sign_in);
  KvBatch batch;
  batch.put(KvFamily::kConfig, keyspace::sign_in(hash), std::string(id));
  batch.put(KvFamily::kConfig, keyspace::person_sign_in(id, hash), to_json(sign_in));
  Status stored = audited_.compare_and_swap(KvFamily::kConfig, keyspace::sign_in(hash),
                                            std::nullopt, batch, who);
  if (stored.code() == Code::kConflict && stored.reason().empty()) return sign_in_exists();
  return stored;
}

Result<SignIn> PersonService::remove_sign_in(std::string_view id, std::string_view sign_in_id,
                                             const AuditContext& who) {
  const MutexLock lock(sign_ins_mutex_);
  const std::vector<SignIn> all = KVCS_TRY(list_sign_ins(id));
  const auto wanted = std::find_if(all.begin(), all.end(), [&](const SignIn& one) {
    return kvcs::sign_in_id(one) == sign_in_id;
  });
  if (wanted == all.end()) {
    return not_found("No way to sign in '" + printable(sign_in_id, kShownName) + "'.")
        .with_reason("sign_in_not_found");
  }
  if (all.size() == 1) {
    return conflict("This is the only way to sign in to the account; add another one first.")
        .with_reason("last_sign_in");
  }
  KvBatch batch;
  batch.remove(KvFamily::kConfig, keyspace::sign_in(sign_in_id));
  batch.remove(KvFamily::kConfig, keyspace::person_sign_in(id, sign_in_id));
  if (wanted->issuer == kLocalIssuer) {
    batch.remove(KvFamily::kConfig, keyspace::person_password(id));
    batch.remove(KvFamily::kConfig, keyspace::person_reset(id));
  }
  KVCS_TRY(audited_.write(batch, who));
  return *wanted;
}

Result<ActivePlace> PersonService::active_place(std::string_view id) const {
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::person_active(id));
  if (entry.code() == Code::kNotFound) return ActivePlace{};
  if (!entry.ok()) return entry.status();
  return parse_active_place(entry->value);
}

// The profile is compared, and not changed: a person who is being removed gets no record any more.
Status PersonService::set_active_place(std::string_view id, const ActivePlace& place) {
  const std::string profile = keyspace::person_profile(id);
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, profile);
    if (entry.code() == Code::kNotFound) return no_such_person(id);
    KVCS_TRY(entry.status());
    KvBatch batch;
    batch.put(KvFamily::kConfig, keyspace::person_active(id),
              dump_json(Json{{"organization_id", place.organization_id},
                             {"project_id", place.project_id}}));
    stored = kv_.compare_and_swap(KvFamily::kConfig, profile, entry->value, batch,
                                  KvDurability::kSynced);
    if (stored.code() != Code::kConflict) return stored;
  }
  return stored;
}

Result<std::string> PersonService::password_hash(std::string_view id) const {
  const Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::person_password(id));
  if (entry.code() == Code::kNotFound) return std::string();
  if (!entry.ok()) return entry.status();
  return entry.value().value;
}

// A link for a new password is one for the password that there was.
Status PersonService::set_password_hash(std::string_view id, std::string_view before,
                                        std::string_view hash, const AuditContext& who,
                                        KvBatch also) {
  const std::string key = keyspace::person_password(id);
  also.remove(KvFamily::kConfig, keyspace::person_reset(id));
  also.put(KvFamily::kConfig, key, std::string(hash));
  const auto expected = before.empty() ? std::nullopt : std::optional(before);
  Status stored = audited_.compare_and_swap(KvFamily::kConfig, key, expected, also, who);
  if (stored.code() != Code::kConflict || !stored.reason().empty()) return stored;
  return conflict("The password was changed meanwhile.").with_reason("password_changed");
}

}  // namespace kvcs

// Writes records of AI users. An entry per address, user_email:{org}:{email}, makes addresses
// unique and is what lists are walked by.
#include "identity/users.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/id.h"
#include "base/printable.h"
#include "kv/keyspace.h"
#include "kv/room.h"

namespace kvcs {
namespace {

constexpr int kRaceAttemptsMax = 8;
constexpr size_t kUsersPerOrganizationMax = 10'000;
constexpr size_t kEmailMaxBytes = 254;  // RFC 5321 §4.5.3.1.3, less the angle brackets.

Status no_such_user(std::string_view id) {
  return not_found("No user '" + printable(id, kShownName) + "'.").with_reason("user_not_found");
}

// Counted by the addresses, of which every user has one.
Status check_room(const KvStore& kv, std::string_view organization_id) {
  const std::string prefix = keyspace::user_email(organization_id, "");
  const bool full = KVCS_TRY(is_full(kv, KvFamily::kConfig, prefix, kUsersPerOrganizationMax));
  if (!full) return ok();
  return conflict("The organization has " + std::to_string(kUsersPerOrganizationMax) +
                  " users, which is as many as one may have; delete some first.")
      .with_reason("too_many_users");
}

}  // namespace

Result<std::string> normal_email(std::string_view text) {
  const std::string email = lower_ascii(trim(text));
  const Status bad =
      invalid("email: '" + printable(text, kShownName) + "' is not an email address.");
  const size_t at = email.find('@');
  if (at == email.npos || at == 0 || at > 64 || email.size() > kEmailMaxBytes) return bad;
  const std::string_view domain = std::string_view(email).substr(at + 1);
  if (domain.empty() || domain.find('@') != domain.npos || domain.front() == '.' ||
      domain.back() == '.' || domain.find("..") != domain.npos) {
    return bad;
  }
  // ':' would end a part of a key; '/' and the rest have no business in an address.
  for (const char c : email) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte == 0x7f ||
        std::string_view(":,;<>()[]\\\"/").find(c) != std::string_view::npos) {
      return bad;
    }
  }
  if (!is_printable(email)) return bad;
  return email;
}

UserService::UserService(const KvStore& kv, AuditedKv& audited, const Clock& clock,
                         Entropy& entropy)
    : kv_(kv), audited_(audited), clock_(clock), entropy_(entropy) {}

Result<User> UserService::create(User wanted, const AuditContext& who) {
  wanted.email = KVCS_TRY(normal_email(wanted.email));
  if (!is_uuid(wanted.organization_id) && !is_slug(wanted.organization_id)) {
    return not_found("No organization '" + printable(wanted.organization_id, kShownName) + "'.")
        .with_reason("org_not_found");
  }
  // The organization may be deleted between this look and the write, which then fails.
  const std::string organization_key = keyspace::org_config(wanted.organization_id);
  const Result<KvEntry> organization = kv_.get(KvFamily::kConfig, organization_key);
  if (organization.code() == Code::kNotFound) {
    return not_found("No organization '" + wanted.organization_id + "'.")
        .with_reason("org_not_found");
  }
  KVCS_TRY(organization.status());
  KVCS_TRY(check_room(kv_, wanted.organization_id));
  wanted.id = make_uuid_v4(entropy_);
  wanted.created_ms = wanted.updated_ms = clock_.unix_ms();
  wanted.version = 1;
  const std::string email_key = keyspace::user_email(wanted.organization_id, wanted.email);
  KvBatch batch;
  batch.put(KvFamily::kConfig, email_key, wanted.id);
  batch.put(KvFamily::kConfig, keyspace::user_config(wanted.id), user_to_json(wanted));
  Status stored = audited_.compare_and_swap(KvFamily::kConfig, email_key, std::nullopt, batch, who);
  if (stored.code() == Code::kConflict) {
    return conflict("A user with email '" + printable(wanted.email, kShownName) +
                    "' exists in this organization.")
        .with_reason("email_exists");
  }
  KVCS_TRY(std::move(stored));
  return wanted;
}

Result<User> UserService::find(std::string_view id) const {
  if (!is_uuid(id) && !is_slug(id)) return no_such_user(id);
  Result<KvEntry> entry = kv_.get(KvFamily::kConfig, keyspace::user_config(id));
  if (entry.code() == Code::kNotFound) return no_such_user(id);
  if (!entry.ok()) return entry.status();
  return parse_user(entry.value().value);
}

// Reads, edits and writes until nobody came between.
Result<User> UserService::update(std::string_view id, const Edit& edit, const AuditContext& who) {
  Status stored;
  for (int attempt = 0; attempt < kRaceAttemptsMax; attempt++) {
    KVCS_TRY(find(id));
    const std::string name = keyspace::user_config(id);
    const std::string before = KVCS_TRY(kv_.get(KvFamily::kConfig, name)).value;
    const User old = KVCS_TRY(parse_user(before));
    User changed = old;
    KVCS_TRY(edit(changed));
    // Members that an edit must not change are put back; the address is part of a key.
    changed.id = old.id;
    changed.organization_id = old.organization_id;
    changed.email = old.email;
    changed.created_ms = old.created_ms;
    changed.updated_ms = clock_.unix_ms();
    changed.version = old.version + 1;
    KvBatch batch;
    batch.put(KvFamily::kConfig, name, user_to_json(changed));
    stored = audited_.compare_and_swap(KvFamily::kConfig, name, before, batch, who);
    if (stored.ok()) return changed;
    if (stored.code() != Code::kConflict) return stored;
  }
  return stored;
}

Result<UserPage> UserService::list(std::string_view organization_id, const ListAsk& ask) const {
  UserPage page;
  const auto step = [&](const KvItem& item) -> Result<Walked> {
    const std::string_view email = keyspace::email_of_user(item.key);
    if (!ask.search.fits({email, item.entry.value})) return Walked::kPassed;
    Result<User> user = find(item.entry.value);
    if (user.code() == Code::kNotFound) return Walked::kNoRow;  // Removed since the scan.
    if (!user.ok()) return user.status();
    page.users.push_back(std::move(user).value());
    return Walked::kTaken;
  };
  page.cursor =
      KVCS_TRY(walk_list(kv_, KvFamily::kConfig,
                         organization_id.empty() ? std::string(keyspace::kUserEmailPrefix)
                                                 : keyspace::user_email(organization_id, ""),
                         ask, step));
  return page;
}

}  // namespace kvcs

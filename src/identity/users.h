// AI users: people and apps that spend an organization's budget through their own keys. Unique by
// email within an organization (a compare-and-swap on user_email:{org}:{email}). Every change is
// audited. Thread-safe.
#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/entropy.h"
#include "identity/records.h"
#include "kv/audited_kv.h"
#include "kv/list_walk.h"

namespace kvcs {

// The cursor is "" on the last page.
struct UserPage {
  std::vector<User> users;
  std::string cursor;
};

class UserService final {
 public:
  UserService(const KvStore& kv, AuditedKv& audited, const Clock& clock, Entropy& entropy);

  // Fills in id, times and version. Invalid: not an email address. NotFound with reason
  // org_not_found. Conflict with reason email_exists or too_many_users.
  Result<User> create(User wanted, const AuditContext& who);
  Result<User> find(std::string_view id) const;  // NotFound, reason user_not_found
  // `edit` may change anything but id, organization, email and times; it may run more than once.
  using Edit = std::function<Status(User& user)>;
  Result<User> update(std::string_view id, const Edit& edit, const AuditContext& who);
  // Of one organization, in order of email; "": of all, one organization after the other. A search
  // looks at address and id.
  Result<UserPage> list(std::string_view organization_id, const ListAsk& ask) const;

 private:
  const KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  Entropy& entropy_;
};

// Lower case, trimmed; Invalid when it is not local@domain of at most 254 visible characters.
Result<std::string> normal_email(std::string_view text);

}  // namespace kvcs

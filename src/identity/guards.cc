// Guards of all doors: they run on a worker of the HTTP server before one byte of the body is read.
// The guard of the admin API counts what it refuses, per address, under a lock of its own.
#include "identity/guards.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/address_block.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "identity/access.h"

namespace kvcs {
namespace {

// A botnet must not fill the memory. Beyond this an entry that tells nothing any more goes, and if
// there is none, any.
constexpr size_t kBlocksMax = 50'000;

// A key that is good, but of another family or too small a role, is Forbidden and not
// Unauthenticated: its holder took the wrong key, and a wrong key is not a guess.
template <typename Carrier>
Result<Principal> admit(const Authenticator& auth, const Carrier& bearer_or_request,
                        const http::Need& need) {
  Result<Principal> principal = auth.authenticate(bearer_or_request);
  if (principal.ok()) KVCS_TRY(access::may(*principal, need));
  return principal;
}

constexpr std::string_view kUserKeyPrefix = "gw_live_";

// What a client gave as its key: each value of the headers that LLM client libraries send, once.
// Empty ones say nothing. What is no bearer says something to somebody else.
std::vector<std::string_view> given_keys(const http::Request& request) {
  std::vector<std::string_view> keys;
  for (const auto& [name, value] : request.headers) {
    std::string_view key = trim(value);
    if (equal_ignore_case(name, "authorization")) {
      const size_t space = std::min(key.find(' '), key.size());
      if (!equal_ignore_case(key.substr(0, space), "bearer")) continue;
      key = trim(key.substr(space));
    } else if (!equal_ignore_case(name, "x-api-key") && !equal_ignore_case(name, "api-key")) {
      continue;
    }
    if (!key.empty() && std::find(keys.begin(), keys.end(), key) == keys.end()) {
      keys.push_back(key);
    }
  }
  return keys;
}

// Clients send the same key in two headers, or a key of another service beside ours: the one of our
// family counts. Two of ours are refused rather than one of them chosen.
Result<std::string_view> user_bearer(const std::vector<std::string_view>& keys) {
  std::optional<std::string_view> ours;
  for (const std::string_view key : keys) {
    if (!key.starts_with(kUserKeyPrefix)) continue;
    if (ours) {
      return unauthenticated(
          "Two different keys were sent in Authorization, x-api-key or api-key; send one.");
    }
    ours = key;
  }
  return ours.value_or(keys.front());
}

Result<Principal> user_caller(const Authenticator& auth, const http::Request& request) {
  const std::vector<std::string_view> keys = given_keys(request);
  if (keys.empty()) return auth.authenticate(request);
  return auth.authenticate(KVCS_TRY(user_bearer(keys)));
}

// Whom a session acts for at the gateways, where a key says it itself.
Status act_for_named(const Authenticator& auth, const http::Request& request, PrincipalKind family,
                     Principal& principal) {
  const std::string_view user = trim(request.header("x-kvcs-user").value_or(""));
  if (user.empty()) {
    return invalid(
               "X-Kvcs-User: missing. With a session say whose budget and limits the request "
               "counts towards, as in X-Kvcs-User: USER_ID.")
        .with_reason("user_required");
  }
  return auth.act_for(user, family, principal);
}

}  // namespace

http::Guard artifact_key(const Authenticator& auth, Scope at_least) {
  const http::Need need{.family = PrincipalKind::kProjectKey, .scope = at_least};
  return [&auth, need](const http::Request& request) -> Result<Principal> {
    return admit(auth, request, need);
  };
}

http::Guard user_key(const Authenticator& auth) {
  constexpr PrincipalKind kFamily = PrincipalKind::kUserKey;
  return [&auth](const http::Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(user_caller(auth, request));
    if (principal.kind == PrincipalKind::kPerson) {
      KVCS_TRY(act_for_named(auth, request, kFamily, principal));
    }
    KVCS_TRY(access::may(principal, {.family = kFamily}));
    return principal;
  };
}

// The tenant in the path is compared with the token's and never looked up, so that a caller cannot
// find out which tenants there are.
http::Guard tenant_token(const Authenticator& auth) {
  constexpr PrincipalKind kFamily = PrincipalKind::kTenantToken;
  return [&auth](const http::Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(auth.authenticate(request));
    const bool is_person = principal.kind == PrincipalKind::kPerson;
    if (is_person) KVCS_TRY(act_for_named(auth, request, kFamily, principal));
    KVCS_TRY(access::may(principal, {.family = kFamily}));
    for (const auto& [name, value] : request.params) {
      if (name != "tenant" || access::owns(principal, {.tenant = value})) continue;
      if (is_person) {
        return not_found("The user of X-Kvcs-User is not of tenant '" +
                         printable(value, kShownName) + "'.")
            .with_reason("user_not_found");
      }
      return forbidden("The token does not belong to tenant '" + printable(value, kShownName) +
                       "'.");
    }
    return principal;
  };
}

http::Guard admin(const Authenticator& auth, const http::Need& need) {
  return [&auth, need](const http::Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(auth.authenticate(request));
    Status as_operator = access::may(principal, need);
    const bool is_own = principal.kind == PrincipalKind::kPerson && need.org_role != OrgRole::kNone;
    if (as_operator.ok() || !is_own) {
      KVCS_TRY(std::move(as_operator));
      return principal;
    }
    KVCS_TRY(auth.enter_place(request, principal));
    const http::Need in_place{.family = PrincipalKind::kPerson, .org_role = need.org_role};
    KVCS_TRY(access::may(principal, in_place));
    principal.role = AdminRole::kNone;
    return principal;
  };
}

namespace {

http::Guard person_guard(const Authenticator& auth, OrgRole at_least, bool even_leaving) {
  const http::Need need{.family = PrincipalKind::kPerson, .org_role = at_least};
  return [&auth, need, even_leaving](const http::Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(auth.authenticate(request));
    for (const auto& [name, value] : request.params) {
      const bool enters = name == "org_id" && principal.kind == PrincipalKind::kPerson;
      if (enters) KVCS_TRY(auth.enter_organization(value, principal, even_leaving));
    }
    KVCS_TRY(access::may(principal, need));
    return principal;
  };
}

}  // namespace

http::Guard person(const Authenticator& auth, OrgRole at_least) {
  return person_guard(auth, at_least, false);
}

http::Guard person_of_leaving(const Authenticator& auth, OrgRole at_least) {
  return person_guard(auth, at_least, true);
}

Status too_often(const char* whose, int64_t wait_s) {
  return rate_limited("Too many admin requests " + std::string(whose) + ".",
                      static_cast<int>(wait_s))
      .with_reason("rate_limited");
}

// Wrong keys are counted per address block within a window that is as long as the lock-out:
// `first_us` began it. While `locked_until_us` lies ahead every wrong key of the block gets the
// same refusal. Right keys pass all the same: a lock that held them out would punish whoever
// shares a proxy with the guesser, and a guesser who has found one is in anyway. Nor does a right
// key erase the count, or a guesser who owns a weak key could go on for ever.
struct AdminGuard::Impl {
  struct Failures {
    int count = 0;
    int64_t first_us = 0;
    int64_t locked_until_us = 0;
  };
  const Authenticator& auth;
  const Clock& clock;
  const AdminGuardLimits limits;
  const TakeRate take_rate;
  const Failed told;
  Mutex mutex;
  std::unordered_map<std::string, Failures> blocks KVCS_GUARDED_BY(mutex);

  int64_t lockout_us() const { return int64_t{limits.lockout_s} * 1'000'000; }

  int64_t locked_for_s(const std::string& block) {
    MutexLock lock(mutex);
    const auto it = blocks.find(block);
    if (it == blocks.end()) return 0;
    const int64_t left_us = it->second.locked_until_us - clock.mono_us();
    return left_us <= 0 ? 0 : (left_us + 999'999) / 1'000'000;
  }
  void failed(const std::string& block) {
    MutexLock lock(mutex);
    const int64_t now = clock.mono_us();
    if (blocks.size() >= kBlocksMax && !blocks.contains(block)) make_room(now);
    Failures& failures = blocks[block];
    if (failures.count == 0 || now - failures.first_us > lockout_us()) {
      failures = {0, now, failures.locked_until_us};
    }
    if (++failures.count >= limits.failures_max) {
      failures = {0, now, now + lockout_us()};
    }
  }
  // Called with the lock held. Entries whose window and lock-out are over go first.
  void make_room(int64_t now) KVCS_REQUIRES(mutex) {
    std::erase_if(blocks, [&](const auto& entry) {
      return entry.second.locked_until_us <= now && now - entry.second.first_us > lockout_us();
    });
    if (blocks.size() >= kBlocksMax) blocks.erase(blocks.begin());
  }
};

AdminGuard::AdminGuard(const Authenticator& auth, const Clock& clock,
                       const AdminGuardLimits& limits, TakeRate take_rate, Failed failed)
    : impl_(new Impl{auth, clock, limits, std::move(take_rate), std::move(failed), {}, {}}) {}
AdminGuard::~AdminGuard() = default;

http::Guard AdminGuard::guard(const http::Need& need) const {
  return [impl = impl_.get(),
          check = admin(impl_->auth, need)](const http::Request& request) -> Result<Principal> {
    Result<Principal> principal = check(request);
    if (principal.ok()) {
      const int64_t wait_s =
          impl->take_rate("key:" + principal->key_id, impl->limits.requests_per_minute);
      if (wait_s > 0) return too_often("with this key", wait_s);
      return principal;
    }
    const std::string block = address_block(request.remote_ip);
    const int64_t wait_s = impl->take_rate("address:" + block, impl->limits.requests_per_minute);
    if (wait_s > 0) return too_often("without a right key from this address", wait_s);
    // Only a key that was sent and is unknown counts: a browser without a key, a role that does
    // not reach, a store that is down are no guesses.
    const bool is_guess = principal.code() == Code::kUnauthenticated && has_bearer(request);
    if (!is_guess) return principal;
    if (impl->told) impl->told(request);
    if (const int64_t locked_s = impl->locked_for_s(block); locked_s > 0) {
      return rate_limited("Too many wrong admin keys from this address; it may not try more now.",
                          static_cast<int>(locked_s))
          .with_reason("locked_out");
    }
    impl->failed(block);
    return principal;
  };
}

}  // namespace kvcs

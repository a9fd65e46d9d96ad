// Resolves the URLs of a provider's record for one account, in the way in which a call does, and
// walks the accounts whose secrets are to be sealed for them.
#include "gateway/catalogue/secret_binding.h"

#include <algorithm>
#include <string>

#include "gateway/outbound/url_guard.h"

namespace kvcs::gateway {
namespace {

// A refresh may write the account in between; one that goes on longer is refreshed by something
// else than this daemon.
constexpr int kAttemptsMax = 20;

// The host alone: holes of the path do not move a secret.
std::string base_origin(std::string_view base_url, const Meta& account, const Meta& tenant) {
  const size_t host = base_url.find("://");
  if (host == base_url.npos) return {};
  const size_t end = std::min(base_url.find('/', host + 3), base_url.size());
  const Result<BaseUrl> base = fill_base_url(base_url.substr(0, end), {account, tenant});
  return base.ok() ? base->origin : std::string();
}

}  // namespace

AccountOrigins account_origins(const Provider& provider, const Meta& account, const Meta& tenant) {
  const std::string base = base_origin(provider.base_url, account, tenant);
  return {origins_of({base, provider.oauth.revoke_url}),
          origins_of({provider.oauth.token_url, provider.oauth.revoke_url})};
}

AccountOriginSource make_account_origin_source(const ProviderDirectory& providers,
                                               const Tenants& tenants) {
  return [&providers, &tenants](const AccountId& id, const Meta& meta) -> Result<AccountOrigins> {
    const auto provider = KVCS_TRY(providers.find(id.provider));
    const Result<Tenants::Pointer> tenant = tenants.find(id.tenant);
    if (!tenant.ok() && tenant.code() != Code::kNotFound) return tenant.status();
    if (!tenant.ok()) return account_origins(*provider, meta, {});
    const auto own = (*tenant)->provider_meta.find(id.provider);
    return account_origins(*provider, meta,
                           own == (*tenant)->provider_meta.end() ? Meta{} : own->second);
  };
}

Result<int64_t> rebind_accounts(TokenStore& tokens, const AccountOriginSource& origins,
                                std::string_view provider, bool only_unbound,
                                const AuditContext& who) {
  int64_t written = 0;
  const auto rebind = [&](const AccountView& view) -> Status {
    if (!provider.empty() && view.id.provider != provider) return ok();
    const Result<AccountOrigins> wanted = origins(view.id, view.meta);
    if (wanted.code() == Code::kNotFound) return ok();
    if (!wanted.ok()) return wanted.status();
    for (int attempt = 1;; ++attempt) {
      const Result<bool> done = tokens.rebind(view.id, *wanted, only_unbound, who);
      if (done.code() == Code::kConflict && attempt < kAttemptsMax) continue;
      const bool unreadable = done.code() == Code::kInternal || done.code() == Code::kNotFound;
      if (!done.ok() && !unreadable) return done.status();
      if (done.ok() && *done) ++written;
      return ok();
    }
  };
  KVCS_TRY(tokens.for_each_view("", "", rebind));
  return written;
}

}  // namespace kvcs::gateway

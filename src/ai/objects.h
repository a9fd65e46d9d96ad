// Whose the things are that live at a provider: responses and their items, files, vector stores,
// conversations, containers.
// Under a key that several organizations share, the provider gives each to whoever names its id. So
// what an organization made through this daemon is noted, and so is what an admin assigns to it;
// every other id is unknown here. Organizations with a key of their own are not looked at. A record
// `ai_object:{org_id}:{provider}:{id}` is JSON: {"since", "assigned"}.
//
// Owned by App; thread-safe.
#pragma once
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "http/route_rows.h"
#include "kv/audited_kv.h"
#include "kv/kv.h"

namespace kvcs::ai {

inline constexpr int64_t kMadeKeptS = int64_t{30} * 86'400;  // As long as OpenAI keeps them.
inline constexpr size_t kObjectIdMaxBytes = 200;

class AiObjects final {
 public:
  // NotFound when there is no such organization.
  using OrganizationCheck = std::function<Status(std::string_view organization_id)>;
  AiObjects(KvStore& kv, AuditedKv& audited, const Clock& clock, OrganizationCheck organizations)
      : kv_(kv), audited_(audited), clock_(clock), organizations_(std::move(organizations)) {}

  // NotFound for the first id that is not the organization's; the same for one of another
  // organization and one that nobody has.
  Status check(std::string_view organization_id, std::string_view provider,
               const std::vector<std::string>& ids) const;
  // The organization made these by a request. Buffered, and a failure only logged: the answer is
  // there.
  void remember(std::string_view organization_id, std::string_view provider,
                std::span<const std::string> ids);

  void add_routes(std::vector<http::Row>& table, const http::AdminAccess& access);
  static std::span<const http::ApiType> types();
  Result<http::Response> list(http::Request& request);    // GET …/organizations/{}/ai-objects
  Result<http::Response> assign(http::Request& request);  // PUT …/{provider}/{id}
  Result<http::Response> remove(http::Request& request);  // DELETE

 private:
  Result<std::string> key_of(const http::Request& request) const;

  KvStore& kv_;
  AuditedKv& audited_;
  const Clock& clock_;
  const OrganizationCheck organizations_;
};

}  // namespace kvcs::ai

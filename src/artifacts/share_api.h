// Handlers of share links: /api/v1/artifacts/{id}/shares for those who may write the artifact, and
// /share/{token} for whoever has a link. A person's browser gets a page with a button, so that no
// program that only looks at links uses up a download; other programs get the bytes. A password
// comes by the page's form or by Authorization: Basic, under any name. Thread-safe; references
// outlive it.
#pragma once
#include <functional>
#include <string>

#include "artifacts/artifacts_api.h"
#include "artifacts/shares.h"
#include "http/route_rows.h"

namespace kvcs {

class ShareApi final {
 public:
  struct Services {
    ShareService& shares;
    ArtifactsApi& api;
    // Of the threads that make such hashes.
    // `whose`: the caller's address block, as the work of each has its share.
    std::function<Result<std::string>(const Secret& password, std::string_view whose)>
        hash_password;
    std::function<Result<bool>(const Secret& password, std::string_view hash,
                               std::string_view whose)>
        password_fits;
    // Counts one try of a password; the seconds until the next may be made, 0 = now.
    std::function<int64_t(const std::string& whose)> take_try;
    std::function<std::string()> public_url;
  };
  explicit ShareApi(Services services) : s_(std::move(services)) {}

  void add_routes(std::vector<http::Row>& table, const http::ArtifactAccess& access);
  static std::span<const http::ApiType> types();

  Result<http::Response> create(http::Request& request);
  Result<http::Response> list(http::Request& request);
  Result<http::Response> remove(http::Request& request);
  Result<http::Response> open(http::Request& request);    // GET /share/{token}
  Result<http::Response> submit(http::Request& request);  // POST /share/{token}, the page's form

 private:
  std::string url_of(std::string_view token) const;
  // Forbidden with reason org_suspended; as ShareService::find().
  Result<OpenShare> find(const http::Request& request) const;
  // Unauthenticated with reason share_password_required or share_password_wrong; RateLimited.
  Status check_password(const http::Request& request, const Share& share,
                        const std::optional<Secret>& password) const;
  Status check_tries(const std::string& whose, const char* words) const;
  Result<http::Response> send(const http::Request& request, const OpenShare& open);
  Result<http::Response> send_again(const http::Request& request, const OpenShare& open);
  // The failure for who asked: a page for a browser.
  Result<http::Response> refuse(const http::Request& request, const Status& why) const;

  const Services s_;
};

}  // namespace kvcs

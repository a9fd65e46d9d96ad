// The whole daemon with the tenant "kahuna", its token, and one account at the provider "local",
// which is `upstream` on loopback.
#pragma once
#include <functional>
#include <string>

#include "gateway/tokens/tokens.h"
#include "support/loopback_server.h"
#include "support/test_app.h"

namespace kvcs::test {

struct GatewayApp {
  explicit GatewayApp(LoopbackServer& upstream, const std::function<void(Config&)>& edit = {},
                      AppOptions options = {})
      : app(
            [&edit](Config& config) {
              config.gateway.limits.ip_requests_per_minute = 1000;
              if (edit) edit(config);
            },
            std::move(options)) {
    const std::string base = upstream.url("");
    CHECK(admin("PUT", "/admin/providers/local",
                R"({"base_url":")" + base.substr(0, base.find_last_not_of('/') + 1) +
                    R"(","auth_type":"bearer","allow_private_addresses":true,)"
                    R"("allowed_path_prefixes":["/v1/"]})")
              .status == 200);
    CHECK(admin("PUT", "/admin/tenants/kahuna", R"({"name":"Kahuna"})").status == 200);
    const auto made = admin("POST", "/admin/tenants/kahuna/tokens", R"({"name":"agent"})");
    REQUIRE(made.status == 201);
    token = json_text(made.body, "token");
    token_id = json_text(made.body, "token_id");
    gateway::AccessCredential credential;
    credential.access_token = Secret("upstream-secret-1");
    credential.origins = origins_of({base});
    REQUIRE(app.parts()
                .gateway.tokens
                ->put({"kahuna", "local", "default"}, credential, {}, {"test", "test", ""})
                .ok());
  }
  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const {
    return app.as(app.credential("admin_key"), method, path, body);
  }
  RawResponse call(const std::string& key, const std::string& path, const std::string& body) const {
    return app.as(key, "POST", path, body);
  }

  TestApp app;
  std::string token, token_id;
};

}  // namespace kvcs::test

#include "gateway/gateway_setup.h"

#include <nlohmann/json.hpp>

#include "gateway/catalogue/secret_binding.h"

namespace kvcs::test {

gateway::Catalogue GatewaySetup::catalogue() {
  auto loaded = gateway::load_catalogue("config/providers");
  REQUIRE(loaded.ok());
  return loaded.value();
}

void GatewaySetup::put_tenant(const std::string& name, const std::string& json) {
  REQUIRE(tenants.put(name, parse_json(json).value(), who).ok());
}
void GatewaySetup::put_provider(const std::string& name, const std::string& json) {
  const Status put = providers.put(name, parse_json(json).value(), who);
  INFO(put.to_string());
  REQUIRE(put.ok());
}
void GatewaySetup::put_token(const std::string& tenant, const std::string& provider,
                             const std::string& account, const std::string& token,
                             int64_t expires_at_s, gateway::Meta meta) {
  gateway::AccessCredential credential;
  credential.access_token = Secret(token);
  credential.expires_at_s = expires_at_s;
  credential.meta = std::move(meta);
  // As the records say just now, as for an account that is stored over HTTP.
  const auto origins = gateway::make_account_origin_source(providers, tenants)(
      {tenant, provider, account}, credential.meta);
  if (origins.ok()) credential.origins = origins->calls;
  REQUIRE(tokens.put({tenant, provider, account}, credential, {}, who).ok());
}
http::Response GatewaySetup::call(const std::string& provider, const std::string& body,
                                  const std::string& tenant) {
  gateway::Caller caller;
  caller.tenant = tenant;
  caller.key_id = "key-1";
  caller.remote_ip = "203.0.113.9";
  caller.request_id = "req-1";
  caller.started_us = clock.mono_us();
  return pipeline.call(caller, provider, body);
}
Json GatewaySetup::json(const http::Response& response) {
  INFO(response.body);
  auto parsed = parse_json(response.body);
  REQUIRE(parsed.ok());
  return parsed.value();
}
std::string GatewaySetup::code(const http::Response& response) {
  return json(response).value("code", std::string());
}

ScriptedAnswer json_answer(int status, std::string body,
                           std::vector<std::pair<std::string, std::string>> headers) {
  ScriptedAnswer answer;
  answer.status = status;
  answer.headers = {{"content-type", "application/json"}};
  for (auto& header : headers) answer.headers.push_back(std::move(header));
  answer.chunks = {std::move(body)};
  return answer;
}

}  // namespace kvcs::test

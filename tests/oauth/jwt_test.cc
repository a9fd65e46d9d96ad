// Goal: assertions are what RFC 7515, 7518 and 7523 say, and bad keys are refused when they are
// stored. Method: sign with keys made here, verify with OpenSSL by the public half.
#include "oauth/jwt.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <atomic>

#include "base/bytes.h"
#include "base/json.h"
#include "gateway/gateway_house.h"
#include "gateway/tokens/token_world.h"

using namespace kvcs;
using namespace kvcs::gateway;
using namespace kvcs::oauth;
using kvcs::test::TokenWorld;

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
Key rsa_key(unsigned bits = 2048) {
  return {EVP_RSA_gen(bits), &EVP_PKEY_free};
}
Key ec_key(const char* curve = "P-256") {
  return {EVP_EC_gen(curve), &EVP_PKEY_free};
}
std::string pem_of(const Key& key) {
  BIO* bio = BIO_new(BIO_s_mem());
  PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string pem(data, static_cast<size_t>(size));
  BIO_free(bio);
  return pem;
}
bool verifies(const Key& key, const std::string& text, std::string signature, bool is_ec) {
  if (is_ec) {
    REQUIRE(signature.size() == 64);
    const auto* raw = reinterpret_cast<const unsigned char*>(signature.data());
    ECDSA_SIG* pair = ECDSA_SIG_new();
    ECDSA_SIG_set0(pair, BN_bin2bn(raw, 32, nullptr), BN_bin2bn(raw + 32, 32, nullptr));
    unsigned char* der = nullptr;
    const int size = i2d_ECDSA_SIG(pair, &der);
    signature.assign(reinterpret_cast<char*>(der), static_cast<size_t>(size));
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
  }
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestVerifyInit(context, nullptr, EVP_sha256(), nullptr, key.get());
  const int good = EVP_DigestVerify(
      context, reinterpret_cast<const unsigned char*>(signature.data()), signature.size(),
      reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MD_CTX_free(context);
  return good == 1;
}
std::string account_json(const std::string& pem) {
  return dump_json(Json{{"type", "service_account"},
                        {"client_email", "robot@example.iam.gserviceaccount.com"},
                        {"private_key_id", "k1"},
                        {"private_key", pem},
                        {"token_uri", "https://oauth2.googleapis.com/token"}});
}

}  // namespace

TEST_CASE("jwt: assertions of RSA and P-256 keys verify with OpenSSL", "[unit][oauth]") {
  for (const bool is_ec : {false, true}) {
    const Key key = is_ec ? ec_key() : rsa_key();
    const auto account = parse_service_account(Secret(account_json(pem_of(key))));
    REQUIRE(account.ok());
    const auto token =
        make_assertion(account.value(), "https://aud.example.com/token", "a b", 1'700'000'000);
    REQUIRE(token.ok());
    const auto parts = split(token.value().reveal(), '.');
    REQUIRE(parts.size() == 3);
    const std::string text = std::string(parts[0]) + "." + std::string(parts[1]);
    std::string signature = from_base64(parts[2]).value();
    CHECK(verifies(key, text, signature, is_ec));
    CHECK_FALSE(verifies(key, text + "x", signature, is_ec));
    const Json header = parse_json(from_base64(parts[0]).value()).value();
    CHECK(header["alg"] == (is_ec ? "ES256" : "RS256"));
    CHECK(header["kid"] == "k1");
    const Json claims = parse_json(from_base64(parts[1]).value()).value();
    CHECK(claims["iss"] == "robot@example.iam.gserviceaccount.com");
    CHECK(claims["aud"] == "https://aud.example.com/token");
    CHECK(claims["scope"] == "a b");
    CHECK(claims["exp"] == 1'700'003'600);
  }
}

TEST_CASE("jwt: keys that cannot sign are refused, and their text is not repeated",
          "[unit][oauth]") {
  const std::string good = account_json(pem_of(rsa_key()));
  const std::string rows[] = {"not json",
                              "[]",
                              R"({"client_email":"a@b"})",
                              R"({"client_email":"a@b","private_key":"hidden-key-text"})",
                              account_json(pem_of(rsa_key(1024))),
                              account_json(pem_of(ec_key("P-384"))),
                              R"({"private_key":"x"})"};
  for (const std::string& row : rows) {
    const Status status = parse_service_account(Secret(row)).status();
    CHECK(status.code() == Code::kInvalid);
    CHECK(status.to_string().find("hidden-key-text") == std::string::npos);
  }
  CHECK(parse_service_account(Secret(good)).ok());
}

TEST_CASE("jwt: a refused assertion is signed once more by the server's clock",
          "[unit][oauth][refresher]") {
  TokenWorld world;
  world.client.token_url.clear();
  AccessCredential credential;
  credential.type = AuthType::kServiceAccountJwt;
  Grant refresh;
  refresh.service_account_json = Secret(account_json(pem_of(ec_key())));
  KvBatch alarm;
  add_refresh_alarm(alarm, TokenWorld::kId, world.clock.unix_s(), true);
  REQUIRE(world.tokens.put(TokenWorld::kId, credential, refresh, TokenWorld::kWho, alarm).ok());
  test::ScriptedAnswer skewed;
  skewed.status = 400;
  skewed.headers = {{"date", "Thu, 01 Jan 2026 01:00:00 GMT"}};
  skewed.chunks = {R"({"error":"invalid_grant"})"};
  world.upstream.push(skewed);
  world.upstream.push_json(200, R"({"access_token":"access-secret-1","expires_in":3600})");
  CHECK(world.run() == 1);
  CHECK(world.access() == "access-secret-1");
  const auto seen = world.upstream.last_seen();
  CHECK(seen.url == "https://oauth2.googleapis.com/token");
  const size_t begin = seen.body.find("assertion=") + 10;
  const auto parts = split(std::string_view(seen.body).substr(begin), '.');
  const Json claims = parse_json(from_base64(parts[1]).value()).value();
  CHECK(claims["iat"] == 1'767'225'600 + 3600);
}

TEST_CASE(
    "jwt: an account of the catalogue's provider signs for its scope, and agents call with "
    "the token",
    "[e2e][oauth]") {
  const Key key = rsa_key();
  std::atomic<int> wrong = 0, exchanges = 0;
  std::string token_url;  // Before the first request.
  test::LoopbackServer upstream([&](test::LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      std::string body = R"({"rows":[]})";
      if (request->line().starts_with("POST /token ")) {
        ++exchanges;
        body = R"({"access_token":"service-token-1","expires_in":3600})";
        const std::string mark = "&assertion=";
        const size_t at = request->body.find(mark);
        const std::string assertion = request->body.substr(at + mark.size());
        const auto parts = split(assertion, '.');
        const Json claims = parse_json(from_base64(parts.at(1)).value()).value();
        const std::string text = std::string(parts[0]) + "." + std::string(parts[1]);
        wrong += !verifies(key, text, from_base64(parts.at(2)).value(), false);
        wrong += claims["aud"] != token_url;
        wrong += claims["scope"] != "https://www.googleapis.com/auth/analytics.readonly";
        wrong += !request->body.starts_with(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&");
      } else if (request->head.find("Bearer service-token-1") == std::string::npos) {
        ++wrong;
      }
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  });
  const std::string base = "http://127.0.0.1:" + std::to_string(upstream.port());
  token_url = base + "/token";
  test::GatewayApp gateway(upstream);
  // The catalogue's record, but for where it is.
  CHECK(gateway
            .admin("PUT", "/admin/providers/google_analytics_service",
                   R"({"base_url":")" + base +
                       R"(","allow_private_addresses":true,)"
                       R"("auth":{"token_url":")" +
                       token_url + "\"}}")
            .status == 200);
  const std::string account =
      "/admin/tenants/kahuna/providers/google_analytics_service/accounts/main";
  CHECK(gateway
            .admin(
                "PUT", account,
                dump_json(Json{{"service_account", parse_json(account_json(pem_of(key))).value()}}))
            .status == 201);
  // The daemon's own thread may have the account at that moment.
  while (gateway.admin("POST", account + "/refresh").status == 409) {
  }
  const test::RawResponse answer =
      gateway.call(gateway.token, "/api/v1/kahuna/google_analytics_service",
                   R"({"path":"/v1beta/properties/7:runReport","body":{}})");
  CHECK(answer.body == R"({"success":true,"status":200,"data":{"rows":[]},"cache":"MISS"})");
  CHECK(exchanges > 0);
  CHECK(wrong == 0);
}

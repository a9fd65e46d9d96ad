// Goal: each auth kind puts the credential where its specification says and nowhere else. SigV4 is
// checked against the signatures that AWS publishes with its test suite.
#include "gateway/outbound_auth.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "gateway/sigv4.h"

using namespace kvcs;
using namespace kvcs::gateway;

namespace {

const Secret kKeyId("AKIDEXAMPLE");
const Secret kSecretKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
constexpr const char* kTime = "20150830T123600Z";

OutboundRequest request() {
  OutboundRequest made;
  made.method = "GET";
  made.origin = "https://api.example.com";
  made.path = "/v1/things";
  return made;
}
std::string header(const OutboundRequest& out, std::string_view name) {
  for (const auto& [key, value] : out.headers) {
    if (key == name) return value;
  }
  return "";
}

}  // namespace

TEST_CASE("sigv4: the published vectors come out", "[unit][gateway]") {
  struct Row {
    const char* name;
    const char* method;
    const char* path;
    std::vector<std::pair<std::string, std::string>> query, extra_headers;
    const char* body;
    const char* signature;
  };
  const Row rows[] = {
      {"get-vanilla",
       "GET",
       "/",
       {},
       {},
       "",
       "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
      {"get-vanilla-query-order-key-case",
       "GET",
       "/",
       {{"Param2", "value2"}, {"Param1", "value1"}},
       {},
       "",
       "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
      {"get-vanilla-query-unreserved",
       "GET",
       "/",
       {{"-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
         "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"}},
       {},
       "",
       "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
      {"get-vanilla-utf8-query",
       "GET",
       "/",
       {{"\u1234", "bar"}},
       {},
       "",
       "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04"},
      {"get-unreserved",
       "GET",
       "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
       {},
       {},
       "",
       "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f"},
      {"get-utf8",
       "GET",
       "/\u1234",
       {},
       {},
       "",
       "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
      {"get-space",
       "GET",
       "/example space/",
       {},
       {},
       "",
       "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741"},
      {"get-header-value-trim",
       "GET",
       "/",
       {},
       {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
       "",
       "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
      {"post-vanilla",
       "POST",
       "/",
       {},
       {},
       "",
       "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
      {"post-vanilla-query",
       "POST",
       "/",
       {{"Param1", "value1"}},
       {},
       "",
       "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
      {"post-x-www-form-urlencoded",
       "POST",
       "/",
       {},
       {{"Content-Type", "application/x-www-form-urlencoded"}},
       "Param1=value1",
       "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    SigV4Request to_sign{row.method, row.path, row.query, row.extra_headers, row.body};
    to_sign.headers.emplace_back("Host", "example.amazonaws.com");
    to_sign.headers.emplace_back("X-Amz-Date", kTime);
    const std::string made =
        sigv4_authorization(to_sign, {"us-east-1", "service", kTime}, kKeyId, kSecretKey);
    CHECK(made.find(std::string("Signature=") + row.signature) != std::string::npos);
  }
}

TEST_CASE("sigv4: the header names what was signed", "[unit][gateway]") {
  const std::string made = sigv4_authorization(
      {"GET", "/", {}, {{"Host", "example.amazonaws.com"}, {"X-Amz-Date", kTime}}, ""},
      {"us-east-1", "service", kTime}, kKeyId, kSecretKey);
  CHECK(made ==
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        "SignedHeaders=host;x-amz-date, "
        "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31");
  CHECK(sigv4_time(parse_iso8601_ms("2015-08-30T12:36:00.999Z").value()) == kTime);
}

TEST_CASE("outbound auth: tokens and keys go where the provider wants them", "[unit][gateway]") {
  AccessCredential credential;
  credential.access_token = Secret("tok-123456");
  struct Row {
    AuthRule rule;
    const char* name;
    const char* value;
  };
  const Row rows[] = {
      {{AuthType::kBearer, "", "", "", ""}, "authorization", "Bearer tok-123456"},
      {{AuthType::kBearer, "", "Bot ", "", ""}, "authorization", "Bot tok-123456"},
      {{AuthType::kBearer, "x-token", "", "", ""}, "x-token", "tok-123456"},
      {{AuthType::kOauth2RefreshToken, "", "", "", ""}, "authorization", "Bearer tok-123456"},
      {{AuthType::kOauth2ClientCredentials, "", "", "", ""}, "authorization", "Bearer tok-123456"},
      {{AuthType::kServiceAccountJwt, "", "", "", ""}, "authorization", "Bearer tok-123456"},
      {{AuthType::kApiKeyHeader, "x-api-key", "", "", ""}, "x-api-key", "tok-123456"},
      {{AuthType::kApiKeyHeader, "x-api-key", "Key ", "", ""}, "x-api-key", "Key tok-123456"},
  };
  for (const Row& row : rows) {
    OutboundRequest out = request();
    REQUIRE(apply_auth(row.rule, credential, 0, out).ok());
    CHECK(header(out, row.name) == row.value);
    CHECK(out.headers.size() == 1);
    CHECK(out.query.empty());
  }
}

TEST_CASE("outbound auth: a query key replaces one that the caller sent", "[unit][gateway]") {
  AccessCredential credential;
  credential.access_token = Secret("k e&y");
  OutboundRequest out = request();
  out.query = {{"key", "evil"}, {"q", "a b"}};
  REQUIRE(apply_auth({AuthType::kApiKeyQuery, "", "", "key", ""}, credential, 0, out).ok());
  CHECK(out.url() == "https://api.example.com/v1/things?q=a%20b&key=k%20e%26y");
}

TEST_CASE("outbound auth: basic is base64 of UTF-8", "[unit][gateway]") {
  AccessCredential credential;
  credential.username = Secret("test");
  credential.password = Secret("123\u00a3");
  OutboundRequest out = request();
  REQUIRE(apply_auth({AuthType::kBasic, "", "", "", ""}, credential, 0, out).ok());
  CHECK(header(out, "authorization") == "Basic dGVzdDoxMjPCow==");  // RFC 7617 §2.1
}

TEST_CASE("outbound auth: AWS signs host, date and session token", "[unit][gateway]") {
  AccessCredential credential;
  credential.access_key_id = kKeyId;
  credential.secret_access_key = kSecretKey;
  credential.session_token = Secret("session-token-1");
  credential.meta["region"] = "us-east-1";
  OutboundRequest out = request();
  const AuthRule rule{AuthType::kAwsSigV4, "", "", "", "ses"};
  REQUIRE(apply_auth(rule, credential, 1'440'938'160'000, out).ok());
  CHECK(header(out, "x-amz-date") == kTime);
  CHECK(header(out, "x-amz-security-token") == "session-token-1");
  CHECK(header(out, "authorization")
            .find("20150830/us-east-1/ses/aws4_request, "
                  "SignedHeaders=host;x-amz-date;x-amz-security-token, ") != std::string::npos);
  credential.meta.clear();
  CHECK(apply_auth(rule, credential, 0, out).reason() == "CONFIG_MISSING");
}

TEST_CASE("outbound auth: a credential that lacks what is needed is TOKEN_MISSING",
          "[unit][gateway]") {
  for (const AuthType type : {AuthType::kBearer, AuthType::kApiKeyHeader, AuthType::kApiKeyQuery,
                              AuthType::kBasic, AuthType::kAwsSigV4}) {
    OutboundRequest out = request();
    CHECK(apply_auth({type, "h", "", "q", "s"}, {}, 0, out).reason() == "TOKEN_MISSING");
  }
  OutboundRequest out = request();
  CHECK(apply_auth({AuthType::kNone, "", "", "", ""}, {}, 0, out).ok());
  CHECK(out.headers.empty());
  AccessCredential split;
  split.access_token = Secret("a\r\nx-evil: 1");
  CHECK(apply_auth({AuthType::kBearer, "", "", "", ""}, split, 0, out).reason() == "TOKEN_MISSING");
}

TEST_CASE("outbound auth: header templates take meta of the account, then of the tenant",
          "[unit][gateway]") {
  const Meta account{{"dev", "D1"}, {"bad", "a\r\nb"}}, tenant{{"login", "L1"}, {"dev", "D2"}};
  CHECK(**fill_header_template("{meta.dev}", account, tenant) == "D1");
  CHECK(**fill_header_template("a-{meta.login}-b", account, tenant) == "a-L1-b");
  CHECK(**fill_header_template("plain", account, tenant) == "plain");
  const auto absent = fill_header_template("{meta.none?}", account, tenant);
  REQUIRE(absent.ok());
  CHECK_FALSE(absent.value().has_value());
  CHECK(fill_header_template("{meta.none}", account, tenant).status().reason() == "CONFIG_MISSING");
  for (const char* bad : {"{meta.bad}", "{x}", "{meta.}", "{meta.a", "{secret.token}"}) {
    CHECK(fill_header_template(bad, account, tenant).code() == Code::kInvalid);
  }
}

TEST_CASE("outbound auth: redaction takes every form of a secret out", "[unit][gateway]") {
  AccessCredential credential;
  credential.access_token = Secret("tok/123456");
  credential.username = Secret("user-name");
  credential.password = Secret("pass-word");
  const std::string shown =
      redact("Bearer tok/123456 tok%2F123456 dG9rLzEyMzQ1Ng== dXNlci1uYW1lOnBhc3Mtd29yZA== rest",
             credential);
  CHECK(shown == "Bearer *** *** *** *** rest");
}

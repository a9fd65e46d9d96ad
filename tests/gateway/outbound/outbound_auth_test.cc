// Goal: each auth kind puts the credential where its specification says and nowhere else. SigV4 is
// checked against the signatures that AWS publishes with its test suite.
#include "gateway/outbound/outbound_auth.h"

#include <catch2/catch.hpp>

#include "base/clock.h"
#include "gateway/outbound/sigv4.h"

using namespace kvcs;
using namespace kvcs::gateway;

namespace {

const Secret kKeyId("AKIDEXAMPLE");
const Secret kSecretKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY");
constexpr const char* kTime = "20150830T123600Z";

AccessCredential bound() {
  AccessCredential credential;
  credential.origins = {"https://api.example.com"};
  return credential;
}
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

namespace {

constexpr const char* kFormHash =
    "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";

struct AwsVector {
  const char* name;
  const char* method;
  const char* path;
  std::vector<std::pair<std::string, std::string>> query, extra_headers;
  const char* body;
  const char* signature;
};

// The header cases of AWS's own suite, github.com/awslabs/aws-c-auth, tests/aws-signing-test-suite/
// v4/<name>/header-signed-request.txt; the form without content-length is of the suite before it,
// which AWS published as aws-sig-v4-test-suite.zip.
const std::vector<AwsVector> kAwsVectors = {
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
    {"post-x-www-form-urlencoded, with the body's hash",
     "POST",
     "/",
     {},
     {{"Content-Type", "application/x-www-form-urlencoded"},
      {"Content-Length", "13"},
      {"x-amz-content-sha256", kFormHash}},
     "Param1=value1",
     "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b"},
    {"post-x-www-form-urlencoded-parameters",
     "POST",
     "/",
     {},
     {{"Content-Type", "application/x-www-form-urlencoded; charset=utf-8"},
      {"Content-Length", "13"},
      {"x-amz-content-sha256", kFormHash}},
     "Param1=value1",
     "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     {{"Param1", "value1"}},
     {},
     "",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"get-vanilla-query-order-encoded",
     "GET",
     "/",
     {{"Param-3", "Value3"}, {"Param", "Value2"}, {"\u1234", "Value1"}},
     {},
     "",
     "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac"},
    {"get-header-key-duplicate",
     "GET",
     "/",
     {},
     {{"My-Header1", "value2"}, {"My-Header1", "value2"}, {"My-Header1", "value1"}},
     "",
     "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea"},
    {"get-header-value-order",
     "GET",
     "/",
     {},
     {{"My-Header1", "value4"},
      {"My-Header1", "value1"},
      {"My-Header1", "value3"},
      {"My-Header1", "value2"}},
     "",
     "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01"},
    {"get-vanilla-with-session-token",
     "GET",
     "/",
     {},
     {{"X-Amz-Security-Token", "6e86291e8372ff2a2260956d9b8aae1d763fbf315fa00fa31553b73ebf194267"}},
     "",
     "07ec1639c89043aa0e3e2de82b96708f198cceab042d4a97044c66dd9f74e7f8"},
    {"post-sts-header-before",
     "POST",
     "/",
     {},
     {{"X-Amz-Security-Token",
       "AQoDYXdzEPT//////////"
       "wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpS"
       "PfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/"
       "kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDY"
       "wT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+"
       "scqK"
       "mlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA=="}},
     "",
     "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"},
};

}  // namespace

TEST_CASE("sigv4: the published vectors come out", "[unit][gateway]") {
  for (const AwsVector& row : kAwsVectors) {
    INFO(row.name);
    SigV4Request to_sign{row.method, row.path, row.query, row.extra_headers, row.body};
    to_sign.headers.emplace_back("Host", "example.amazonaws.com");
    to_sign.headers.emplace_back("X-Amz-Date", kTime);
    const std::string made =
        sigv4_authorization(to_sign, {"us-east-1", "service", kTime}, kKeyId, kSecretKey);
    CHECK(made.find(std::string("Signature=") + row.signature) != std::string::npos);
  }
}

// IAM User Guide, "Create a signed request", and S3 API Reference, "Authenticating requests: using
// the Authorization header".
TEST_CASE("sigv4: the examples of AWS's documentation come out", "[unit][gateway]") {
  const std::string users =
      sigv4_authorization({"GET",
                           "/",
                           {{"Action", "ListUsers"}, {"Version", "2010-05-08"}},
                           {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
                            {"host", "iam.amazonaws.com"},
                            {"x-amz-date", kTime}},
                           ""},
                          {"us-east-1", "iam", kTime}, kKeyId, kSecretKey);
  CHECK(users ==
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, "
        "SignedHeaders=content-type;host;x-amz-date, "
        "Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7");
  const Secret key_id("AKIAIOSFODNN7EXAMPLE"), key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY");
  const std::string object =
      sigv4_authorization({"GET",
                           "/test.txt",
                           {},
                           {{"host", "examplebucket.s3.amazonaws.com"},
                            {"range", "bytes=0-9"},
                            {"x-amz-content-sha256",
                             "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
                            {"x-amz-date", "20130524T000000Z"}},
                           ""},
                          {"us-east-1", "s3", "20130524T000000Z"}, key_id, key);
  CHECK(object.ends_with(
      "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"));
  // The object of the PUT example is test$file.text, encoded once.
  const std::string put =
      sigv4_authorization({"PUT",
                           "/test%24file.text",
                           {},
                           {{"date", "Fri, 24 May 2013 00:00:00 GMT"},
                            {"host", "examplebucket.s3.amazonaws.com"},
                            {"x-amz-content-sha256",
                             "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"},
                            {"x-amz-date", "20130524T000000Z"},
                            {"x-amz-storage-class", "REDUCED_REDUNDANCY"}},
                           "Welcome to Amazon S3."},
                          {"us-east-1", "s3", "20130524T000000Z"}, key_id, key);
  CHECK(
      put.ends_with("Signature=98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"));
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
  AccessCredential credential = bound();
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
  AccessCredential credential = bound();
  credential.access_token = Secret("k e&y");
  OutboundRequest out = request();
  out.query = {{"key", "evil"}, {"q", "a b"}};
  REQUIRE(apply_auth({AuthType::kApiKeyQuery, "", "", "key", ""}, credential, 0, out).ok());
  CHECK(out.url() == "https://api.example.com/v1/things?q=a%20b&key=k%20e%26y");
}

TEST_CASE("outbound auth: basic is base64 of UTF-8", "[unit][gateway]") {
  AccessCredential credential = bound();
  credential.username = Secret("test");
  credential.password = Secret("123\u00a3");
  OutboundRequest out = request();
  REQUIRE(apply_auth({AuthType::kBasic, "", "", "", ""}, credential, 0, out).ok());
  CHECK(header(out, "authorization") == "Basic dGVzdDoxMjPCow==");  // RFC 7617 §2.1
}

TEST_CASE("outbound auth: AWS signs host, date and session token", "[unit][gateway]") {
  AccessCredential credential = bound();
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
  CHECK(header(out, "x-amz-content-sha256").empty());
  // S3 wants the body's hash as a header, too.
  const AuthRule s3{AuthType::kAwsSigV4, "", "", "", "s3"};
  REQUIRE(apply_auth(s3, credential, 1'440'938'160'000, out).ok());
  CHECK(header(out, "x-amz-content-sha256") ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(header(out, "authorization").find(";x-amz-content-sha256;") != std::string::npos);
  credential.meta.clear();
  CHECK(apply_auth(rule, credential, 0, out).reason() == "CONFIG_MISSING");
}

TEST_CASE("outbound auth: a credential that lacks what is needed is TOKEN_MISSING",
          "[unit][gateway]") {
  for (const AuthType type : {AuthType::kBearer, AuthType::kApiKeyHeader, AuthType::kApiKeyQuery,
                              AuthType::kBasic, AuthType::kAwsSigV4}) {
    OutboundRequest out = request();
    CHECK(apply_auth({type, "h", "", "q", "s"}, bound(), 0, out).reason() == "TOKEN_MISSING");
  }
  OutboundRequest out = request();
  CHECK(apply_auth({AuthType::kNone, "", "", "", ""}, {}, 0, out).ok());
  CHECK(out.headers.empty());
  AccessCredential split = bound();
  split.access_token = Secret("a\r\nx-evil: 1");
  CHECK(apply_auth({AuthType::kBearer, "", "", "", ""}, split, 0, out).reason() == "TOKEN_MISSING");
}

TEST_CASE("outbound auth: header templates take meta of the account, then of the tenant",
          "[unit][gateway]") {
  const Meta account{{"dev", "D1"}, {"bad", "a\r\nb"}}, tenant{{"login", "L1"}, {"dev", "D2"}};
  CHECK((*fill_header_template("{meta.dev}", {account, tenant}))->text == "D1");
  CHECK((*fill_header_template("a-{meta.login}-b", {account, tenant}))->text == "a-L1-b");
  CHECK((*fill_header_template("plain", {account, tenant}))->text == "plain");
  const auto absent = fill_header_template("{meta.none?}", {account, tenant});
  REQUIRE(absent.ok());
  CHECK_FALSE(absent.value().has_value());
  CHECK(fill_header_template("{meta.none}", {account, tenant}).status().reason() ==
        "CONFIG_MISSING");
  for (const char* bad : {"{meta.bad}", "{x}", "{meta.}", "{meta.a", "{secret.token}"}) {
    CHECK(fill_header_template(bad, {account, tenant}).code() == Code::kInvalid);
  }
}

TEST_CASE("outbound auth: redaction takes every form of a secret out", "[unit][gateway]") {
  AccessCredential credential = bound();
  credential.access_token = Secret("tok/123456");
  credential.username = Secret("user-name");
  credential.password = Secret("pass-word");
  const std::string shown =
      redact("Bearer tok/123456 tok%2F123456 dG9rLzEyMzQ1Ng== dXNlci1uYW1lOnBhc3Mtd29yZA== rest",
             credential);
  CHECK(shown == "Bearer *** *** *** *** rest");
}

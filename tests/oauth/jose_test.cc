// Goal: a token counts only with the signature of a key that its issuer publishes for that
// algorithm, in the one spelling that a token has, and every other is refused with what was wrong.
// Method: the examples of RFC 7515 (appendix A.2, A.3) and RFC 8037 (appendix A.4), then own keys
// and one row for each way to be wrong.
#include "oauth/jose.h"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <openssl/err.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "oauth/jwt.h"
#include "oauth/token_maker.h"

using namespace kvcs;
using namespace kvcs::oauth;
using kvcs::test::jwk_set_text;
using kvcs::test::TokenMaker;

namespace {

const std::string kRfc7515Payload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlf"
    "Q";
const std::string kA2Key =
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4)"
    R"(qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OM)"
    R"(g0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3)"
    R"(qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4F)"
    R"(RWyuXpoQ","e":"AQAB"})";
const std::string kA2Signature =
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5ju"
    "jGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07"
    "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipU"
    "TI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
const std::string kA3Key =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",)"
    R"("y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
const std::string kA3Signature =
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const std::string kA4Key =
    R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";
const std::string kA4Signature =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
const std::string kAllKeys = "{\"keys\":[" + kA2Key + "," + kA3Key + "," + kA4Key + "]}";

JwkSet set_of(const std::vector<Json>& keys) {
  return JwkSet::parse(jwk_set_text(keys)).value();
}

std::string reason_of(const std::string& token, const JwkSet& keys) {
  const Status status = verify_jws(token, keys).status();
  if (!status.ok()) CHECK(status.code() == Code::kUnauthenticated);
  return status.reason();
}

}  // namespace

TEST_CASE("jose: the examples of RFC 7515 and RFC 8037 verify, each by its key alone",
          "[unit][oauth]") {
  const JwkSet keys = JwkSet::parse(kAllKeys).value();
  struct Example {
    std::string token;
    JwsAlgorithm algorithm;
    std::string payload;
  };
  const std::string claims = from_base64(kRfc7515Payload).value();
  const Example examples[] = {
      {"eyJhbGciOiJSUzI1NiJ9." + kRfc7515Payload + "." + kA2Signature, JwsAlgorithm::kRs256,
       claims},
      {"eyJhbGciOiJFUzI1NiJ9." + kRfc7515Payload + "." + kA3Signature, JwsAlgorithm::kEs256,
       claims},
      {"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc." + kA4Signature,
       JwsAlgorithm::kEdDsa, "Example of Ed25519 signing"},
  };
  for (const Example& example : examples) {
    const Result<VerifiedJws> verified = verify_jws(example.token, keys);
    INFO(verified.status().to_string());
    REQUIRE(verified.ok());
    CHECK(verified.value().algorithm == example.algorithm);
    CHECK(verified.value().payload == example.payload);
    // One bit of the payload, and one of the signature.
    std::string other = example.token;
    other[other.find('.') + 1] ^= 1;
    CHECK(reason_of(other, keys) == kTokenKeyUnknown);
    other = example.token;
    other[other.rfind('.') + 9] ^= 1;
    CHECK(reason_of(other, keys) == kTokenKeyUnknown);
  }
  CHECK(ERR_peek_error() == 0);  // Nothing is left for the next user of TLS in this thread.
}

TEST_CASE("jose: a token of any of the three algorithms is found by its kid, compared exactly",
          "[unit][oauth]") {
  for (const auto algorithm : {JwsAlgorithm::kRs256, JwsAlgorithm::kEs256, JwsAlgorithm::kEdDsa}) {
    const TokenMaker first(algorithm), second(algorithm, true);
    const JwkSet keys = set_of({first.jwk("../a"), second.jwk("b")});
    const Json claims = {{"sub", "ada"}};
    CHECK(verify_jws(first.token("../a", claims), keys).value().payload == R"({"sub":"ada"})");
    CHECK(verify_jws(second.token("b", claims), keys).ok());
    CHECK(reason_of(first.token("b", claims), keys) == kTokenSignature);
    CHECK(reason_of(second.token("B", claims), keys) == kTokenKeyUnknown);
    CHECK(reason_of(second.token("b ", claims), keys) == kTokenKeyUnknown);
    // Without a kid only one key may fit.
    CHECK(reason_of(second.token("", claims), keys) == kTokenKeyRefused);
    CHECK(verify_jws(second.token("", claims), set_of({second.jwk("b")})).ok());
    CHECK(reason_of(second.token("", claims), set_of({first.jwk("b")})) == kTokenKeyUnknown);
    // A key without a name is not the one that a token names.
    CHECK(reason_of(second.token("b", claims), set_of({second.jwk("")})) == kTokenKeyUnknown);
    // Nor may two have the name.
    const JwkSet twice = set_of({first.jwk("b"), second.jwk("b")});
    CHECK(reason_of(second.token("b", claims), twice) == kTokenKeyRefused);
    CHECK(reason_of(second.token("b", claims), JwkSet()) == kTokenKeyUnknown);
  }
}

TEST_CASE("jose: EdDSA and Ed25519 are one algorithm, of a token and of a key", "[unit][oauth]") {
  const TokenMaker maker(JwsAlgorithm::kEdDsa);
  for (const char* of_key : {"EdDSA", "Ed25519"}) {
    Json jwk = maker.jwk("k");
    jwk["alg"] = of_key;
    for (const std::string of_token : {"EdDSA", "Ed25519"}) {
      INFO(of_key << ", " << of_token);
      const std::string token = maker.sign(R"({"alg":")" + of_token + R"(","kid":"k"})", "{}");
      CHECK(verify_jws(token, set_of({jwk})).ok());
    }
  }
  // The name of another algorithm, and of another curve, is none of them.
  Json jwk = maker.jwk("k");
  jwk["alg"] = "Ed448";
  CHECK(reason_of(maker.sign(R"({"alg":"Ed25519","kid":"k"})", "{}"), set_of({jwk})) ==
        kTokenKeyRefused);
  CHECK(reason_of(maker.sign(R"({"alg":"Ed448","kid":"k"})", "{}"), set_of({maker.jwk("k")})) ==
        kTokenAlgorithm);
}

TEST_CASE("jose: headers that ask for something else than a signature are refused",
          "[unit][oauth]") {
  const TokenMaker maker(JwsAlgorithm::kRs256), other(JwsAlgorithm::kEs256);
  const JwkSet keys = set_of({maker.jwk("k"), other.jwk("e")});
  const std::string own_key = dump_json(other.jwk("k"));
  struct Row {
    std::string header;
    std::string_view reason;
    std::string says;
  };
  const Row rows[] = {
      {R"({"alg":"none","kid":"k"})", kTokenAlgorithm, "\"none\""},
      {R"({"alg":"None","kid":"k"})", kTokenAlgorithm, "None"},
      {R"({"alg":"HS256","kid":"k"})", kTokenAlgorithm, "HS256"},
      {R"({"alg":"RS384","kid":"k"})", kTokenAlgorithm, "RS384"},
      {R"({"alg":"PS256","kid":"k"})", kTokenAlgorithm, "PS256"},
      {R"({"alg":"rs256","kid":"k"})", kTokenAlgorithm, "rs256"},
      {R"({"alg":["RS256"],"kid":"k"})", kTokenAlgorithm, "alg is \"\""},
      {R"({"kid":"k"})", kTokenAlgorithm, "alg is \"\""},
      {R"({"alg":"ES256","kid":"k"})", kTokenKeyRefused, "is for RS256"},
      {R"({"alg":"EdDSA","kid":"k"})", kTokenKeyRefused, "is for RS256"},
      {R"({"alg":"RS256","kid":"e"})", kTokenKeyRefused, "is for ES256"},
      {R"({"alg":"RS256","kid":"k","crit":["exp"],"exp":1})", kTokenMalformed, "crit"},
      {R"({"alg":"RS256","kid":"k","crit":[]})", kTokenMalformed, "crit"},
      {R"({"alg":"RS256","alg":"RS256","kid":"k"})", kTokenMalformed, "twice"},
      {R"({"alg":"RS256","kid":"k","kid":"e"})", kTokenMalformed, "twice"},
      {R"({"alg":"RS256","kid":7})", kTokenMalformed, "kid"},
      {R"({"alg":"RS256","kid":")" + std::string(kKeyIdMaxBytes + 1, 'k') + "\"}", kTokenMalformed,
       "kid"},
      {R"({"alg":"RS256","kid":"../../etc/passwd"})", kTokenKeyUnknown, "../../etc/passwd"},
      {R"({"alg":"RS256","kid":"\u001b[2J"})", kTokenKeyUnknown, "\\x1b[2J"},
      {R"(["RS256"])", kTokenMalformed, "no JSON object"},
      {R"({"alg":"RS256")", kTokenMalformed, "no JSON object"},
      // The key that a token brings along is not looked at.
      {R"({"alg":"ES256","kid":"x","jwk":)" + own_key + "}", kTokenKeyUnknown, "\"x\""},
      {R"({"alg":"RS256","kid":"x","jku":"https://evil.example/keys"})", kTokenKeyUnknown, "\"x\""},
  };
  for (const Row& row : rows) {
    const Status status = verify_jws(maker.sign(row.header, "{}"), keys).status();
    INFO(row.header << "\n" << status.to_string());
    CHECK(status.code() == Code::kUnauthenticated);
    CHECK(status.reason() == row.reason);
    CHECK(status.message().find(row.says) != std::string::npos);
  }
  const Result<VerifiedJws> typed =
      verify_jws(maker.sign(R"({"alg":"RS256","kid":"k","typ":"application/AT+JWT"})", "{}"), keys);
  CHECK(typed.value().type == "at+jwt");
}

TEST_CASE("jose: the public key is no secret for a MAC", "[unit][oauth]") {
  const TokenMaker maker(JwsAlgorithm::kRs256);
  const Json jwk = maker.jwk("k");
  const std::string text = to_base64url(R"({"alg":"HS256","kid":"k"})") + "." + to_base64url("{}");
  for (const std::string& secret :
       {dump_json(jwk), from_base64(jwk["n"].get<std::string>()).value()}) {
    CHECK(reason_of(text + "." + to_base64url(hmac_sha256(secret, text)), set_of({jwk})) ==
          kTokenAlgorithm);
  }
  CHECK(reason_of(to_base64url(R"({"alg":"none"})") + ".e30.", set_of({jwk})) == kTokenAlgorithm);
}

TEST_CASE("jose: a token has one spelling", "[unit][oauth]") {
  const TokenMaker maker(JwsAlgorithm::kEs256);
  const JwkSet keys = set_of({maker.jwk("k")});
  const std::string good = maker.token("k", Json{{"sub", "ada"}, {"a", "~~~"}});
  REQUIRE(verify_jws(good, keys).ok());
  const std::vector<std::string_view> parts = split(good, '.');
  const std::string header(parts[0]), payload(parts[1]), signature(parts[2]);
  // 64 bytes end in a character of which four bits count.
  std::string stray = signature;
  stray.back() = static_cast<char>(stray.back() + 1);
  const std::string rows[] = {
      "",
      ".",
      "..",
      header + "." + payload,
      good + ".",
      good + "." + signature + ".x",
      good + "=",
      good + "==",
      header + "=." + payload + "." + signature,
      " " + good,
      good + "\n",
      header + "\r\n." + payload + "." + signature,
      header + "." + payload + "." + stray,
      header + "." + payload + "." + signature + "AAA",
      "a." + payload + "." + signature,
      header + ".+/==." + signature,
      R"({"payload":"e30","signatures":[]})",
      "Bearer " + good,
  };
  for (const std::string& row : rows) {
    INFO(row);
    CHECK(reason_of(row, keys) == kTokenMalformed);
  }
  CHECK(reason_of(header + "." + payload + ".", keys) == kTokenSignature);
  // One byte more or less than R and S; OpenSSL's own form of the two.
  const std::string raw = from_base64(signature).value();
  for (const std::string& other : {raw.substr(1), raw + '\0', std::string(64, '\0'),
                                   std::string("\x30\x06\x02\x01\x01\x02\x01\x01", 8)}) {
    CHECK(reason_of(header + "." + payload + "." + to_base64url(other), keys) == kTokenSignature);
  }
  // At the limit and beyond it.
  const auto of_size = [&](size_t payload_bytes) {
    return maker.sign(R"({"alg":"ES256","kid":"k"})", std::string(payload_bytes, ' '));
  };
  const size_t around = of_size(0).size();
  const size_t fits = (kJwsMaxBytes - around) / 4 * 3;
  CHECK(of_size(fits).size() <= kJwsMaxBytes);
  CHECK(verify_jws(of_size(fits), keys).ok());
  CHECK(of_size(fits + 3).size() > kJwsMaxBytes);
  CHECK(reason_of(of_size(fits + 3), keys) == kTokenMalformed);
}

TEST_CASE("jose: a key that cannot be used says why, and spoils no other", "[unit][oauth]") {
  const TokenMaker rsa(JwsAlgorithm::kRs256), ec(JwsAlgorithm::kEs256), ed(JwsAlgorithm::kEdDsa);
  struct Row {
    Json key;
    std::string says;
  };
  const auto changed = [](Json key, const char* name, const Json& value) {
    key[name] = value;
    return key;
  };
  const Json r = rsa.jwk("k"), e = ec.jwk("k"), d = ed.jwk("k");
  const std::string n = from_base64(r["n"].get<std::string>()).value();
  const std::string x = e["x"].get<std::string>();
  std::vector<Row> rows = {
      {changed(r, "use", "enc"), "use is not sig"},
      {changed(r, "use", 1), "use is not sig"},
      {changed(r, "key_ops", Json::array({"encrypt"})), "key_ops"},
      {changed(r, "key_ops", "verify"), "key_ops"},
      {changed(r, "alg", "PS256"), "is for PS256"},
      {changed(r, "alg", "RSA-OAEP"), "is for RSA-OAEP"},
      {changed(r, "alg", "ES256"), "is for ES256"},
      {changed(r, "d", "AQAB"), "private half"},
      {changed(r, "n", to_base64url(n.substr(0, 128))), "1024 bits"},
      {changed(r, "n", to_base64url('\x7f' + n.substr(1))), "2047 bits"},
      {changed(r, "n", to_base64url(std::string(1025, '\x7f'))), "8192 are allowed"},
      {changed(r, "n", ""), "without a modulus"},
      {changed(r, "n", r["n"].get<std::string>() + "="), "without a modulus"},
      {changed(r, "e", "AQ"), "exponent that is even, 1"},
      {changed(r, "e", "AQAA"), "exponent that is even, 1"},
      {changed(r, "e", to_base64url(std::string(9, '\x7f'))), "longer than 64 bits"},
      {changed(r, "kty", "oct"), "kty \"oct\""},
      {changed(r, "kty", "EC"), "crv \"\""},
      {changed(e, "crv", "P-384"), "crv \"P-384\""},
      {changed(e, "y", x), "no point of the curve"},
      {changed(e, "x", to_base64url(from_base64(x).value().substr(1))), "of 32 bytes"},
      {changed(d, "crv", "Ed448"), "crv \"Ed448\""},
      {changed(d, "x", "AQAB"), "of 32 bytes"},
  };
  for (const Row& row : rows) {
    const bool is_rsa = row.key == r || row.key.contains("n");
    const TokenMaker& maker = is_rsa ? rsa : row.key.contains("y") ? ec : ed;
    const JwkSet keys = set_of({row.key, ed.jwk("other"), Json("no object")});
    const Status status = verify_jws(maker.token("k", Json{{"sub", "ada"}}), keys).status();
    INFO(dump_json(row.key) << "\n" << status.to_string());
    CHECK(status.reason() == kTokenKeyRefused);
    CHECK(status.message().find(row.says) != std::string::npos);
    CHECK(verify_jws(ed.token("other", Json{{"sub", "ada"}}), keys).ok());
  }
  for (const Json& kid : {Json(1), Json(""), Json(std::string(kKeyIdMaxBytes + 1, 'k'))}) {
    CHECK(reason_of(ed.token("", Json::object()), set_of({changed(d, "kid", kid)})) ==
          kTokenKeyUnknown);
  }
  CHECK(verify_jws(rsa.token("k", Json::object()),
                   set_of({changed(r, "key_ops", Json::array({"sign", "verify"}))}))
            .ok());
  // Some issuers put a zero byte before the modulus.
  CHECK(verify_jws(rsa.token("k", Json::object()),
                   set_of({changed(r, "n", to_base64url(std::string(1, '\0') + n))}))
            .ok());
  CHECK(ERR_peek_error() == 0);
}

TEST_CASE("jose: a text that is no JWK Set is refused whole", "[unit][oauth]") {
  const std::string key = kA4Key;
  std::string many = key;
  for (size_t i = 1; i < kJwkSetKeysMax; i++) many += "," + key;
  CHECK(JwkSet::parse("{\"keys\":[" + many + "]}").value().keys().size() == kJwkSetKeysMax);
  CHECK(JwkSet::parse(R"({"keys":[],"more":1})").value().keys().empty());
  const std::string long_set = "{\"keys\":[" + key + "]" + std::string(kJwkSetMaxBytes, ' ') + "}";
  const std::string rows[] = {"",
                              "[]",
                              "{}",
                              R"({"keys":{}})",
                              R"({"keys":[],"keys":[]})",
                              R"({"keys":[{"kty":"OKP","kty":"OKP"}]})",
                              "{\"keys\":[" + many + "," + key + "]}",
                              long_set,
                              key};
  for (const std::string& row : rows) {
    INFO(row.substr(0, 80));
    CHECK(JwkSet::parse(row).code() == Code::kInvalid);
  }
}

TEST_CASE("jose: what this daemon signs verifies by the set that it publishes", "[unit][oauth]") {
  const Secret pem = make_signing_key().value();
  const std::string text = public_jwk_set(pem, "own-1").value();
  CHECK(text.find("\"d\"") == std::string::npos);
  const JwkSet keys = JwkSet::parse(text).value();
  const Secret token = sign_jwt(pem, "own-1", R"({"sub":"ada"})", "at+jwt").value();
  const Result<VerifiedJws> verified = verify_jws(token.reveal(), keys);
  INFO(verified.status().to_string());
  REQUIRE(verified.ok());
  CHECK(verified.value().algorithm == JwsAlgorithm::kRs256);
  CHECK(verified.value().type == "at+jwt");
  CHECK(verified.value().payload == R"({"sub":"ada"})");
  CHECK(make_signing_key().value() != pem);
  CHECK(public_jwk_set(Secret("no key"), "x").code() == Code::kInvalid);
}

TEST_CASE("jose: an issuer is read from a token before anything is verified", "[unit][oauth]") {
  const TokenMaker maker(JwsAlgorithm::kEdDsa);
  CHECK(unverified_issuer(maker.token("k", Json{{"iss", "https://id.example.com"}})) ==
        "https://id.example.com");
  CHECK(unverified_issuer(maker.token("k", Json{{"iss", 7}})).empty());
  CHECK(unverified_issuer(maker.sign("{}", "no object")).empty());
  CHECK(unverified_issuer("kv_0123").empty());
  CHECK(unverified_issuer("a.b.c").empty());
}

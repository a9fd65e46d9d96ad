// Goal: a signed URL opens exactly the door it was made for, until its time is over.
#include "blob/presign.h"

#include <catch2/catch.hpp>

#include <cctype>

#include "base/crypto.h"

namespace kvcs {
namespace {

const std::string kId = "3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f";

struct Setup {
  ManualClock clock;
  Presigner presigner{Secret(std::string(32, 'k')), clock};
  PresignedClaim claim{"PUT", kId, 1234, sha256_hex("x"), clock.unix_s() + 900};
  std::string path = presigner.sign_path(claim);
  std::string query = path.substr(path.find('?') + 1);
  Code code(const std::string& changed) { return presigner.verify("PUT", kId, changed).code(); }
};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  REQUIRE(at != text.npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a signed URL carries its claim", "[blob][presign][unit]") {
  Setup s;
  CHECK(s.path.starts_with("/blobs/" + kId + "?size=1234&sha256="));
  auto claim = s.presigner.verify("PUT", kId, s.query);
  REQUIRE(claim.ok());
  CHECK(claim->size_bytes == 1234);
  CHECK(claim->sha256_hex == sha256_hex("x"));
  CHECK(claim->expires_at_s == s.clock.unix_s() + 900);
  s.claim.sha256_hex.clear();
  const std::string open_path = s.presigner.sign_path(s.claim);
  CHECK(s.presigner.verify("PUT", kId, open_path.substr(open_path.find('?') + 1)).ok());
}

TEST_CASE("a signed URL is refused for anything but what was signed", "[blob][presign][unit]") {
  Setup s;
  CHECK(s.presigner.verify("GET", kId, s.query).code() == Code::kForbidden);
  CHECK(s.presigner.verify("PUT", replaced(kId, "3f", "4f"), s.query).code() == Code::kForbidden);
  CHECK(s.code(replaced(s.query, "size=1234", "size=1235")) == Code::kForbidden);
  CHECK(s.code(replaced(s.query, sha256_hex("x"), sha256_hex("y"))) == Code::kForbidden);
  CHECK(s.code(replaced(s.query, "expires=", "expires=9")) == Code::kForbidden);
  const Presigner other(Secret(std::string(32, 'j')), s.clock);
  CHECK(other.verify("PUT", kId, s.query).code() == Code::kForbidden);
  // Every single character of the signature counts.
  const size_t start = s.query.find("signature=") + 10;
  for (size_t i = start; i < s.query.size(); i++) {
    std::string forged = s.query;
    forged[i] = forged[i] == 'A' ? 'B' : 'A';
    CHECK(s.code(forged) == Code::kForbidden);
  }
  CHECK(s.code(s.query.substr(0, s.query.size() - 1)) == Code::kForbidden);
}

TEST_CASE("a malformed query is refused", "[blob][presign][unit]") {
  Setup s;
  for (const std::string& bad :
       {std::string(), std::string("size"), std::string("&&&"), s.query + "&size=1234",
        s.query + "&size", s.query + "&s%69ze=1234", s.query + "&while=private",
        s.query + "&while=public", replaced(s.query, "size=1234&", ""),
        replaced(s.query, "size=1234", "size=%zz"), replaced(s.query, "size=", "SIZE="),
        replaced(s.query, "size=1234", "size=-1"), replaced(s.query, "size=1234", "size="),
        replaced(s.query, "size=1234", "size=99999999999999999999999"),
        replaced(s.query, "sha256=", "sha256=g"), s.query + "&x=" + std::string(4096, 'A')}) {
    CHECK(s.code(bad) == Code::kForbidden);
  }
}

TEST_CASE("a signed URL may be spelled otherwise and have more parameters",
          "[blob][presign][unit]") {
  Setup s;
  const std::string digest = sha256_hex("x");
  std::string shouted = digest;
  for (char& c : shouted) c = static_cast<char>(std::toupper(c));
  const size_t signed_at = s.query.find("&signature=");
  const std::string signature = s.query.substr(signed_at + 1);
  for (const std::string& query :
       {s.query + "&x-id=PutObject", s.query + "&foo=bar", s.query + "&_=1", s.query + "&",
        s.query + "&utm_source=x", "&&" + s.query, s.query + "&flag",
        s.query + "&=", s.query + "&%zz", s.query + "&tokens=0:1", s.query + "&Size=9",
        signature + "&" + s.query.substr(0, signed_at), replaced(s.query, "size=", "s%69ze="),
        replaced(s.query, "size=1234", "size=%31234"), replaced(s.query, digest, shouted),
        replaced(s.query, "signature=", "%73ignature=")}) {
    INFO(query);
    CHECK(s.presigner.verify("PUT", kId, query).ok());
  }
  PresignedClaim claim = s.claim;
  claim.while_public = true;
  const std::string path = s.presigner.sign_path(claim);
  const std::string query = path.substr(path.find('?') + 1);
  CHECK(s.presigner.verify("PUT", kId, replaced(query, "=public", "=%70ublic"))->while_public);
  CHECK(s.code(replaced(query, "&while=public", "")) == Code::kForbidden);
}

TEST_CASE("a signed URL ends at its second, and says so", "[blob][presign][unit]") {
  Setup s;
  s.clock.advance_ms(899'999);
  CHECK(s.presigner.verify("PUT", kId, s.query).ok());
  s.clock.advance_ms(1);
  const Status late = s.presigner.verify("PUT", kId, s.query).status();
  CHECK(late.code() == Code::kForbidden);
  CHECK(late.reason() == "url_expired");
  // A forged one does not learn whether it would be expired.
  CHECK(s.presigner.verify("GET", kId, s.query).status().reason() == "bad_signature");
}

}  // namespace kvcs

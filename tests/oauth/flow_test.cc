// Goal: the parts of a consent in the browser hold by themselves, whatever module uses them: a
// ticket works once and for its time, only a sealed hash of it is stored, PKCE and issuer are those
// of their RFCs, a cookie is found among others and a page repeats nothing as markup. Method: the
// memory store with a fault plan and a clock moved by hand.
#include <catch2/catch.hpp>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "kv/kv.h"
#include "oauth/authorization.h"
#include "oauth/browser.h"
#include "oauth/ticket_store.h"

using namespace kvcs;
using namespace kvcs::oauth;

namespace {

struct Tickets {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(3);
  std::unique_ptr<KvStore> memory = make_memory_kv(clock);
  KvFaultPlan plan = [](std::string_view, std::string_view) { return ok(); };
  std::unique_ptr<KvStore> kv = make_faulty_kv(
      *memory, [this](std::string_view op, std::string_view key) { return plan(op, key); });
  Sealer sealer{{Secret(std::string(32, 'k'))}, *entropy};
  TicketStore store{"test", *kv, sealer, clock};
};

}  // namespace

TEST_CASE("tickets: a ticket gives its record once", "[unit][oauth]") {
  Tickets t;
  const std::string secret = make_one_time_secret(*t.entropy);
  CHECK(secret.size() == 43);  // 32 bytes as base64url.
  CHECK(make_one_time_secret(*t.entropy) != secret);
  REQUIRE(t.store.put(secret, "the record", 600).ok());
  CHECK(t.store.take(secret + "x").code() == Code::kNotFound);
  CHECK(t.store.take(secret).value().reveal() == "the record");
  CHECK(t.store.take(secret).code() == Code::kNotFound);
}

TEST_CASE("tickets: the store holds neither the secret nor the record in clear", "[unit][oauth]") {
  Tickets t;
  REQUIRE(t.store.put("the-secret", "the record", 600).ok());
  const Result<KvEntry> entry =
      t.memory->get(KvFamily::kSystem, "oauth_state:" + sha256_hex("test:the-secret"));
  REQUIRE(entry.ok());
  CHECK(entry.value().value.find("the record") == std::string::npos);
  CHECK(entry.value().value.find("the-secret") == std::string::npos);
}

TEST_CASE("tickets: a ticket is good at the door that it was made for alone", "[unit][oauth]") {
  Tickets t;
  TicketStore other{"other", *t.kv, t.sealer, t.clock};
  REQUIRE(t.store.put("secret", "the record", 600).ok());
  CHECK(other.take("secret").code() == Code::kNotFound);
  CHECK(t.store.take("secret").value().reveal() == "the record");
}

TEST_CASE("tickets: a ticket ends with its time", "[unit][oauth]") {
  Tickets t;
  REQUIRE(t.store.put("a", "x", 600).ok());
  t.clock.advance_ms(599'000);
  CHECK(t.store.take("a").ok());
  REQUIRE(t.store.put("b", "x", 600).ok());
  t.clock.advance_ms(601'000);
  CHECK(t.store.take("b").code() == Code::kNotFound);
}

TEST_CASE("tickets: of two that take a ticket one gets it; a store that fails gives none",
          "[fault][oauth]") {
  Tickets t;
  REQUIRE(t.store.put("a", "x", 600).ok());
  // Another request takes the ticket between this one's read and its removal.
  bool other_came = false;
  t.plan = [&](std::string_view op, std::string_view) {
    if (op == "cas" && !other_came) {
      other_came = true;
      TicketStore same{"test", *t.memory, t.sealer, t.clock};
      CHECK(same.take("a").ok());
    }
    return ok();
  };
  CHECK(t.store.take("a").code() == Code::kNotFound);
  CHECK(other_came);
  t.plan = [](std::string_view, std::string_view) { return ok(); };
  REQUIRE(t.store.put("b", "x", 600).ok());
  t.plan = [](std::string_view, std::string_view) { return unavailable("The disk is gone."); };
  CHECK(t.store.take("b").code() == Code::kUnavailable);
  CHECK(t.store.put("c", "x", 600).code() == Code::kUnavailable);
}

TEST_CASE("tickets: a ticket and its use are synced, so that a power cut brings none back",
          "[unit][oauth]") {
  Tickets t;
  std::vector<KvOp> writes;
  const std::unique_ptr<KvStore> timed = make_timed_kv(*t.memory, t.clock, [&](KvOp op, int64_t) {
    if (op != KvOp::kGet) writes.push_back(op);
  });
  TicketStore store{"test", *timed, t.sealer, t.clock};
  REQUIRE(store.put("a", "x", 600).ok());
  CHECK(writes == std::vector<KvOp>{KvOp::kSyncedWrite});
  REQUIRE(store.take("a").ok());
  CHECK(writes == std::vector<KvOp>{KvOp::kSyncedWrite, KvOp::kSyncedWrite});
}

TEST_CASE("authorization: the challenge is that of RFC 7636, appendix B", "[unit][oauth]") {
  CHECK(pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") ==
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

TEST_CASE("authorization: the page's address holds what the provider must be asked",
          "[unit][oauth]") {
  Client client;
  client.authorize_url = "https://auth.example.com/authorize?tenant=1";
  client.client_id = "the client";
  client.scopes = {"a", "b"};
  client.scope_separator = ",";
  client.authorize_params = {{"prompt", "consent"}};
  CHECK(authorization_url(client, "https://k/cb", "st", "v") ==
        "https://auth.example.com/authorize?tenant=1&response_type=code&client_id=the%20client"
        "&redirect_uri=https%3A%2F%2Fk%2Fcb&state=st&code_challenge=" +
            pkce_challenge("v") + "&code_challenge_method=S256&scope=a%2Cb&prompt=consent");
}

TEST_CASE("authorization: another issuer than the client's is refused", "[unit][oauth]") {
  Client client;
  CHECK(check_issuer(client, "https://any.example.com").ok());
  client.issuer = "https://good.example.com";
  CHECK(check_issuer(client, {}).ok());
  CHECK(check_issuer(client, "https://good.example.com").ok());
  CHECK(check_issuer(client, "https://good.example.com.evil").code() == Code::kInvalid);
}

TEST_CASE("browser: a cookie is found by its whole name, and set out of the reach of scripts",
          "[unit][oauth]") {
  http::Request request;
  request.headers = {{"Cookie", "other=1; flow2=no;flow=a=b"}, {"cookie", "late=2"}};
  CHECK(cookie_value(request, "flow") == "a=b");
  CHECK(cookie_value(request, "late") == "2");
  CHECK(cookie_value(request, "low").empty());
  http::Response response;
  set_cookie(response, {.name = "flow", .value = "v", .path = "/p", .max_age_s = 9});
  CHECK(response.headers.back().second ==
        "flow=v; Path=/p; HttpOnly; SameSite=Lax; Max-Age=9; Secure");
  set_cookie(response, {.name = "flow", .value = "v", .path = "/p", .secure = false});
  CHECK(response.headers.back().second == "flow=v; Path=/p; HttpOnly; SameSite=Lax; Max-Age=0");
}

TEST_CASE("browser: a page repeats text as text and loads nothing", "[unit][oauth]") {
  const http::Response page = plain_page(400, "<T>", "a & \"b\" 'c' <script>");
  CHECK(page.status == 400);
  CHECK(page.body.find("<h1>&lt;T&gt;</h1>") != std::string::npos);
  CHECK(page.body.find("a &amp; &quot;b&quot; &#39;c&#39; &lt;script&gt;") != std::string::npos);
  const auto header = [&](std::string_view name) {
    for (const auto& [key, value] : page.headers) {
      if (key == name) return value;
    }
    return std::string();
  };
  // The stylesheet is the one whose hash the policy names, and no other would be taken.
  const size_t style = page.body.find("<style>") + 7;
  const Sha256Digest digest = sha256(page.body.substr(style, page.body.find("</style>") - style));
  CHECK(header("Content-Security-Policy") ==
        "default-src 'none'; style-src 'sha256-" +
            to_base64(std::string(digest.begin(), digest.end())) +
            "'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'");
  CHECK(page.body.find("style=") == std::string::npos);
  CHECK(header("Referrer-Policy") == "no-referrer");
  CHECK(header("Cache-Control") == "no-store");
}

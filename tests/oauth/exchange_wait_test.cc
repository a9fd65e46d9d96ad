// Goal: a token that a provider gives is kept even when the server stops meanwhile. Method: a real
// exchange on loopback, inside of a request whose every wait ends as those of a server that stops.
#include <catch2/catch.hpp>

#include "base/clock.h"
#include "base/wait.h"
#include "oauth/oauth.h"
#include "support/deflate.h"
#include "support/loopback_server.h"

using namespace kvcs;

namespace {

class StoppingServer final : public Waiter {
 public:
  Woken wait(const WaitFor&) override { return Woken::kClientGone; }
  int client_fd() const override { return -1; }
};

}  // namespace

TEST_CASE("oauth: a server that stops does not cut off an exchange of tokens", "[fault][oauth]") {
  using test::deflated;
  test::LoopbackServer provider([](test::LoopbackPeer& peer) {
    // Encoded, though nobody asked for that.
    const std::string body = deflated(R"({"access_token":"fresh-1","token_type":"bearer"})");
    while (peer.read_request()) {
      if (!peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Encoding: deflate\r\nContent-Length: " +
                     std::to_string(body.size()) + "\r\n\r\n" + body)) {
        return;
      }
    }
  });
  const auto clock = make_system_clock();
  const auto upstream = http::make_http_upstream({}, *clock);
  oauth::Client client;
  client.token_url = provider.url("/token");
  client.client_id = "kvcs";
  client.allow_private_addresses = true;
  oauth::Grant grant;
  grant.refresh_token = Secret("refresh-1");
  StoppingServer stopping;
  const WaiterScope scope(stopping);
  const oauth::TokenOutcome outcome = oauth::refresh_token_grant(*upstream, client, grant, *clock);
  INFO(outcome.failure.message);
  REQUIRE(outcome.answer);
  CHECK(outcome.answer->access_token.reveal() == "fresh-1");
}

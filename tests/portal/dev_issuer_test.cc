// Goal: what comes from another machine never reaches the development issuer, whatever it listens
// on. Method: its rule, with requests as the server gives them.
#include <catch2/catch.hpp>

#include "oauth/scripted_issuer.h"
#include "portal/dev_issuer_api.h"
#include "portal/providers.h"

using namespace kvcs;
using namespace kvcs::portal;
using kvcs::test::ScriptedIssuer;

namespace {

std::string reason(const std::string& address, const std::string& host,
                   const std::string& more = "accept") {
  http::Request request;
  request.remote_ip = address;
  request.headers = {{"Host", host}, {more, "x"}};
  return check_local(request).reason();
}

}  // namespace

TEST_CASE("dev issuer: this machine, by its own names, without a proxy between", "[unit][portal]") {
  for (const char* address : {"127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"}) {
    CHECK(reason(address, "localhost:8080").empty());
  }
  for (const char* address : {"192.0.2.1", "10.0.0.1", "", "::2", "::ffff:10.0.0.1"}) {
    INFO(address);
    CHECK(reason(address, "localhost") == "address_not_loopback");
  }
  for (const char* host : {"127.0.0.1", "127.0.0.1:80", "LOCALHOST", "[::1]", "[::1]:80"}) {
    INFO(host);
    CHECK(reason("127.0.0.1", host).empty());
  }
  for (const char* host : {"", "evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
                           "evil.example:127", "localhost:80:80", "[::2]"}) {
    INFO(host);
    CHECK(reason("127.0.0.1", host) == "host_not_loopback");
  }
  for (const char* name : {"X-Forwarded-For", "x-forwarded-anything", "FORWARDED"}) {
    CHECK(reason("127.0.0.1", "localhost", name) == "forwarded");
  }
  CHECK(reason("127.0.0.1", "localhost", "Origin") == "origin_not_loopback");
}

TEST_CASE("dev issuer: its name among the providers is its own", "[unit][portal]") {
  ScriptedIssuer rig;
  const auto read = [&](const std::string& name) {
    return Providers::read("{" + name + ": {issuer: '" + rig.url + "', client_id: kvcs}}",
                           rig.upstream, rig.clock, *rig.entropy)
        .value();
  };
  const auto own = [&] {
    oauth::IssuerConfig config;
    config.name = "dev";
    config.issuer = "http://127.0.0.1:1/oidc";
    return config;
  };
  const auto add = [&](Providers& to) {
    return to.add_own(kDevIssuerName, own, rig.upstream, rig.clock, *rig.entropy);
  };
  CHECK(add(*read("dev")).reason() == "provider_name_taken");
  const std::unique_ptr<Providers> providers = read("other");
  REQUIRE(add(*providers).ok());
  CHECK(providers->all().size() == 2);
  const Provider* const dev = providers->find("dev");
  REQUIRE(dev != nullptr);
  CHECK(providers->find_by_issuer("http://127.0.0.1:1/oidc") == dev);
  CHECK(providers->find_by_issuer(rig.url)->name == "other");
  CHECK(providers->find_by_issuer("") == nullptr);
}

TEST_CASE("dev issuer: a subject is a plain name", "[unit][portal]") {
  for (const char* good : {"a", "ada@example.com", "x_1-2+3"}) CHECK(is_dev_subject(good));
  for (const char* bad : {"", " ", "a b", "<b>", "ä", "a/b"}) CHECK_FALSE(is_dev_subject(bad));
  CHECK_FALSE(is_dev_subject(std::string(65, 'a')));
}

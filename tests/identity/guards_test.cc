// Goal: whatever set of key headers a client sends, the user key among them counts, and two
// different ones are refused. Method: the guard over the real authenticator and made-up requests.
#include "identity/guards.h"

#include <catch2/catch.hpp>

#include "identity/identity_rig.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("user key: the key of our family counts among all that a client sends",
          "[unit][identity]") {
  IdentityRig rig;
  const Organization organization = rig.organization();
  const User user = rig.user(organization);
  const KeyOwner owner = rig.owner(PrincipalKind::kUserKey, organization, user);
  const std::string key = std::string(rig.key(owner).key.reveal()),
                    other = std::string(rig.key(owner).key.reveal());
  const std::string project(
      rig.key(rig.owner(PrincipalKind::kProjectKey, organization)).key.reveal());
  const http::Guard guard = user_key(rig.auth);
  const auto status_of = [&](std::vector<http::Header> headers) {
    http::Request request;
    request.headers = std::move(headers);
    return guard(request).status();
  };
  const std::string bearer = "Bearer " + key, other_bearer = "Bearer " + other,
                    spaced = "bearer  " + key;
  for (const std::vector<http::Header>& headers : std::vector<std::vector<http::Header>>{
           {{"Authorization", bearer}},
           {{"x-api-key", key}},
           {{"api-key", key}},
           {{"Authorization", bearer}, {"x-api-key", key}},
           {{"Authorization", bearer}, {"X-Api-Key", key}, {"api-key", key}},
           {{"x-api-key", key}, {"x-api-key", key}},
           {{"Authorization", bearer}, {"authorization", spaced}},
           {{"Authorization", ""}, {"x-api-key", key}},
           {{"Authorization", "Bearer"}, {"x-api-key", key}},
           {{"Authorization", "Bearer "}, {"x-api-key", key}},
           {{"Authorization", bearer}, {"x-api-key", ""}},
           {{"Authorization", "Basic dTpw"}, {"x-api-key", key}},
           {{"Authorization", "Bearer sk-ant-oat01-foreign"}, {"x-api-key", key}},
           {{"Authorization", bearer}, {"x-api-key", "sk-foreign"}},
           {{"x-api-key", "sk-foreign"}, {"Authorization", bearer}, {"api-key", "other"}},
       }) {
    INFO(headers.size() << " " << headers[0].name << ": " << headers[0].value);
    CHECK(status_of(headers).ok());
  }
  const Status two = status_of({{"Authorization", other_bearer}, {"x-api-key", key}});
  CHECK(two.code() == Code::kUnauthenticated);
  CHECK(two.message().find("Two different keys") != std::string::npos);
  CHECK(status_of({{"x-api-key", key}, {"x-api-key", other}}).code() == Code::kUnauthenticated);
  CHECK(status_of({{"Authorization", bearer + ", " + key}}).code() == Code::kUnauthenticated);
  // Without ours: what was given is judged as it was.
  CHECK(status_of({}).code() == Code::kUnauthenticated);
  CHECK(status_of({{"Authorization", ""}}).code() == Code::kUnauthenticated);
  CHECK(status_of({{"Authorization", "Basic dTpw"}}).code() == Code::kUnauthenticated);
  CHECK(status_of({{"Authorization", "Bearer sk-1"}, {"x-api-key", "sk-2"}}).code() ==
        Code::kUnauthenticated);
  CHECK(status_of({{"x-api-key", project}}).reason() == "wrong_key_family");
}

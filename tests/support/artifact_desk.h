// Artifacts as a client stores them, at the front door of a TestApp.
#pragma once
#include <catch2/catch.hpp>

#include <string>

#include "base/crypto.h"
#include "support/test_app.h"

namespace kvcs::test {

// The part of a URL that a client on this host asks for.
inline std::string target_of(const std::string& url) {
  const size_t host = url.find("//");
  REQUIRE(host != std::string::npos);
  return url.substr(url.find('/', host + 2));
}

// A confirmed artifact; `members` are further ones of the upload, as text: "\"name\":\"x\",…".
inline std::string store_artifact(const TestApp& app, const std::string& key,
                                  const std::string& members, const std::string& bytes) {
  const RawResponse begun =
      app.as(key, "POST", "/api/v1/artifacts/upload-url",
             R"({"dtype":"F16","size_bytes":)" + std::to_string(bytes.size()) + R"(,"sha256":")" +
                 sha256_hex(bytes) + "\"," + members + "}");
  INFO(begun.body);
  REQUIRE(begun.status == 200);
  std::string id = json_text(begun.body, "artifact_id");
  REQUIRE(app.call("PUT", target_of(json_text(begun.body, "url")), {}, bytes).status == 200);
  REQUIRE(app.as(key, "POST", "/api/v1/artifacts/" + id + "/confirm-upload").status == 200);
  return id;
}

// A key of a new organization's only project.
inline std::string key_of_new_organization(const TestApp& app, const std::string& name) {
  const auto made = [&](const std::string& path, const std::string& body,
                        const std::string& member) {
    const RawResponse answer = app.as_owner("POST", path, body);
    INFO(answer.body);
    REQUIRE(answer.status == 201);
    return json_text(answer.body, member);
  };
  const std::string named = R"({"name":")" + name + "\"}";
  const std::string organization =
      "/admin/organizations/" + made("/admin/organizations", named, "org_id");
  const std::string project = made(organization + "/projects", named, "project_id");
  return made(organization + "/projects/" + project + "/api-keys", named, "api_key");
}

}  // namespace kvcs::test

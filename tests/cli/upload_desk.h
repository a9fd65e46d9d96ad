// A desk for the commands that send artifacts: a small artifact's bytes, and what servers answer to
// an upload in one piece.
#pragma once
#include <catch2/catch.hpp>

#include <string>

#include "cli/cli_desk.h"
#include "kvfile/kvfile.h"

namespace kvcs::test {

// A .kv file whose values have `fill` in each byte.
inline std::string artifact_bytes(char fill) {
  const auto tensor = [](const char* name) {
    kvfile::Tensor t;
    t.name = name;
    t.shape = {1, 1, 4, 8};
    return t;
  };
  const auto header = kvfile::make_header({tensor("k_0"), tensor("v_0")}, {});
  REQUIRE(header.ok());
  return kvfile::dump_header(*header) + std::string(128, fill);
}

struct UploadDesk : CliDesk {
  // The answer to an announcement.
  CliAnswer begun(const std::string& id) const {
    return {R"({"artifact_id":")" + id + R"(","url":"http://127.0.0.1:)" +
            std::to_string(server.port()) + "/blobs/" + id + "\"}"};
  }
  // What was asked, without bodies.
  Words steps() {
    Words all;
    for (const std::string& request : requests()) {
      all.push_back(request.substr(0, request.find(' ', request.find(' ') + 1)));
    }
    return all;
  }
};

inline const std::string kBegin = "POST /api/v1/artifacts/upload-url";
inline std::string confirmed(const std::string& id) {
  return "POST /api/v1/artifacts/" + id + "/confirm-upload";
}

}  // namespace kvcs::test

// Failures in the words of each door.
#include "http/problem.h"

#include <catch2/catch.hpp>

#include <cerrno>
#include <set>
#include <vector>

using namespace kvcs;
using http::Dialect;
using http::problem_response;

TEST_CASE("problem: every code has its HTTP status", "[unit][http]") {
  const std::pair<Code, int> rows[] = {
      {Code::kInvalid, 400},       {Code::kUnauthenticated, 401}, {Code::kForbidden, 403},
      {Code::kNotFound, 404},      {Code::kConflict, 409},        {Code::kTooLarge, 413},
      {Code::kQuotaExceeded, 429}, {Code::kRateLimited, 429},     {Code::kUnavailable, 503},
      {Code::kTimeout, 504},       {Code::kUpstream, 502},        {Code::kInternal, 500}};
  for (const auto& [code, status] : rows) {
    CHECK(http::http_status(Status(code, "x")) == status);
    for (const Dialect dialect : {Dialect::kPortal, Dialect::kAdmin, Dialect::kGateway,
                                  Dialect::kOpenAi, Dialect::kAnthropic}) {
      const http::Response response = problem_response(Status(code, "x"), dialect, "id");
      CHECK(response.status == status);
      CHECK(*response.find("content-type") == "application/json");
    }
  }
}

TEST_CASE("problem: what a system call said of a path is for the log", "[unit][http]") {
  for (const int error : {EIO, ENOENT, ENOTDIR}) {
    for (const Dialect dialect : {Dialect::kPortal, Dialect::kAdmin, Dialect::kGateway,
                                  Dialect::kOpenAi, Dialect::kAnthropic}) {
      const std::string body =
          problem_response(io_error("statvfs", "/srv/data/blobs", error), dialect, "id").body;
      INFO(body);
      CHECK(body.find("/srv") == std::string::npos);
      CHECK(body.find("statvfs") == std::string::npos);
    }
  }
  // What is meant for the caller has a reason.
  const Status told = Status(Code::kInternal, "The bytes", "The bytes").with_reason("blob_missing");
  CHECK(problem_response(told, Dialect::kPortal, "id").body.find("The bytes") != std::string::npos);
  CHECK(problem_response(not_found("Artifact not found"), Dialect::kPortal, "id")
            .body.find("Artifact") != std::string::npos);
}

TEST_CASE("problem: the portal merges details at the top", "[unit][http]") {
  const auto body = [](Status status) {
    return problem_response(status, Dialect::kPortal, "id").body;
  };
  CHECK(body(not_found("Artifact not found")) == R"({"error":"Artifact not found"})");
  CHECK(body(not_found("No share.").with_reason("share_not_found")) ==
        R"({"error":"No share.","code":"share_not_found"})");
  CHECK(body(invalid("size mismatch").with_details_json(R"({"expected":5,"actual":4})")) ==
        R"({"error":"size mismatch","expected":5,"actual":4})");
  CHECK(body(invalid("size mismatch").with_reason("size_mismatch")) ==
        R"({"error":"size mismatch"})");
  CHECK(body(invalid("say \"hi\"\n")) == R"({"error":"say \"hi\"\n"})");
  CHECK(body(invalid("x").with_details_json("{}")) == R"({"error":"x"})");
}

TEST_CASE("problem: admin, gateway, OpenAI and Anthropic shapes", "[unit][http]") {
  const Status plain = invalid("Bad.");
  const Status reasoned =
      forbidden("Suspended.").with_reason("user_suspended").with_details_json(R"({"a":1})");
  const auto body = [](const Status& status, Dialect dialect) {
    return problem_response(status, dialect, "r1").body;
  };
  CHECK(body(plain, Dialect::kAdmin) == R"({"error":"Bad.","code":"invalid_request"})");
  CHECK(body(reasoned, Dialect::kAdmin) ==
        R"({"error":"Suspended.","code":"user_suspended","details":{"a":1}})");
  CHECK(body(plain, Dialect::kGateway) ==
        R"({"error":"Bad.","code":"VALIDATION_ERROR","status":400,"request_id":"r1"})");
  CHECK(body(rate_limited("Slow.", 7), Dialect::kGateway) ==
        R"({"error":"Slow.","code":"RATE_LIMITED","status":429,"request_id":"r1",)"
        R"("retry_after":7})");
  CHECK(body(plain, Dialect::kOpenAi) ==
        R"({"error":{"message":"Bad.","type":"invalid_request_error","code":null,"param":null,)"
        R"("request_id":"r1"}})");
  CHECK(body(reasoned, Dialect::kOpenAi) ==
        R"({"error":{"message":"Suspended.","type":"user_suspended","code":"user_suspended",)"
        R"("param":null,"request_id":"r1","details":{"a":1}}})");
  CHECK(body(plain, Dialect::kAnthropic) ==
        R"({"type":"error","error":{"type":"invalid_request_error","message":"Bad."},)"
        R"("request_id":"r1"})");
  CHECK(body(too_large("Big."), Dialect::kAnthropic).find("request_too_large") !=
        std::string::npos);
}

TEST_CASE("problem: what carries no reason has the type of its status in OpenAI's dialect",
          "[unit][http]") {
  const std::vector<std::pair<Status, std::string>> types = {
      {invalid("x"), "invalid_request_error"},
      {unauthenticated("x"), "auth_error"},
      {forbidden("x"), "permission_error"},
      {not_found("x"), "not_found"},
      {conflict("x"), "conflict_error"},
      {too_large("x"), "invalid_request_error"},
      {rate_limited("x", 1), "rate_limit_error"},
      {upstream_failed("x"), "proxy_error"},
      {unavailable("x"), "service_error"},
      {Status(Code::kTimeout, "x"), "timeout_error"},
      {internal("x"), "server_error"}};
  for (const auto& [status, type] : types) {
    INFO(type);
    CHECK(problem_response(status, Dialect::kOpenAi, "r").body.find("\"type\":\"" + type + "\"") !=
          std::string::npos);
  }
}

TEST_CASE("problem: who is told to come back is told to at different times", "[unit][http]") {
  std::set<std::string> told;
  for (int i = 0; i < 50; i++) {
    const http::Response response = problem_response(unavailable("x").with_retry_after_s(5),
                                                     Dialect::kGateway, "r" + std::to_string(i));
    const std::string seconds = *response.find("retry-after");
    CHECK(response.body.ends_with("\"retry_after\":" + seconds + "}"));
    told.insert(seconds);
  }
  CHECK(told == std::set<std::string>{"5", "6", "7"});
}

TEST_CASE("problem: a cause stays inside; Retry-After and WWW-Authenticate go out",
          "[unit][http]") {
  for (const Dialect dialect : {Dialect::kPortal, Dialect::kAdmin, Dialect::kGateway,
                                Dialect::kOpenAi, Dialect::kAnthropic}) {
    CHECK(problem_response(internal("the secret"), dialect, "r").body.find("secret") ==
          std::string::npos);
    CHECK(*problem_response(rate_limited("x", 3), dialect, "r").find("retry-after") == "3");
    CHECK(*problem_response(unauthenticated("x"), dialect, "r").find("www-authenticate") ==
          "Bearer");
  }
  CHECK(problem_response(unauthenticated("x").with_reason("TOKEN_EXPIRED"), Dialect::kGateway, "r")
            .find("www-authenticate") == nullptr);
}

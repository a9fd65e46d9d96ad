// Both engines behind one constructor, for tests that must hold for either.
#pragma once
#include <memory>
#include <string>

#include "http/client/upstream_engines.h"

namespace kvcs::http {

struct TestClient {
  explicit TestClient(const std::string& engine_name, UpstreamConfig config = {},
                      const Clock* clock_in = nullptr)
      : system_clock(make_system_clock()),
        clock(clock_in != nullptr ? *clock_in : *system_clock),
        book(60, clock),
        engine(engine_name == "curl" ? make_curl_engine(config, clock, nullptr)
                                     : make_plain_engine(config, clock, book)) {}
  Result<std::unique_ptr<UpstreamResponse>> open(const UpstreamRequest& request) {
    return engine->open(request);
  }

  std::unique_ptr<Clock> system_clock;
  const Clock& clock;
  AddressBook book;
  std::unique_ptr<UpstreamEngine> engine;
};

inline UpstreamRequest request_to(std::string url) {
  UpstreamRequest request;
  request.url = std::move(url);
  request.allow_private_addresses = true;  // The servers of these tests are on loopback.
  request.deadline_ms = 20'000;
  return request;
}

}  // namespace kvcs::http

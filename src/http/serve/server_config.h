// Values that the parts of the HTTP server share: its configuration, its figures, and what it tells
// of a finished request. Values.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "http/http.h"

namespace kvcs::http {

struct TlsConfig {
  std::string certificate_path, key_path;  // Both or neither.
};

struct CorsConfig {
  std::vector<std::string> allowed_origins;  // "*" allows all, without credentials.
};

// A header of every answer about a path and what lies below it, refusals too.
struct AnswerHeader {
  std::string path, name, value;
};

// What callers share, each with a limit of its own (shares.h).
enum class Share : uint8_t {
  kAll,
  kKey,
  kOrganization,
  kKeyless,
  kConnections,
  kMemory,
  kMemoryKey,
  kMemoryOrganization,
};
inline constexpr size_t kShareCount = 8;

// The limits of one server. app/config_fields.cc gives each its name in kvcs.yaml and its range.
struct ServerConfig {
  std::string listen_host = "127.0.0.1";
  int listen_port = 8080;                // 0: any free port (tests)
  std::vector<std::string> listen_more;  // Further addresses: HOST:PORT or unix:/PATH.
  bool takes_inherited = true;           // Sockets of systemd replace the addresses.
  int workers_min = 4, workers_max = 2400;
  int streams_max = 2048;  // Requests at work at once; beyond: 503 + Retry-After.
  // Shares of these, so that nobody takes all of them (shares.h).
  int streams_key_percent = 50, streams_organization_percent = 50;
  int streams_keyless_percent = 50;  // For all callers without a key together.
  int streams_reserved = 32;         // Besides streams_max, for admin keys alone.
  // Bodies and answers in memory while their clients are waited for, and how much of it may be for
  // one key, or one address without one, and for one organization.
  uint64_t memory_max_bytes = 512 << 20;
  int memory_key_percent = 50, memory_organization_percent = 50;
  int connections_max = 20000;
  int connections_address_percent = 50;
  size_t head_max_bytes = 32 << 10, uri_max_bytes = 8000;
  int headers_max = 100;
  int head_timeout_ms = 10'000, body_idle_timeout_ms = 15'000, write_timeout_ms = 30'000;
  int public_body_timeout_ms = 5000;  // For all of a body, where nobody needs a key.
  int idle_timeout_ms = 75'000;
  int requests_per_connection_max = 100'000;
  std::vector<std::string> trusted_proxies;  // IPs or CIDR; believed for X-Forwarded-*.
  bool access_log = true;
  TlsConfig tls;
  CorsConfig cors;
  std::vector<AnswerHeader> answer_headers;
};

// The facts that the server tells about each finished request; App feeds metrics with it.
struct RequestRecord {
  const Route* route;  // Null when nothing matched.
  Method method;
  int status;
  int64_t duration_us;
  uint64_t received_bytes, sent_bytes;
};
using RequestObserver = std::function<void(const RequestRecord&)>;

// Now, but for the counts since the start.
struct ServerStats {
  int workers, busy_workers;
  int parked_requests;     // They wait without a thread, for their client or for others.
  uint64_t blocked_waits;  // Since the start: waits of requests that held their worker.
  int64_t connections, refused_connections;
  int64_t given_up_connections;               // Idle ones, closed to make room for others.
  std::array<uint64_t, kShareCount> refused;  // By share, since the start.
  uint64_t held_bytes;                        // Bodies and answers in memory.
};

}  // namespace kvcs::http

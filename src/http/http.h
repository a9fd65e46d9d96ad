// The face of the HTTP module: what a handler sees. Nothing here knows sockets.
//
// A request is served by one function from head to last byte, on one thread at a time: it changes
// threads only where it waits by current_waiter() (base/wait.h), as HttpUpstream does for another
// server. Views in Request point into the connection's buffer and are valid until the handler's
// Response has been sent.
#pragma once
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/principal.h"
#include "base/status.h"

namespace kvcs::http {

enum class Method : uint8_t { kGet, kHead, kPost, kPut, kPatch, kDelete, kOptions };
std::string_view method_name(Method method);

// How failures and limits are worded for the callers of a route; http/problem.h.
enum class Dialect : uint8_t { kPortal, kAdmin, kGateway, kOpenAi, kAnthropic };

// One header line of a request; both are views into the connection's buffer.
struct Header {
  std::string_view name, value;
};

// The body as it arrives. Used by the thread that serves the request.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // Up to out.size() bytes; 0 at the end. With an empty `out` it waits until there is one. TooLarge
  // past the route's limit, Timeout, Invalid framing, or an end of the connection before its own;
  // Unavailable when the server stops.
  virtual Result<size_t> read(std::span<char> out) = 0;
  // From Content-Length; nothing for chunked bodies. A bodyless request says 0.
  virtual std::optional<uint64_t> declared_size_bytes() const = 0;
  // The caller keeps so many bytes more of it in memory until the request has ended. Unavailable or
  // RateLimited when all requests, or those of one caller, keep as much as they may.
  virtual Status keep(uint64_t /*bytes*/) { return ok(); }
  Result<std::string> read_all();  // Bounded by the route's limit, and kept.
};

struct Route;

struct Request {
  Method method = Method::kGet;
  std::string_view target;  // As sent: path and query.
  std::string path;         // Percent-decoded, without query; no NUL, no "..", no empty segments.
  std::string_view query;   // Raw, without '?'.
  std::vector<Header> headers;
  std::vector<std::pair<std::string_view, std::string>> params;  // {name} segments, decoded.
  std::string remote_ip;  // The peer, or the client behind a trusted proxy.
  bool https = false;     // TLS here, or said by a trusted proxy.
  // Ours alone, and unique: charges and history are kept by it, so that no caller may choose it.
  std::string request_id;
  Principal principal;  // What the route's guard returned.
  const Route* route = nullptr;
  BodyReader* body = nullptr;
  int64_t started_us = 0;  // Clock::mono_us when the head was complete.

  // First header of that name, any case; nothing when absent.
  std::optional<std::string_view> header(std::string_view name) const;
  std::string_view param(std::string_view name) const;  // Precondition: the route has it.
  // Decoded query parameter (first of that name). Bad escapes are refused before the handler runs.
  std::optional<std::string> query_value(std::string_view name) const;
  // "Bearer x" (scheme in any case) → x. Unauthenticated when absent, malformed, or two of them.
  Result<std::string_view> bearer() const;
};

// Where a streaming handler writes. Used by the thread that serves the request.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;
  // Blocks while the client is slow (back-pressure). Unavailable once the client has gone.
  virtual Status write(std::string_view bytes) = 0;
  virtual bool client_gone() const = 0;
};

// A part of an open file, sent with sendfile. `keep_alive` owns the descriptor.
struct FileBody {
  int descriptor = -1;
  uint64_t offset = 0, size_bytes = 0;
  std::shared_ptr<const void> keep_alive;  // Owners: the response, and whoever opened the file.
};

// The answer of a handler: a body in memory, a file, or a stream.
struct Response {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // Names and values without CR or LF.
  std::string body;              // Used unless one of the three below is set.
  std::string_view static_body;  // Of bytes that live as long as the server, and are not copied.
  std::optional<FileBody> file;
  // Called once after the head is sent; a failure aborts the connection so that the client sees a
  // broken transfer and never a short but clean one.
  std::function<Status(BodyWriter&)> stream;
  std::optional<uint64_t> stream_size_bytes;  // Content-Length; nothing: chunked.
  // Runs after the last byte or the abort, on every path. For settlement and release.
  std::function<void(Status outcome, uint64_t sent_bytes)> finished;

  Response& set(std::string name, std::string value);    // Replaces.
  const std::string* find(std::string_view name) const;  // Null when absent.
};

Response json_response(int status, std::string json_text);
Response text_response(int status, std::string text, std::string_view content_type = "text/plain");
Response empty_response(int status);  // 204 and friends.

// Handlers return failures as Status; http/problem.cc turns them into bytes in the route's dialect.
using Handler = std::function<Result<Response>(Request&)>;
// Decides whether a caller may call: runs before one byte of the body is read, and tells the
// handler who the caller is.
using Guard = std::function<Result<Principal>(const Request&)>;

// A row of the route table (app/routes.cc): data, so that tests and /openapi.json can read it.
struct Route {
  Method method;
  std::string pattern;  // "/api/v1/artifacts/{id}"; a segment is literal or {name}
  Guard guard;          // Required; public_access() for open doors.
  uint64_t body_max_bytes = 0;
  Handler handler;
  Dialect dialect = Dialect::kPortal;
  bool access_log = true;           // Off where monitors ask again and again.
  bool is_probe = false;            // Never refused for want of a place; its answer is small.
  std::string_view who = "public";  // "project key", "admin", …; a public body has little time.
  std::string_view summary = {};    // One line for /openapi.json; "" for static pages.
};
Guard public_access();

inline constexpr uint64_t kNoBody = 0;
// For limits in route tables.
inline constexpr uint64_t kib(uint64_t n) {
  return n << 10;
}
inline constexpr uint64_t mib(uint64_t n) {
  return n << 20;
}

// Conditional and range requests (RFC 9110 §13, §14) over a representation of known size and strong
// ETag ("" = none). Sets Accept-Ranges, ETag; decides 200, 206, 304, 412 or 416 and the byte range.
struct RangeDecision {
  int status = 200;
  uint64_t offset = 0, size_bytes = 0;
};
RangeDecision decide_range(const Request& request, uint64_t size_bytes, std::string_view etag,
                           Response& response);

}  // namespace kvcs::http

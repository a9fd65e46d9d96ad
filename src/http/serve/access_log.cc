// The line of a finished request, written by hand into memory that is used again: it is part of
// every request's cost.
#include "http/serve/access_log.h"

#include "base/bytes.h"
#include "base/chars.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/log_gatherer.h"
#include "http/router.h"

namespace kvcs::http {
namespace {

constexpr size_t kPathMaxBytes = 500, kClientIdMaxBytes = 64, kLineBytes = 512;

// For values that a client chose: no control character or bidi mark of theirs gets into the
// terminal of a person who reads the log.
void add_foreign(JsonObjectText& line, std::string_view name, std::string_view value) {
  if (value.size() <= kPathMaxBytes && plain_prefix(value) == value.size()) {
    line.text(name, value);
  } else {
    line.text(name, printable(value, kPathMaxBytes));
  }
}

}  // namespace

std::string_view loggable_path(const Request& request, std::string_view path) {
  if (request.route == nullptr) return path;
  const std::string_view pattern = request.route->pattern;
  return has_secret(pattern) ? pattern : path;
}

void AccessLog::write(const Request& request, std::string_view path, const RequestRecord& record,
                      int64_t unix_ms) {
  if (!log::enabled(log::Level::kInfo)) return;
  JsonObjectText line(line_, kLineBytes);
  line.text("ts", format_iso8601_ms(unix_ms)).text("level", "info").text("event", "http.request");
  line.text("request_id", request.request_id);
  if (const auto theirs = request.header("x-request-id")) {
    add_foreign(line, "client_request_id", theirs->substr(0, kClientIdMaxBytes));
  }
  line.text("method", path.empty() ? "-" : method_name(record.method));
  add_foreign(line, "path", path.empty() ? "-" : loggable_path(request, path));
  line.number("status", record.status).number("duration_us", record.duration_us);
  line.number("received_bytes", static_cast<int64_t>(record.received_bytes));
  line.number("sent_bytes", static_cast<int64_t>(record.sent_bytes));
  add_foreign(line, "remote_ip", request.remote_ip);
  if (!request.principal.key_id.empty()) add_foreign(line, "key_id", request.principal.key_id);
  line.finish();
  line_ += '\n';
  log::gathered_line(line_);
}

}  // namespace kvcs::http

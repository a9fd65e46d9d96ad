#include "http/access_log.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/log_gatherer.h"

namespace kvcs::http {
namespace {

constexpr size_t kPathMaxBytes = 500;
void add_text(std::string& line, std::string_view name, std::string_view value) {
  ((line += ",\"") += name) += "\":";
  const auto is_plain = [](char c) { return c >= 0x20 && c < 0x7f; };
  if (value.size() <= kPathMaxBytes && std::all_of(value.begin(), value.end(), is_plain)) {
    append_json_string(line, value);
  } else {
    append_json_string(line, printable(value, kPathMaxBytes));
  }
}
void add_number(std::string& line, std::string_view name, uint64_t value) {
  (((line += ",\"") += name) += "\":") += std::to_string(value);
}

}  // namespace

void AccessLog::write(const Request& request, std::string_view path, const RequestRecord& record,
                      int64_t unix_ms) {
  if (!log::enabled(log::Level::kInfo)) return;
  std::string& line = line_;
  line.assign("{\"ts\":\"").append(format_iso8601_ms(unix_ms));
  line.append("\",\"level\":\"info\",\"event\":\"http.request\"");
  add_text(line, "request_id", request.request_id);
  add_text(line, "method", path.empty() ? "-" : method_name(record.method));
  add_text(line, "path", path.empty() ? "-" : path);
  add_number(line, "status", static_cast<uint64_t>(record.status));
  add_number(line, "duration_us", static_cast<uint64_t>(record.duration_us));
  add_number(line, "received_bytes", record.received_bytes);
  add_number(line, "sent_bytes", record.sent_bytes);
  add_text(line, "remote_ip", request.remote_ip);
  if (!request.principal.key_id.empty()) add_text(line, "key_id", request.principal.key_id);
  line += "}\n";
  log::gathered_line(line);
}

}  // namespace kvcs::http

// The HTTP client behind the commands: how a request is sent, and how an answer that is not 2xx
// becomes a Status. One thread.
#include "cli/api_client.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <ctime>

#include "base/bytes.h"
#include "base/json_size.h"
#include "base/mutex.h"
#include "cli/credentials.h"
#include "cli/error_codes.h"
#include "cli/interrupt.h"
#include "cli/server_words.h"

namespace kvcs::cli {
namespace {

constexpr size_t kAnswerMaxBytes = 256 << 20;  // A list of everything may be long.
// Of the refusal of a key where a person is needed, which bears no code.
constexpr std::string_view kNeedsPerson = "somebody who has signed in";
constexpr int kDropMs = 2'000;
// How often a wait looks for a signal.
constexpr int64_t kPauseStepMs = 100;

// The code of an HTTP status for a command. A status that the list lacks is the server's fault from
// 500 on, and the caller's below.
Code code_of(int http_status) {
  switch (http_status) {
    case 400:
      return Code::kInvalid;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kForbidden;
    case 404:
    case 410:
      return Code::kNotFound;
    case 408:
      return Code::kTimeout;
    case 409:
    case 412:
    case 423:
      return Code::kConflict;
    case 413:
    case 507:
      return Code::kTooLarge;
    case 429:
      return Code::kRateLimited;
    case 425:
    case 503:
      return Code::kUnavailable;
    case 504:
      return Code::kTimeout;
    default:
      return http_status >= 500 ? Code::kUpstream : Code::kInvalid;
  }
}

}  // namespace

// A wait on a condition that nobody signals, as the house forbids sleeps.
void pause_ms(int64_t ms) {
  Mutex mutex;
  CondVar never;
  MutexLock lock(mutex);
  (void)never.wait_for_ms(mutex, ms);
}

namespace {

// What stands beside a bare "Bad Request" says all that there is: one sentence or several. "" when
// it is none.
std::string sentences_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  std::string text;
  if (!value.is_array()) return text;
  for (const Json& one : value) {
    if (!one.is_string()) return {};
    text += (text.empty() ? "" : " ") + one.get<std::string>();
  }
  return text;
}

}  // namespace

// Servers put their reason into "error" and "code", and beside them into "message", "details",
// "expected" and "actual". All that are there become one text.
Status status_of_answer(int http_status, std::string_view body) {
  std::string message, code;
  bool is_quota = false;
  const auto json = parse_json(body);
  if (json.ok() && (*json).is_object()) {
    const Json& error = *json;
    message = text_member(error, "error");
    code = text_member(error, "code");
    // The portal's refusals have no code; their figures tell this one.
    is_quota = is_quota_word(code) || (error.contains("resource") && error.contains("limit"));
    for (const char* name : {"message", "details", "expected", "actual"}) {
      const auto it = error.find(name);
      if (it == error.end()) continue;
      if (std::string said = sentences_of(*it); message == "Bad Request" && !said.empty()) {
        message = std::move(said);
        continue;
      }
      message += std::string(message.empty() ? "" : "; ") + name + ": " +
                 (it->is_string() ? it->get<std::string>() : dump_json(*it));
    }
  }
  message = in_commands(std::move(message));
  // Whose disk: the one here may be full as well.
  constexpr std::string_view kTheirDisk = "The disk ";
  if (code == "disk_full" && message.starts_with(kTheirDisk)) {
    message = "The server's disk " + message.substr(kTheirDisk.size());
  }
  if (message.empty() && http_status == 413) {
    message =
        "A proxy on the way refused the body for its size (413). Raise its limit; nginx's is "
        "client_max_body_size.";
  }
  if (message.empty()) message = "The server answered " + std::to_string(http_status) + ".";
  const bool refuses_more = is_quota && (http_status == 403 || http_status == 429);
  return Status(refuses_more ? Code::kQuotaExceeded : code_of(http_status), std::move(message))
      .with_reason(code);
}

Status status_of_answer(const http::FetchAnswer& answer) {
  Status failed = status_of_answer(answer.status, answer.body);
  const int wait_s = retry_after_s(answer.header("retry-after").value_or(""),
                                   answer.header("date").value_or(""), std::time(nullptr));
  return wait_s == 0 ? std::move(failed) : std::move(failed).with_retry_after_s(wait_s);
}

// In steps, so that Ctrl-C ends the wait.
Repeat::Hooks silent_repeat_hooks() {
  return {.note = {},
          .pause =
              [](int64_t ms) {
                for (; ms > 0 && !interrupted(); ms -= kPauseStepMs) {
                  pause_ms(std::min(ms, kPauseStepMs));
                }
              },
          .stopped = interrupted};
}

Repeat::Hooks repeat_hooks(Console& console) {
  Repeat::Hooks hooks = silent_repeat_hooks();
  hooks.note = [&console](const std::string& line) { console.note(line); };
  return hooks;
}

// Stores that others run say it in words alone.
bool is_expired_url(const Status& failure) {
  return failure.reason().empty() ? failure.message().find("expired") != std::string::npos
                                  : failure.reason() == "url_expired";
}

ApiClient::ApiClient(ApiSettings settings)
    : settings_(std::move(settings)), fetcher_(settings_.policy) {}

namespace {

// Of a URL that is not the server's own, or needs no key there.
Status status_of_elsewhere(const http::FetchAnswer& answer) {
  if (answer.moved_to.empty()) return status_of_answer(answer);
  return invalid("It has moved to " +
                 printable(http::without_password(answer.moved_to), kShownWhole) +
                 ", where a password does not follow by itself.")
      .with_reason("moved");
}

http::FetchRequest json_request(std::string_view method, const Json& body) {
  http::FetchRequest request;
  request.method = method;
  request.body = dump_json(body);
  request.headers.push_back({"content-type", "application/json"});
  return request;
}

}  // namespace

Result<Json> ApiClient::call(std::string_view method, const std::string& path) {
  http::FetchRequest request;
  request.method = method;
  return read_answer(send(std::move(request), path), path);
}

Result<Json> ApiClient::call(std::string_view method, const std::string& path, const Json& body) {
  return read_answer(send(json_request(method, body), path), path);
}

Result<Json> ApiClient::post_repeatable(const std::string& path, const Json& body,
                                        const std::string& idempotency_key) {
  http::FetchRequest request = json_request("POST", body);
  request.is_repeatable = true;
  if (!idempotency_key.empty()) request.headers.push_back({"idempotency-key", idempotency_key});
  return read_answer(send(std::move(request), path), path);
}

Result<Json> ApiClient::get_tagged(const std::string& path, std::string& etag) {
  return read_answer(send({}, path, &etag), path);
}

Result<Json> ApiClient::put_tagged(const std::string& path, const Json& body,
                                   const std::string& etag) {
  http::FetchRequest request = json_request("PUT", body);
  if (!etag.empty()) request.headers.push_back({"if-match", etag});
  return read_answer(send(std::move(request), path), path);
}

Result<std::string> ApiClient::call_bytes(std::string_view method, const std::string& path,
                                          std::string body, const std::string& content_type) {
  http::FetchRequest request;
  request.method = method;
  request.body = std::move(body);
  if (!content_type.empty()) request.headers.push_back({"content-type", content_type});
  return send(std::move(request), path);
}

// An empty body is null: a 204 has none. Numbers keep their digits (parse_json_exact), because
// prices pass through here.
Result<Json> ApiClient::read_answer(const Result<std::string>& body,
                                    const std::string& path) const {
  if (!body.ok()) return body.status();
  if (body.value().empty()) return Json();
  // As long as its lists are: the server is the user's own, and the answer's bytes are bounded.
  auto json = parse_long_json_exact(body.value());
  if (!json.ok()) return upstream_failed(settings_.url + path + " did not answer with JSON.");
  return json;
}

Result<http::FetchAnswer> ApiClient::exchange(http::FetchRequest request, const std::string& path) {
  KVCS_TRY(Status(settings_.fault));
  if (settings_.key.empty()) {
    return unauthenticated("There is no key for " + settings_.url + ". " + settings_.key_advice);
  }
  request.url = settings_.url + path;
  request.headers.push_back({"authorization", "Bearer " + settings_.key.reveal()});
  http::FetchAnswer answer = KVCS_TRY(fetcher_.ask(request, kAnswerMaxBytes));
  if (!answer.moved_to.empty()) return moved(answer, path);
  return answer;
}

// The server of before may be named by anybody who has its address now: the key does not follow.
Status ApiClient::moved(const http::FetchAnswer& answer, const std::string& path) const {
  std::string there = answer.moved_to;
  if (there.ends_with(path)) there.resize(there.size() - path.size());
  const std::string shown = printable(http::without_password(there), kShownValue);
  return invalid(settings_.url + " has moved to " + shown +
                 ". A key follows to no other server by itself: set KVCS_API_URL=" + shown +
                 ", or run `kvcs server use " + shown + "`.")
      .with_reason("moved");
}

Result<std::string> ApiClient::send(http::FetchRequest request, const std::string& path,
                                    std::string* etag) {
  http::FetchAnswer answer = KVCS_TRY(exchange(std::move(request), path));
  if (etag != nullptr) *etag = answer.header("etag").value_or("");
  if (answer.ok()) return std::move(answer.body);
  return refusal(answer);
}

// The advice says where a key belongs, and what hides a login; the server's words alone would not.
Status ApiClient::refusal(const http::FetchAnswer& answer) const {
  const Status failed = status_of_answer(answer);
  std::string message = failed.message();
  if (answer.status == 401) {
    message += " " + settings_.key_advice;
  } else if (answer.status == 403 && message.find(kNeedsPerson) != message.npos) {
    const auto logins = read_logins();
    const bool is_signed_in =
        logins.ok() && std::any_of(logins->begin(), logins->end(), [this](const Login& login) {
          return login.server == settings_.url;
        });
    if (!is_signed_in) message += " Run `kvcs login`.";
    const bool goes_before =
        settings_.key_source == "environment" || settings_.key_source == "configuration";
    if (goes_before) message += " " + settings_.key_advice;
  }
  return Status(failed.code(), std::move(message))
      .with_reason(failed.reason())
      .with_retry_after_s(failed.retry_after_s());
}

void ApiClient::drop(const std::string& path, http::FetchHeaders headers) {
  http::FetchRequest request;
  request.method = "DELETE";
  request.headers = std::move(headers);
  request.deadline_ms = kDropMs;
  request.ignores_stop = true;
  (void)exchange(std::move(request), path);
}

Result<http::FetchAnswer> ApiClient::fetch(const http::FetchRequest& request) {
  http::FetchAnswer answer = KVCS_TRY(fetcher_.ask(request, kAnswerMaxBytes));
  if (!answer.ok()) return status_of_elsewhere(answer);
  return answer;
}

Result<ApiClient::Remote> ApiClient::look_at(const std::string& url,
                                             const std::string& authorization) {
  http::FetchRequest request;
  request.method = "HEAD";
  request.url = url;
  if (!authorization.empty()) request.headers.push_back({"authorization", authorization});
  const http::FetchAnswer answer = KVCS_TRY(fetcher_.ask(request, kAnswerMaxBytes));
  // The answer to a HEAD has no body and so no reason for a refusal; a GET of one byte brings it.
  if (answer.status >= 400) {
    request.method = "GET";
    request.headers.push_back({"range", "bytes=0-0"});
    return status_of_elsewhere(KVCS_TRY(fetcher_.ask(request, kAnswerMaxBytes)));
  }
  if (!answer.ok()) return status_of_elsewhere(answer);
  const auto size = parse_u64(answer.header("content-length").value_or(""), "content-length");
  if (!size.ok()) return upstream_failed("The server does not say how many bytes there are.");
  std::string etag(answer.header("etag").value_or(""));
  std::erase(etag, '"');
  return Remote{*size, std::move(etag),
                std::string(answer.header("content-disposition").value_or(""))};
}

// A download without deadline, because its length is anyone's guess. With If-Range the server sends
// the whole file (200) instead of the rest (206) when it has changed; the caller tells them apart
// by the status.
Status ApiClient::get_bytes(const std::string& url, ByteRange range, const std::string& etag,
                            const std::string& authorization, const http::Fetcher::Take& take) {
  http::FetchRequest request;
  request.url = url;
  if (!authorization.empty()) request.headers.push_back({"authorization", authorization});
  request.deadline_ms = 0;
  if (range.from > 0 || range.to > 0) {
    const std::string last = range.to > 0 ? std::to_string(range.to - 1) : std::string();
    request.headers.push_back({"range", "bytes=" + std::to_string(range.from) + "-" + last});
    if (!etag.empty()) request.headers.push_back({"if-range", "\"" + etag + "\""});
  }
  const http::FetchAnswer answer = KVCS_TRY(fetcher_.receive(request, take));
  if (answer.ok()) return ok();
  Status failed = status_of_elsewhere(answer);
  return answer.status == 416 ? std::move(failed).with_reason("range_refused") : failed;
}

}  // namespace kvcs::cli

// The HTTP client behind the commands: where server and key come from, how a request is sent, and
// how an answer that is not 2xx becomes a Status. One thread.
#include "cli/api_client.h"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "base/bytes.h"
#include "base/json_size.h"
#include "base/mutex.h"
#include "cli/credentials.h"
#include "cli/error_codes.h"
#include "cli/server_words.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

// The configuration and the credentials; both are some hundred bytes.
constexpr uint64_t kSmallFileMaxBytes = 64 << 10;
constexpr size_t kAnswerMaxBytes = 256 << 20;  // A list of everything may be long.
// A longer Retry-After is not believed.
constexpr uint64_t kRetryAfterMaxS = 3600;
// Of the refusal of a key where a person is needed, which bears no code.
constexpr std::string_view kNeedsPerson = "somebody who has signed in";
constexpr const char* kDefaultUrl = "http://127.0.0.1:8080";

// The first variable that is set and not empty.
std::string environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

// The credentials that a local daemon has left at its first start; {} when there are none that this
// user may read. The first folder with a readable file wins.
Json local_credentials() {
  for (const std::string& folder :
       {environment({"KVCS_DATA_DIR"}), std::string("data"), std::string("/var/lib/kvcs")}) {
    if (folder.empty()) continue;
    const auto text =
        kvfile::read_small_file(folder + "/initial-credentials.json", kSmallFileMaxBytes);
    if (!text.ok()) continue;
    auto json = parse_json(*text);
    if (json.ok() && (*json).is_object()) return std::move(json).value();
  }
  return Json::object();
}

// Paths begin with a slash, so the base must not end with one.
std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

std::string find_url(const Json& config, const Json& local) {
  std::string url = environment({"KVCS_API_URL", "KVCDN_API_URL"});
  if (url.empty()) url = text_member(config, "api_url");
  if (url.empty()) url = text_member(local, "url");
  if (url.empty()) url = kDefaultUrl;
  return without_slash(url);
}

// Takes `key` unless one was found before; callers try the sources in their order of rank.
void take_key(ApiSettings& found, std::string key, const char* source) {
  if (found.key_source.empty()) found.key_source = "none";
  if (!found.key.empty() || key.empty()) return;
  found.key = Secret(std::move(key));
  found.key_source = source;
}

// A login at the server is renewed here when it is about to end.
void take_login(ApiSettings& found) {
  if (!found.key.empty()) return;
  const Result<std::optional<Login>> login = fresh_login(found.url);
  if (!login.ok()) {
    found.key_advice = login.status().message();
  } else if (*login) {
    take_key(found, (*login)->access_token.reveal(), "login");
    found.key_advice = "Run `kvcs login` again.";
  }
}

// Whether the server that was chosen is the one that the local credentials belong to. Their key
// must not go to any other server.
bool is_local(const ApiSettings& found, const Json& local) {
  return found.url == without_slash(text_member(local, "url"));
}

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
      return Code::kTooLarge;
    case 429:
      return Code::kRateLimited;
    case 503:
      return Code::kUnavailable;
    case 504:
      return Code::kTimeout;
    default:
      return http_status >= 500 ? Code::kUpstream : Code::kInvalid;
  }
}

}  // namespace

std::string client_config_path() {
  const std::string base = environment({"XDG_CONFIG_HOME"});
  if (!base.empty()) return base + "/kvcs/config.json";
  return environment({"HOME"}) + "/.config/kvcs/config.json";
}

Result<Json> read_client_config() {
  const std::string path = client_config_path();
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return Json::object();
  const std::string text = KVCS_TRY(kvfile::read_small_file(path, kSmallFileMaxBytes));
  auto config = parse_json(text);
  if (!config.ok() || !(*config).is_object()) {
    return invalid(path + " is not a JSON object; correct or remove it.");
  }
  return config;
}

// Replaces the whole file. The umask is the process's, so no other thread may create files
// meanwhile; commands have one thread here.
Status write_client_config(const Json& config) {
  const std::filesystem::path path = client_config_path();
  std::error_code failed;
  std::filesystem::create_directories(path.parent_path(), failed);
  if (failed) return io_error("create", path.parent_path().string(), failed.value());
  // The file is created with the mode it must have, never readable to others in between.
  const mode_t before = ::umask(0077);
  const Status written =
      kvfile::write_file_atomically(path.string(), dump_json_pretty(config) + "\n");
  ::umask(before);
  KVCS_TRY(Status(written));
  if (::chmod(path.c_str(), 0600) != 0) return io_error("chmod", path.string(), errno);
  return ok();
}

std::string find_api_url(std::string_view named_url) {
  if (!named_url.empty()) return without_slash(std::string(named_url));
  return find_url(read_client_config().value_or(Json::object()), local_credentials());
}

namespace {

// The advice for a key that is used though somebody may have signed in.
std::string advice_before_login(const ApiSettings& settings) {
  if (settings.key_source == "configuration") {
    return "The stored key goes before a login: `kvcs api-key clear` forgets it.";
  }
  std::string options;
  for (const std::string& name : settings.key_variables) options += " -u " + name;
  return "The key of " + join(settings.key_variables, ", ") + " goes before a login: `env" +
         options + " kvcs …` leaves it out.";
}

void take_environment_key(ApiSettings& found, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const std::string key = environment({name});
    if (key.empty()) continue;
    take_key(found, key, "environment");
    found.key_variables.emplace_back(name);
  }
}

}  // namespace

// A damaged configuration file is ignored here, and reported by the commands that change it.
ApiSettings find_api_settings(std::string_view named_url) {
  const Json config = read_client_config().value_or(Json::object());
  const Json local = local_credentials();
  ApiSettings found;
  found.url = named_url.empty() ? find_url(config, local) : without_slash(std::string(named_url));
  take_environment_key(found, {"KVCS_TOKEN", "KVCS_API_KEY", "KVCDN_API_KEY"});
  const std::string key_url = text_member(config, "api_key_url");
  if (key_url.empty() || key_url == found.url) {
    take_key(found, text_member(config, "api_key"), "configuration");
  }
  if (!found.key.empty()) found.key_advice = advice_before_login(found);
  take_login(found);
  if (is_local(found, local)) take_key(found, text_member(local, "api_key"), "local daemon");
  return found;
}

// An administrator's key is never taken from the configuration file: the environment or the
// daemon's own credentials have it.
ApiSettings find_admin_settings() {
  const Json config = read_client_config().value_or(Json::object());
  const Json local = local_credentials();
  ApiSettings found;
  found.url = find_url(config, local);
  found.key_advice =
      "Set KVCS_ADMIN_KEY, run `kvcs login` as an operator, or run this where "
      "initial-credentials.json is.";
  take_environment_key(found, {"KVCS_ADMIN_KEY"});
  if (!found.key.empty()) found.key_advice = advice_before_login(found);
  if (is_local(found, local)) take_key(found, text_member(local, "admin_key"), "local daemon");
  take_login(found);
  return found;
}

// A wait on a condition that nobody signals, as the house forbids sleeps.
void pause_ms(int64_t ms) {
  Mutex mutex;
  CondVar never;
  MutexLock lock(mutex);
  (void)never.wait_for_ms(mutex, ms);
}

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
      message += std::string(message.empty() ? "" : "; ") + name + ": " +
                 (it->is_string() ? it->get<std::string>() : dump_json(*it));
    }
  }
  message = in_commands(std::move(message));
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

ApiClient::ApiClient(ApiSettings settings)
    : settings_(std::move(settings)),
      clock_(make_system_clock()),
      upstream_(http::make_http_upstream({}, *clock_)) {}

Result<Json> ApiClient::call(std::string_view method, const std::string& path) {
  http::UpstreamRequest request;
  request.method = method;
  return read_answer(send(std::move(request), path), path);
}

Result<Json> ApiClient::call(std::string_view method, const std::string& path, const Json& body) {
  http::UpstreamRequest request;
  request.method = method;
  request.body = dump_json(body);
  request.headers.push_back({"content-type", "application/json"});
  return read_answer(send(std::move(request), path), path);
}

Result<Json> ApiClient::get_tagged(const std::string& path, std::string& etag) {
  return read_answer(send({}, path, &etag), path);
}

Result<Json> ApiClient::put_tagged(const std::string& path, const Json& body,
                                   const std::string& etag) {
  http::UpstreamRequest request;
  request.method = "PUT";
  request.body = dump_json(body);
  request.headers.push_back({"content-type", "application/json"});
  if (!etag.empty()) request.headers.push_back({"if-match", etag});
  return read_answer(send(std::move(request), path), path);
}

Result<std::string> ApiClient::call_bytes(std::string_view method, const std::string& path,
                                          std::string body, const std::string& content_type) {
  http::UpstreamRequest request;
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

Result<std::unique_ptr<http::UpstreamResponse>> ApiClient::exchange(http::UpstreamRequest request,
                                                                    const std::string& path) {
  if (settings_.key.empty()) {
    return unauthenticated("There is no key for " + settings_.url + ". " + settings_.key_advice);
  }
  request.url = settings_.url + path;
  request.allow_private_addresses = true;
  request.headers.push_back({"authorization", "Bearer " + settings_.key.reveal()});
  auto answer = upstream_->open(request);
  if (!answer.ok()) {
    return std::move(answer).status().with_context(settings_.url + " cannot be reached");
  }
  return answer;
}

Result<std::string> ApiClient::send(http::UpstreamRequest request, const std::string& path,
                                    std::string* etag) {
  const auto answer = KVCS_TRY(exchange(std::move(request), path));
  std::string body = KVCS_TRY(answer->read_all(kAnswerMaxBytes));
  const int http_status = answer->status();
  if (etag != nullptr) *etag = answer->header("etag").value_or("");
  if (http_status / 100 == 2) return body;
  Status failed = refusal(http_status, body);
  const auto wait_s = parse_u64(answer->header("retry-after").value_or(""), "retry-after");
  if (!wait_s.ok() || *wait_s > kRetryAfterMaxS) return failed;
  return std::move(failed).with_retry_after_s(static_cast<int>(*wait_s));
}

// The advice says where a key belongs, and what hides a login; the server's words alone would not.
Status ApiClient::refusal(int http_status, std::string_view body) const {
  const Status failed = status_of_answer(http_status, body);
  std::string message = failed.message();
  if (http_status == 401) {
    message += " " + settings_.key_advice;
  } else if (http_status == 403 && message.find(kNeedsPerson) != message.npos) {
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
  return Status(failed.code(), std::move(message)).with_reason(failed.reason());
}

Result<ApiClient::Remote> ApiClient::look_at(const std::string& url,
                                             const std::string& authorization) {
  http::UpstreamRequest request;
  request.method = "HEAD";
  request.url = url;
  request.allow_private_addresses = true;
  if (!authorization.empty()) request.headers.push_back({"authorization", authorization});
  auto answer = KVCS_TRY(upstream_->open(request));
  if (answer->status() / 100 == 3) {
    return invalid("It has moved to " +
                   printable(answer->header("location").value_or("another address"), kShownWhole) +
                   ".");
  }
  // The answer to a HEAD has no body and so no reason for a refusal; a GET of one byte brings it.
  if (answer->status() / 100 != 2) {
    request.method = "GET";
    request.headers.push_back({"range", "bytes=0-0"});
    answer = KVCS_TRY(upstream_->open(request));
    const std::string body = KVCS_TRY(answer->read_all(kAnswerMaxBytes));
    return status_of_answer(answer->status(), body);
  }
  const auto size = parse_u64(answer->header("content-length").value_or(""), "content-length");
  if (!size.ok()) return upstream_failed("The server does not say how many bytes there are.");
  std::string etag(answer->header("etag").value_or(""));
  std::erase(etag, '"');
  return Remote{*size, std::move(etag),
                std::string(answer->header("content-disposition").value_or(""))};
}

// A download without deadline, because its length is anyone's guess. With If-Range the server sends
// the whole file (200) instead of the rest (206) when it has changed; the caller tells them apart
// by the status.
Result<std::unique_ptr<http::UpstreamResponse>> ApiClient::get_bytes(
    const std::string& url, uint64_t offset, const std::string& etag,
    const std::string& authorization) {
  http::UpstreamRequest request;
  request.url = url;
  request.allow_private_addresses = true;
  if (!authorization.empty()) request.headers.push_back({"authorization", authorization});
  request.deadline_ms = 0;
  if (offset > 0) {
    request.headers.push_back({"range", "bytes=" + std::to_string(offset) + "-"});
    if (!etag.empty()) request.headers.push_back({"if-range", "\"" + etag + "\""});
  }
  auto answer = KVCS_TRY(upstream_->open(request));
  if (answer->status() / 100 != 2) {
    const std::string body = KVCS_TRY(answer->read_all(64 << 10));
    return status_of_answer(answer->status(), body);
  }
  return answer;
}

}  // namespace kvcs::cli

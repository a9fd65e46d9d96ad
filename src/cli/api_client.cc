#include "cli/api_client.h"

#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "base/bytes.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kSmallFileMaxBytes = 64 << 10;
constexpr size_t kAnswerMaxBytes = 256 << 20;  // A list of everything may be long.
constexpr const char* kDefaultUrl = "http://127.0.0.1:8080";

std::string environment(std::initializer_list<const char*> names) {
  for (const char* name : names) {
    const char* const value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return {};
}

std::string text_of(const Json& object, const char* name) {
  const auto it = object.find(name);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// {} when no local daemon has left its credentials for us to read.
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

std::string without_slash(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  return url;
}

Code code_of(int http_status) {
  switch (http_status) {
    case 400:
      return Code::kInvalid;
    case 401:
      return Code::kUnauthenticated;
    case 403:
      return Code::kForbidden;
    case 404:
      return Code::kNotFound;
    case 409:
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

ApiSettings find_api_settings() {
  ApiSettings found;
  const Json config = read_client_config().value_or(Json::object());
  const Json local = local_credentials();
  const std::string local_url = without_slash(text_of(local, "url"));
  found.url = environment({"KVCS_API_URL", "KVCDN_API_URL"});
  if (found.url.empty()) found.url = text_of(config, "api_url");
  if (found.url.empty()) found.url = local_url;
  if (found.url.empty()) found.url = kDefaultUrl;
  found.url = without_slash(found.url);
  const auto take = [&found](std::string key, const char* source) {
    if (!found.key.empty() || key.empty()) return;
    found.key = Secret(std::move(key));
    found.key_source = source;
  };
  take(environment({"KVCS_API_KEY", "KVCDN_API_KEY"}), "environment");
  take(text_of(config, "api_key"), "configuration");
  if (found.url == local_url) take(text_of(local, "api_key"), "local daemon");
  if (found.key.empty()) found.key_source = "none";
  return found;
}

Status status_of_answer(int http_status, std::string_view body) {
  std::string message;
  const auto json = parse_json(body);
  if (json.ok() && (*json).is_object()) {
    const Json& error = *json;
    message = text_of(error, "error");
    for (const char* name : {"message", "details", "expected", "actual"}) {
      const auto it = error.find(name);
      if (it == error.end()) continue;
      message += std::string(message.empty() ? "" : "; ") + name + ": " +
                 (it->is_string() ? it->get<std::string>() : dump_json(*it));
    }
  }
  if (message.empty()) message = "The server answered " + std::to_string(http_status) + ".";
  if (http_status == 401) {
    message += " Set KVCS_API_KEY, or store a key with `kvcs api-key set`.";
  }
  return {code_of(http_status), std::move(message)};
}

ApiClient::ApiClient(ApiSettings settings)
    : settings_(std::move(settings)),
      clock_(make_system_clock()),
      upstream_(http::make_http_upstream({}, *clock_)) {}

Result<Json> ApiClient::call(std::string_view method, const std::string& path) {
  http::UpstreamRequest request;
  request.method = method;
  return send(std::move(request), path);
}

Result<Json> ApiClient::call(std::string_view method, const std::string& path, const Json& body) {
  http::UpstreamRequest request;
  request.method = method;
  request.body = dump_json(body);
  request.headers.push_back({"content-type", "application/json"});
  return send(std::move(request), path);
}

Result<Json> ApiClient::send(http::UpstreamRequest request, const std::string& path) {
  if (settings_.key.empty()) {
    return unauthenticated("There is no API key for " + settings_.url +
                           ". Set KVCS_API_KEY, or store one with `kvcs api-key set`.");
  }
  request.url = settings_.url + path;
  request.allow_private_addresses = true;
  request.headers.push_back({"authorization", "Bearer " + settings_.key.reveal()});
  auto answer = upstream_->open(request);
  if (!answer.ok()) {
    return std::move(answer).status().with_context(settings_.url + " cannot be reached");
  }
  const std::string body = KVCS_TRY((*answer)->read_all(kAnswerMaxBytes));
  if ((*answer)->status() / 100 != 2) return status_of_answer((*answer)->status(), body);
  if (body.empty()) return Json();
  auto json = parse_json(body);
  if (!json.ok()) return upstream_failed(settings_.url + path + " did not answer with JSON.");
  return json;
}

Result<std::unique_ptr<http::UpstreamResponse>> ApiClient::get_bytes(const std::string& url,
                                                                     uint64_t offset,
                                                                     const std::string& etag) {
  http::UpstreamRequest request;
  request.url = url;
  request.allow_private_addresses = true;
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

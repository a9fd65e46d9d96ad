// Takes the origin out of a URL in one spelling, so that two origins are the same when their texts
// are.
#include "base/origins.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"

namespace kvcs {

std::string origin_of(std::string_view url) {
  const size_t scheme = url.find("://");
  if (scheme == url.npos || scheme == 0) return {};
  const size_t host = scheme + 3;
  const size_t end = std::min(url.find_first_of("/?#\\", host), url.size());
  if (end == host) return {};
  std::string origin = lower_ascii(url.substr(0, end));
  // Names before the host are refused wherever a URL is read; none may pass for a host here.
  if (origin.find('@') != origin.npos) return {};
  for (const std::string_view port : {origin.starts_with("https:") ? ":443" : ":80", ":"}) {
    if (origin.ends_with(port)) origin.resize(origin.size() - port.size());
  }
  if (origin.ends_with('.')) origin.pop_back();  // The root of names, which changes nothing.
  return origin;
}

Origins origins_of(const std::vector<std::string_view>& urls) {
  Origins origins;
  for (const std::string_view url : urls) {
    if (std::string origin = origin_of(url); !origin.empty()) origins.push_back(std::move(origin));
  }
  std::sort(origins.begin(), origins.end());
  origins.erase(std::unique(origins.begin(), origins.end()), origins.end());
  return origins;
}

bool may_go_to(const Origins& bound, std::string_view origin) {
  return std::find(bound.begin(), bound.end(), origin) != bound.end();
}

bool may_all_go_to(const Origins& bound, const Origins& wanted) {
  return std::all_of(wanted.begin(), wanted.end(),
                     [&](const std::string& origin) { return may_go_to(bound, origin); });
}

// No key and no origin holds a NUL, so that no two lists read the same.
std::string bound_context(std::string_view key, const Origins& bound) {
  std::string context(key);
  for (const std::string& origin : bound) (context += '\0') += origin;
  return context;
}

Status secret_origin_changed(std::string_view secret, std::string_view origin, const Origins& bound,
                             std::string_view again) {
  std::vector<std::string> shown;
  for (const std::string& each : bound) shown.push_back(printable(each, kShownValue));
  return conflict(std::string(secret) + " was not given for " + printable(origin, kShownValue) +
                  " but for " + (shown.empty() ? "no origin that is known" : join(shown, ", ")) +
                  "; nothing was sent. " + std::string(again))
      .with_reason(kSecretOriginChanged);
}

Json origins_json(const Origins& bound) {
  return Json(bound);
}

Origins origins_member(const Json& record, const char* name) {
  Origins bound;
  const auto list = record.find(name);
  if (list == record.end() || !list->is_array()) return bound;
  for (const Json& origin : *list) {
    if (origin.is_string()) bound.push_back(origin.get<std::string>());
  }
  return bound;
}

}  // namespace kvcs

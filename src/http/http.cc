// The small parts of the face: reading a request's headers, query and bearer token, and making
// responses. Values of one request, used by the thread that serves it.
#include "http/http.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/chars.h"
#include "http/form.h"
#include "http/header_list.h"

namespace kvcs::http {
namespace {
// As many as an answer of the tool gateway has: one allocation instead of five.
constexpr size_t kHeadersMostly = 24;

// Most names differ in their length, which costs no call.
bool is_named(std::string_view header, std::string_view name) {
  return header.size() == name.size() && equal_ignore_case(header, name);
}
}  // namespace

std::string_view method_name(Method method) {
  static constexpr std::string_view kNames[] = {"GET",   "HEAD",   "POST",   "PUT",
                                                "PATCH", "DELETE", "OPTIONS"};
  return kNames[static_cast<size_t>(method)];
}

Result<std::string> BodyReader::read_all() {
  static constexpr size_t kStepBytes = 64 << 10, kReserveMaxBytes = 1 << 20;
  std::string body;
  const std::optional<uint64_t> declared = declared_size_bytes();
  // The declaration is the client's word: it sizes the first allocation only up to a bound.
  if (declared) body.reserve(std::min<uint64_t>(*declared, kReserveMaxBytes));
  size_t used = 0, kept = 0;
  // A declared body is read up to its length and no further, so that the last read() need not find
  // the end. A chunked one is read until read() says 0.
  while (!declared || used < *declared) {
    const size_t step = declared
                            ? static_cast<size_t>(std::min<uint64_t>(*declared - used, kStepBytes))
                            : kStepBytes;
    if (used + step > kept) KVCS_TRY(keep(used + step - kept));
    kept = std::max(kept, used + step);
    body.resize(used + step);
    const size_t n = KVCS_TRY(read(std::span(body).subspan(used, step)));
    if (n == 0) break;
    used += n;
  }
  body.resize(used);
  return body;
}

std::optional<std::string_view> Request::header(std::string_view name) const {
  for (const Header& header : headers) {
    if (is_named(header.name, name)) return header.value;
  }
  return std::nullopt;
}

std::optional<std::string> header_list(const Request& request, std::string_view name) {
  std::optional<std::string> list;
  for (const Header& header : request.headers) {
    if (is_named(header.name, name)) append_to_list(list, header.value);
  }
  return list;
}

std::string_view Request::param(std::string_view name) const {
  for (const auto& [key, value] : params) {
    if (key == name) return value;
  }
  KVCS_ASSERT(!"the route has no such parameter");
  return {};
}

std::optional<std::string> Request::query_value(std::string_view name) const {
  // The head parser has refused bad escapes before.
  return form_value(query, name);
}

// RFC 6750 §2.1. Two different Authorization headers are refused rather than one of them chosen,
// since a proxy in front may have looked at the other one.
Result<std::string_view> Request::bearer() const {
  static constexpr std::string_view kScheme = "bearer";
  std::optional<std::string_view> found;
  for (const Header& header : headers) {
    if (!is_named(header.name, "authorization")) continue;
    if (found && *found != header.value) {
      return unauthenticated("More than one Authorization header.");
    }
    found = header.value;
  }
  if (!found) return unauthenticated("Missing Authorization header.");
  const size_t space = found->find(' ');
  if (space == found->npos || !equal_ignore_case(found->substr(0, space), kScheme)) {
    return unauthenticated("The Authorization header must be 'Bearer <token>'.");
  }
  const std::string_view token = trim(found->substr(space));
  static constexpr CharSet kSeparators(" \t,");
  if (token.empty() || kSeparators.find_in(token) < token.size()) {
    return unauthenticated("The Authorization header must be 'Bearer <token>'.");
  }
  return token;
}

Response& Response::set(std::string name, std::string value) {
  for (auto& [key, old] : headers) {
    if (is_named(key, name)) {
      old = std::move(value);
      return *this;
    }
  }
  if (headers.empty()) headers.reserve(kHeadersMostly);
  headers.emplace_back(std::move(name), std::move(value));
  return *this;
}

const std::string* Response::find(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (is_named(key, name)) return &value;
  }
  return nullptr;
}

Response json_response(int status, std::string json_text) {
  return text_response(status, std::move(json_text), "application/json");
}

Response text_response(int status, std::string text, std::string_view content_type) {
  Response response;
  response.status = status;
  response.headers.emplace_back("content-type", content_type);
  response.body = std::move(text);
  return response;
}

Response empty_response(int status) {
  Response response;
  response.status = status;
  return response;
}

Guard public_access() {
  return [](const Request&) -> Result<Principal> { return Principal{}; };
}

}  // namespace kvcs::http

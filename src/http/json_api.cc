// Bodies, answers and cursors of JSON routes. A cursor is the store's own, wrapped in base64url so
// that callers hand it back unread.
#include "http/json_api.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "base/json_size.h"

namespace kvcs::http {

Status keep_tree(Request& request, std::string_view text) {
  return request.body->keep(json_tree_bytes(text));
}

Result<Json> read_body(Request& request) {
  const std::string text = KVCS_TRY(request.body->read_all());
  if (trim(text).empty()) return Json(Json::object());
  KVCS_TRY(keep_tree(request, text));
  return parse_json_exact(text);
}

Response reply(int status, const Json& body) {
  return json_response(status, dump_json(body));
}

Response private_reply(int status, const Json& body) {
  Response response = reply(status, body);
  response.set("cache-control", "private, no-store");
  return response;
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

Result<PageAsk> read_page(const Request& request) {
  PageAsk ask;
  const Result<std::string> cursor = from_base64(request.query_value("cursor").value_or(""));
  if (!cursor.ok()) return invalid("cursor: is not one that a page before has given.");
  ask.cursor = cursor.value();
  if (const auto limit = request.query_value("limit")) {
    const uint64_t number = KVCS_TRY(parse_u64(*limit, "limit"));
    if (number < 1 || number > kPageMax) {
      return invalid("limit: " + std::to_string(number) + " is outside 1 to " +
                     std::to_string(kPageMax) + ".");
    }
    ask.limit = number;
  }
  return ask;
}

Result<SearchText> read_search(const Request& request) {
  return SearchText::read(request.query_value("q").value_or(""));
}

Result<bool> read_flag(const Request& request, std::string_view name) {
  const std::string value = request.query_value(name).value_or("false");
  if (value == "true" || value == "1") return true;
  if (value == "false" || value == "0") return false;
  return invalid(std::string(name) + ": '" + printable(value, kShownWord) +
                 "' is neither true nor false.");
}

Json cursor_json(const std::string& cursor) {
  return text_or_null(to_base64url(cursor));
}

}  // namespace kvcs::http

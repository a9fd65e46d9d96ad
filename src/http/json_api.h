// Steps that handlers of JSON routes share: reading the body, the answer, and pages by cursor.
// Functions without state.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/search_text.h"
#include "base/status.h"
#include "http/http.h"

namespace kvcs::http {

inline constexpr size_t kPageDefault = 100, kPageMax = 1000;

// A tree is about to be made of what the client sent, and its memory counts as the client's, as
// the text's does (BodyReader::keep). Unavailable or RateLimited when too much is kept.
Status keep_tree(Request& request, std::string_view text);
// The body as JSON with exact decimals. An empty body is {} (a POST without members).
Result<Json> read_body(Request& request);
Response reply(int status, const Json& body);
// For the caller alone: nothing between may keep the answer.
Response private_reply(int status, const Json& body);
Json text_or_null(const std::string& text);  // Null for "".

struct PageAsk {
  std::string cursor;  // As the store gave it; "" asks for the first page.
  size_t limit = kPageDefault;
};
Result<PageAsk> read_page(const Request& request);  // ?limit=&cursor=
// ?q=, of lists that are searched.
Result<SearchText> read_search(const Request& request);
// ?name=true or 1, false or 0; false when absent.
Result<bool> read_flag(const Request& request, std::string_view name);
// A store's cursor for the caller: opaque text, null on the last page. read_page takes it back.
Json cursor_json(const std::string& cursor);

}  // namespace kvcs::http

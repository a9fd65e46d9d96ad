// The answer to a request for which there is no memory, made without any. A constant.
#pragma once
#include <string_view>

namespace kvcs::http {

inline constexpr std::string_view kNoMemoryAnswer =
    "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: 70\r\n"
    "retry-after: 1\r\nconnection: close\r\n\r\n"
    "{\"error\":\"There is no memory left for this request; try again later.\"}";
static_assert(kNoMemoryAnswer.size() - kNoMemoryAnswer.find("\r\n\r\n") == 70 + 4);

}  // namespace kvcs::http

// One JSON line per finished request. The path without its query, because queries carry
// signatures; never a header or a body. Written up to 50 ms later (base/log_gatherer.h). One thread
// per object.
#pragma once
#include <string>
#include <string_view>

#include "http/http.h"
#include "http/serve/server_config.h"

namespace kvcs::http {

// What of a path may stand in a log: of a route whose path holds a secret ({token}, {user_code})
// the pattern. `path` is the request's, as far as it is known, or without a route what of it may be
// shown (Router::Match::secret_pattern).
std::string_view loggable_path(const Request& request, std::string_view path);

class AccessLog final {
 public:
  // `path` may be empty when the head could not be parsed.
  void write(const Request& request, std::string_view path, const RequestRecord& record,
             int64_t unix_ms);

 private:
  std::string line_;  // Its memory is used again.
};

}  // namespace kvcs::http

// A client of the daemon's HTTP API, for the commands; api_settings.h says which server it asks,
// and with which key. One thread.
#pragma once
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/status.h"
#include "cli/api_settings.h"
#include "cli/repeat.h"
#include "http/client/fetch.h"

namespace kvcs::cli {

class ApiClient final {
 public:
  // Connects at the first request; connections are kept for the next ones.
  explicit ApiClient(ApiSettings settings);
  const ApiSettings& settings() const { return settings_; }

  // The answer's JSON; null for an empty one. Failures carry the server's own words.
  Result<Json> call(std::string_view method, const std::string& path);
  Result<Json> call(std::string_view method, const std::string& path, const Json& body);
  // A POST that does no more when it is sent twice; `idempotency_key` says so to the server, unless
  // it is "".
  Result<Json> post_repeatable(const std::string& path, const Json& body,
                               const std::string& idempotency_key = {});
  // A record that is read, changed and written back with the ETag that it came with, so that
  // another's change in between is not undone: the server refuses then.
  Result<Json> get_tagged(const std::string& path, std::string& etag);
  Result<Json> put_tagged(const std::string& path, const Json& body, const std::string& etag);
  // The answer as it came; a body of any kind.
  Result<std::string> call_bytes(std::string_view method, const std::string& path,
                                 std::string body = {}, const std::string& content_type = {});
  // The answer whatever its status. The request brings what it needs but for server and key.
  Result<http::FetchAnswer> exchange(http::FetchRequest request, const std::string& path);
  // An answer that is not 2xx as a failure: the server's words, and what to do about the key.
  Status refusal(const http::FetchAnswer& answer) const;
  // Gives a thing of the server's back while the command is ending: a short try, also after Ctrl-C.
  void drop(const std::string& path, http::FetchHeaders headers = {});

  // What lies at any URL. None of these sends the key; `authorization` is the value of that header,
  // or "".
  struct Remote {
    uint64_t size_bytes = 0;
    std::string etag;         // Without quotes; "" when there is none.
    std::string disposition;  // Content-Disposition.
  };
  Result<Remote> look_at(const std::string& url, const std::string& authorization = {});
  // Bytes from ≤ i < to; `to` 0 for all that follow.
  struct ByteRange {
    uint64_t from = 0, to = 0;
  };
  // A GET of a range; the bytes go to `take` with the head that they came behind. The reason of a
  // server that has none there (416) is range_refused.
  Status get_bytes(const std::string& url, ByteRange range, const std::string& etag,
                   const std::string& authorization, const http::Fetcher::Take& take);
  // A request as it is. A status that is not 2xx is a failure.
  Result<http::FetchAnswer> fetch(const http::FetchRequest& request);

 private:
  // Adds server and key to the request and returns the body of a 2xx answer; `etag`, when given,
  // takes that of the answer.
  Result<std::string> send(http::FetchRequest request, const std::string& path,
                           std::string* etag = nullptr);
  Result<Json> read_answer(const Result<std::string>& body, const std::string& path) const;
  Status moved(const http::FetchAnswer& answer, const std::string& path) const;

  const ApiSettings settings_;
  http::Fetcher fetcher_;
};

// Before a request is tried once more.
void pause_ms(int64_t ms);

// The rule for requests of a transfer: it notes what failed, waits, and ends at Ctrl-C.
Repeat::Hooks repeat_hooks(Console& console);
// The same without words, for the threads of a transfer.
Repeat::Hooks silent_repeat_hooks();

// Whether a signed URL was refused because its time is over: another is asked for then.
bool is_expired_url(const Status& failure);

// A response that is not 2xx as a failure: the server's message and its numbers, in words of the
// command line, and how long it asks to wait.
Status status_of_answer(int http_status, std::string_view body);
Status status_of_answer(const http::FetchAnswer& answer);

}  // namespace kvcs::cli

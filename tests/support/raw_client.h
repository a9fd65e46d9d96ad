// A blocking HTTP/1.1 client over a raw socket: what is sent is exactly what the test says.
// One thread. Every wait ends at a timeout, so that a server that hangs fails the test.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kvcs::test {

struct RawResponse {
  int status = 0;  // 0: none came (closed, or the timeout).
  std::string head;
  std::vector<std::pair<std::string, std::string>> headers;  // Lower-case names.
  std::string body;                                          // Chunks joined.
  bool complete = false;                                     // The body ended as its framing says.
  std::string header(std::string_view lower_name) const;     // "" when absent.
};

class RawClient final {
 public:
  static constexpr int kTimeoutMs = 10'000;
  // Connects to 127.0.0.1. connected() tells.
  explicit RawClient(int port);
  ~RawClient();
  RawClient(RawClient&& other) noexcept;
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return socket_ >= 0; }
  int socket() const { return socket_; }
  bool send(std::string_view bytes);  // All of it, or false.
  void finish_sending();              // FIN
  void reset();                       // RST
  // The next response; interim ones (100) are skipped unless `interim`. `head_only` for HEAD.
  RawResponse read_response(bool head_only = false, bool interim = false);
  // send() of a well-formed request, then read_response().
  RawResponse request(std::string_view method, std::string_view target,
                      std::vector<std::pair<std::string, std::string>> headers = {},
                      std::string_view body = {});
  std::string read_some();  // At least one byte; "" at the end or timeout.
  bool closed_by_server();  // Waits for the end of the stream; false when bytes come instead.

 private:
  bool fill();

  int socket_ = -1;
  std::string buffer_;
};

// One request on a connection of its own.
RawResponse fetch(int port, std::string_view method, std::string_view target,
                  std::vector<std::pair<std::string, std::string>> headers = {},
                  std::string_view body = {});

}  // namespace kvcs::test

// Exchanges with a mock on loopback that answers ~700 bytes: the two engines beside a bare socket
// loop (write, read), which is what the machine allows. CPU is that of the client threads alone.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/thread.h"
#include "base/wait.h"
#include "http/client/upstream_engines.h"

namespace kvcs::http {
namespace {

constexpr int kExchangesPerThread = 20'000;
const std::string kBody(700, 'q');
const std::string kAnswer =
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: mock\r\n"
    "X-Request-Id: req_0123456789\r\nContent-Length: 700\r\n\r\n" +
    std::string(700, 'a');

double thread_cpu_us() {
  timespec now;
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// One thread per connection; answers each block that ends a request of known size.
class Mock final {
 public:
  Mock() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    if (::bind(listener_, any, size) != 0 || ::listen(listener_, 256) != 0) std::abort();
    ::getsockname(listener_, any, &size);
    address_ = address;
    acceptor_ = std::make_unique<Thread>("mock-accept", [this] { accept_loop(); });
  }
  ~Mock() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.reset();
    peers_.clear();  // Clients have closed theirs.
    ::close(listener_);
  }
  const sockaddr_in& address() const { return address_; }

 private:
  void accept_loop() {
    for (;;) {
      const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (descriptor < 0) return;
      const int one = 1;
      ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      peers_.emplace_back("mock-peer", [descriptor] {
        char block[4096];
        std::string input;
        for (ssize_t n; (n = ::recv(descriptor, block, sizeof block, 0)) > 0;) {
          input.append(block, static_cast<size_t>(n));
          const size_t end = input.find("\r\n\r\n");
          if (end == std::string::npos || input.size() < end + 4 + kBody.size()) continue;
          input.clear();
          if (::send(descriptor, kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL) < 0) break;
        }
        ::close(descriptor);
      });
    }
  }

  int listener_ = -1;
  sockaddr_in address_;
  std::vector<Thread> peers_;
  std::unique_ptr<Thread> acceptor_;
};

// `make_client` gives each thread its exchange; it returns false on failure.
void run(const char* name, int threads, const std::function<std::function<bool()>()>& make_client) {
  std::atomic<int64_t> cpu_ns{0}, failures{0};
  const auto begun = std::chrono::steady_clock::now();
  {
    std::vector<Thread> workers;
    for (int t = 0; t < threads; t++) {
      workers.emplace_back("bench", [&] {
        auto exchange = make_client();
        const double before = thread_cpu_us();
        for (int i = 0; i < kExchangesPerThread; i++) failures += exchange() ? 0 : 1;
        cpu_ns += static_cast<int64_t>((thread_cpu_us() - before) * 1000);
      });
    }
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  const double exchanges = static_cast<double>(threads) * kExchangesPerThread;
  std::printf("  %-10s %2d threads %9.0f exchanges/s %7.2f us CPU each %s\n", name, threads,
              exchanges / seconds, static_cast<double>(cpu_ns) / 1000 / exchanges,
              failures > 0 ? "FAILURES" : "");
}

bool exchange_once(UpstreamEngine& engine, const UpstreamRequest& request, int client_fd) {
  ThreadWaiter waiter(client_fd);
  const WaiterScope scope(waiter);
  auto response = engine.open(request);
  if (!response.ok()) return false;
  char block[16 << 10];
  size_t total = 0;
  for (;;) {
    auto n = (*response)->read(block);
    if (!n.ok()) return false;
    if (*n == 0) return total == 700;
    total += *n;
  }
}

std::function<bool()> raw_client(const Mock& mock, const std::string& request) {
  struct Socket {
    ~Socket() { ::close(descriptor); }
    int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  };
  auto socket = std::make_shared<Socket>();  // Owners: the copies of the function below.
  const int one = 1;
  ::setsockopt(socket->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ::connect(socket->descriptor, reinterpret_cast<const sockaddr*>(&mock.address()),
            sizeof mock.address());
  return [socket, &request] {
    char block[4096];
    if (::send(socket->descriptor, request.data(), request.size(), 0) < 0) return false;
    size_t total = 0;
    while (total < kAnswer.size()) {
      const ssize_t n = ::recv(socket->descriptor, block, sizeof block, 0);
      if (n <= 0) return false;
      total += static_cast<size_t>(n);
    }
    return true;
  };
}

void run_all() {
  Mock mock;
  auto clock = make_system_clock();
  AddressBook book(60, *clock);
  int client_pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client_pair) != 0) std::abort();
  UpstreamRequest request;
  request.method = "POST";
  request.url =
      "http://127.0.0.1:" + std::to_string(ntohs(mock.address().sin_port)) + "/v1/chat/completions";
  request.headers = {{"Authorization", "Bearer sk-0123456789abcdef"},
                     {"Content-Type", "application/json"},
                     {"Accept", "application/json"}};
  request.body = kBody;
  request.allow_private_addresses = true;
  request.stop_if_client_leaves = true;
  std::string raw = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n";
  for (const auto& [name, value] : request.headers) raw += name + ": " + value + "\r\n";
  raw += "Content-Length: 700\r\n\r\n" + kBody;
  std::printf("upstream exchanges, %zu-byte request, %zu-byte answer\n", raw.size(),
              kAnswer.size());
  {
    auto curl = make_curl_engine({}, *clock, nullptr);
    auto plain = make_plain_engine({}, *clock, book);
    for (const int threads : {1, 4}) {
      run("raw socket", threads, [&] { return raw_client(mock, raw); });
      run("plain", threads,
          [&] { return [&] { return exchange_once(*plain, request, client_pair[0]); }; });
      run("curl", threads,
          [&] { return [&] { return exchange_once(*curl, request, client_pair[0]); }; });
    }
  }
  ::close(client_pair[0]);
  ::close(client_pair[1]);
}

}  // namespace
}  // namespace kvcs::http

int main() {
  kvcs::http::run_all();
  return 0;
}

// Streams of server-sent events through a gateway, timed from the provider's send to the client's
// receive: both are in this process, so one clock serves. Prints the provider's port, then reads
// lines "NAME PORT PATH STREAMS EVENTS INTERVAL_MS AUTHORIZATION" from stdin; for each it opens so
// many streams at once and prints "NAME first_p50_us first_p99_us event_p50_us event_p99_us FAILED"
// once all have ended. After "hold …" it does the same and waits for a line before the streams end.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs {
namespace {

int64_t now_ns() {
  timespec now;
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

void must(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::exit(1);
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  return address;
}

void send_now(int descriptor, std::string_view text) {
  [[maybe_unused]] const ssize_t n =
      ::send(descriptor, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

std::string chunked(const std::string& text) {
  char size[16];
  std::snprintf(size, sizeof size, "%zx\r\n", text.size());
  return size + text + "\r\n";
}

// The time of sending stands in the event, and passes through whatever relays it.
std::string event_text() {
  return "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-mini\","
         "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}],"
         "\"t\":" +
         std::to_string(now_ns()) + "}\n\n";
}
const char* const kLastEvents =
    "data: {\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"model\":\"gpt-4o-mini\","
    "\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":9,\"total_tokens\":18}}"
    "\n\ndata: [DONE]\n\n";

// One thread. Each request gets a head and a first event at once, then one event per interval, the
// streams spread evenly over it.
class Provider final {
 public:
  Provider() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    auto* any = reinterpret_cast<sockaddr*>(&address);
    must(::bind(listener_, any, size) == 0 && ::listen(listener_, 4096) == 0, "listen");
    ::getsockname(listener_, any, &size);
    port_ = ntohs(address.sin_port);
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    watch(listener_);
    thread_ = std::make_unique<Thread>("provider", [this] { run(); });
  }
  ~Provider() {
    quit_ = true;
    thread_.reset();
    for (const auto& [descriptor, stream] : streams_) ::close(descriptor);
    ::close(listener_);
    ::close(epoll_);
  }
  int port() const { return port_; }
  // Before streams open.
  void shape(int events, int interval_ms, bool hold) {
    events_ = events;
    interval_ns_ = interval_ms * 1'000'000LL;
    hold_ = hold;
  }
  void let_go() { hold_ = false; }

 private:
  struct Stream {
    std::string request;
    int sent = -1;  // Events; -1: no request yet.
    int64_t next_ns = 0;
  };

  void watch(int descriptor) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
  }
  void run() {
    std::vector<epoll_event> ready(256);
    while (!quit_) {
      const int n = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), 1);
      for (int i = 0; i < n; i++) {
        const int descriptor = ready[static_cast<size_t>(i)].data.fd;
        descriptor == listener_ ? accept_all() : receive(descriptor);
      }
      const int64_t now = now_ns();
      for (auto& [descriptor, stream] : streams_) {
        if (stream.sent >= 0 && stream.next_ns <= now) advance(descriptor, stream);
      }
    }
  }
  void accept_all() {
    for (;;) {
      const int descriptor = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (descriptor < 0) return;
      const int one = 1;
      ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      streams_[descriptor];
      watch(descriptor);
    }
  }
  void receive(int descriptor) {
    char block[4096];
    const ssize_t n = ::recv(descriptor, block, sizeof block, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      ::close(descriptor);
      streams_.erase(descriptor);
      return;
    }
    Stream& stream = streams_[descriptor];
    stream.request.append(block, static_cast<size_t>(n));
    // The body is JSON and ends with the only brace that nothing follows.
    if (stream.request.find("\r\n\r\n") == std::string::npos || stream.request.back() != '}')
      return;
    stream.request.clear();
    stream.sent = 1;
    stream.next_ns = now_ns() + interval_ns_;
    send_now(descriptor,
             "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
             "Transfer-Encoding: chunked\r\n\r\n" +
                 chunked(event_text()));
  }
  void advance(int descriptor, Stream& stream) {
    if (stream.sent < events_ || hold_) {
      stream.sent++;
      stream.next_ns += interval_ns_;
      send_now(descriptor, chunked(event_text()));
      return;
    }
    stream.sent = -1;
    send_now(descriptor, chunked(kLastEvents) + "0\r\n\r\n");
  }

  int listener_ = -1, epoll_ = -1, port_ = 0;
  std::atomic<int> events_{0};
  std::atomic<int64_t> interval_ns_{0};
  std::atomic<bool> hold_{false}, quit_{false};
  std::unordered_map<int, Stream> streams_;  // The thread's.
  std::unique_ptr<Thread> thread_;
};

struct Ask {
  std::string name, path, authorization;
  int port = 0, streams = 0, events = 0, interval_ms = 0;
};

// One thread as well: opens all streams, reads until the last one has ended.
class Client final {
 public:
  explicit Client(const Ask& ask) : ask_(ask) {}
  // `all_open` is called once every stream has had its first event.
  template <typename AllOpen>
  void run(AllOpen&& all_open) {
    epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < ask_.streams; i++) open_one();
    std::vector<epoll_event> ready(256);
    bool told = false;
    const int64_t until = now_ns() + 120'000'000'000LL;
    while (!streams_.empty() && now_ns() < until) {
      const int n = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), 1000);
      for (int i = 0; i < n; i++) receive(ready[static_cast<size_t>(i)].data.fd);
      if (!told && static_cast<int>(first_us_.size()) + failed_ >= ask_.streams) {
        told = true;
        all_open();
      }
    }
    failed_ += static_cast<int>(streams_.size());
    for (const auto& [descriptor, stream] : streams_) ::close(descriptor);
    ::close(epoll_);
  }
  void print() {
    std::printf("%s %.0f %.0f %.0f %.0f %d\n", ask_.name.c_str(), at(first_us_, 50),
                at(first_us_, 99), at(event_us_, 50), at(event_us_, 99), failed_);
    std::fflush(stdout);
  }

 private:
  struct Stream {
    std::string text;
    bool begun = false, done = false;
  };

  void open_one() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(ask_.port);
    must(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
         "connect");
    const int one = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    const std::string body = R"({"model":"gpt-4o-mini","max_tokens":20,"stream":true,)"
                             R"("messages":[{"role":"user","content":"Hi"}]})";
    send_now(descriptor,
             "POST " + ask_.path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + "Bearer " +
                 ask_.authorization + "\r\nContent-Type: application/json\r\nContent-Length: " +
                 std::to_string(body.size()) + "\r\n\r\n" + body);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = descriptor;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event);
    streams_[descriptor];
  }
  void receive(int descriptor) {
    char block[16 << 10];
    const ssize_t n = ::recv(descriptor, block, sizeof block, 0);
    const int64_t now = now_ns();
    Stream& stream = streams_[descriptor];
    if (n > 0) {
      stream.text.append(block, static_cast<size_t>(n));
      take_events(stream, now);
    }
    if (n > 0 && !stream.done) return;
    failed_ += stream.done ? 0 : 1;
    ::close(descriptor);
    streams_.erase(descriptor);
  }
  void take_events(Stream& stream, int64_t now) {
    for (;;) {
      const size_t end = stream.text.find("\n\n");
      if (end == std::string::npos) return;
      const std::string_view event = std::string_view(stream.text).substr(0, end);
      const size_t stamp = event.find("\"t\":");
      if (event.find("[DONE]") != event.npos) stream.done = true;
      if (stamp != event.npos) {
        const int64_t sent = std::strtoll(stream.text.c_str() + stamp + 4, nullptr, 10);
        (stream.begun ? event_us_ : first_us_).push_back(static_cast<double>(now - sent) / 1e3);
        stream.begun = true;
      }
      stream.text.erase(0, end + 2);
    }
  }
  static double at(std::vector<double>& values, size_t percent) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, values.size() * percent / 100)];
  }

  const Ask ask_;
  int epoll_ = -1, failed_ = 0;
  std::unordered_map<int, Stream> streams_;
  std::vector<double> first_us_, event_us_;
};

int run() {
  rlimit files{20'000, 20'000};
  if (::setrlimit(RLIMIT_NOFILE, &files) != 0) {
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  Provider provider;
  std::printf("%d\n", provider.port());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    Ask ask;
    words >> ask.name;
    const bool hold = ask.name == "hold";
    if (hold) words >> ask.name;
    words >> ask.port >> ask.path >> ask.streams >> ask.events >> ask.interval_ms >>
        ask.authorization;
    must(!words.fail(), "a line of words");
    provider.shape(ask.events, ask.interval_ms, hold);
    Client client(ask);
    client.run([&] {
      if (!hold) return;
      std::printf("open\n");
      std::fflush(stdout);
      std::string go;
      std::getline(std::cin, go);
      provider.let_go();
    });
    client.print();
  }
  return 0;
}

}  // namespace
}  // namespace kvcs

int main() {
  return kvcs::run();
}

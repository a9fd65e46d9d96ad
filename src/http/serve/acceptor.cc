// The subclass of the library's server that takes each accepted socket out of its hands. Runs on
// the accept thread; start() and stop() on their caller's.
#include "http/serve/acceptor.h"

#include <fcntl.h>
#include <httplib.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <optional>

#include "base/thread.h"

namespace kvcs::http {
namespace {

constexpr int kBacklog = 4096;  // The library's is compiled in as 5.

// Runs what it is given on the caller's thread: the accept loop itself.
class InlineQueue final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override { task(); }
  void shutdown() override {}
};

class Engine final : public httplib::Server {
 public:
  explicit Engine(const Acceptor::OnSocket& on_socket) : on_socket_(on_socket) {
    new_task_queue = [] { return static_cast<httplib::TaskQueue*>(new InlineQueue); };
    // The library's default is SO_REUSEPORT, with which another process could take half of the
    // connections.
    set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
      ::fcntl(socket, F_SETFD, FD_CLOEXEC);
    });
  }
  bool raise_backlog() { return ::listen(svr_sock_, kBacklog) == 0; }
  // Ends the accept loop, also when it has not begun yet; stop() would ignore that case.
  void interrupt() { ::shutdown(svr_sock_, SHUT_RDWR); }

 private:
  // The virtual of the library that would serve the connection and close it.
  bool process_and_close_socket(socket_t socket) override {
    const int yes = 1;
    ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
    ::fcntl(socket, F_SETFL, O_NONBLOCK);
    on_socket_(socket);
    return true;
  }

  const Acceptor::OnSocket& on_socket_;
};

}  // namespace

struct Acceptor::Impl {
  explicit Impl(OnSocket callback) : on_socket(std::move(callback)), engine(on_socket) {}
  const OnSocket on_socket;
  Engine engine;
  int port = 0;
  bool running = false;
  std::optional<Thread> thread;
};

Acceptor::Acceptor(OnSocket on_socket) : impl_(std::make_unique<Impl>(std::move(on_socket))) {}

Acceptor::~Acceptor() {
  stop();
}

Status Acceptor::start(const std::string& host, int port) {
  Engine& engine = impl_->engine;
  // The library tells that it failed and not why; errno is what is left of the reason.
  errno = 0;
  impl_->port = port == 0                         ? engine.bind_to_any_port(host)
                : engine.bind_to_port(host, port) ? port
                                                  : -1;
  const int error_number = errno;
  const std::string address = host + ":" + std::to_string(port);
  if (impl_->port < 0) {
    if (error_number == EADDRINUSE) {
      return conflict("The address " + address +
                      " is in use; stop the other server or choose another port.");
    }
    return io_error("cannot listen on", address, error_number == 0 ? EADDRNOTAVAIL : error_number);
  }
  if (!engine.raise_backlog()) return io_error("cannot listen on", address, errno);
  impl_->running = true;
  impl_->thread.emplace("http-accept", [&engine] { engine.listen_after_bind(); });
  return ok();
}

int Acceptor::port() const {
  return impl_->port;
}

void Acceptor::stop() {
  if (!impl_->running) return;
  impl_->running = false;
  impl_->engine.interrupt();
  impl_->thread.reset();
}

}  // namespace kvcs::http

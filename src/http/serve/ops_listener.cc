// The library's server with the pages of the operator, and the thread of its accept loop.
#include "http/serve/ops_listener.h"

#include <fcntl.h>
#include <httplib.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>

#include "base/log.h"
#include "base/mutex.h"
#include "base/thread.h"

namespace kvcs::http {
namespace {

constexpr size_t kThreads = 8;
// A connection that says nothing, or takes nothing, holds a thread for so long.
constexpr time_t kSilenceMaxS = 1;
constexpr int64_t kAgainAfterMs = 1000, kStopAgainMs = 20;

void write_answer(const OpsListener::Answer& answer, httplib::Response& out) {
  const Response ours = answer();
  out.status = ours.status;
  std::string type = "text/plain";
  for (const auto& [name, value] : ours.headers) {
    if (name == "content-type") {
      type = value;
    } else {
      out.set_header(name, value);
    }
  }
  out.set_content(ours.body, type);
}

void set_up(httplib::Server& server, const std::vector<OpsListener::Page>& pages) {
  server.new_task_queue = [] { return new httplib::ThreadPool(kThreads); };
  server.set_keep_alive_max_count(1);
  server.set_keep_alive_timeout(kSilenceMaxS);
  server.set_read_timeout(kSilenceMaxS);
  server.set_write_timeout(kSilenceMaxS);
  server.set_payload_max_length(0);
  // The library's default is SO_REUSEPORT, with which another process could take half of the
  // connections.
  server.set_socket_options([](socket_t socket) {
    const int yes = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  });
  for (const OpsListener::Page& page : pages) {
    server.Get(page.path, [&page](const httplib::Request&, httplib::Response& out) {
      write_answer(page.answer, out);
    });
  }
  server.set_error_handler([&pages](const httplib::Request& request, httplib::Response& out) {
    if (!out.body.empty()) return;  // A page's own, as of /readyz.
    const bool is_known = std::any_of(pages.begin(), pages.end(), [&request](const auto& page) {
      return page.path == request.path;
    });
    if (out.status == 404 && is_known) out.status = 405;
    std::string known;
    for (const OpsListener::Page& page : pages) known.append(" ").append(page.path);
    out.set_content("Only GET and HEAD of:" + known + "\n", "text/plain");
  });
}

}  // namespace

struct OpsListener::Impl {
  explicit Impl(std::vector<Page> pages_in) : pages(std::move(pages_in)) {}

  // Makes and binds a new server. The library tells that it failed and not why; errno is what is
  // left of the reason.
  Status bind(const std::string& host, int wanted) {
    auto fresh = std::make_unique<httplib::Server>();
    set_up(*fresh, pages);
    errno = 0;
    const int bound = wanted == 0                         ? fresh->bind_to_any_port(host)
                      : fresh->bind_to_port(host, wanted) ? wanted
                                                          : -1;
    const int error_number = errno;
    const std::string address = host + ":" + std::to_string(wanted);
    if (bound < 0 && error_number == EADDRINUSE) {
      return conflict("The address " + address +
                      " (ops.listen) is in use; stop the other server or choose another port.");
    }
    if (bound < 0) {
      return io_error("cannot listen on", address,
                      error_number == 0 ? EADDRNOTAVAIL : error_number);
    }
    const MutexLock lock(mutex);
    server = std::move(fresh);
    port = bound;
    return ok();
  }

  // The accept loop, which the library ends on errors that accept(2) says to pass over.
  void run(const std::string& host) {
    for (bool is_bound = true; !stopping;) {
      if (is_bound) {
        httplib::Server* current = nullptr;
        {
          const MutexLock lock(mutex);
          current = server.get();
        }
        current->listen_after_bind();
      }
      if (stopping) break;
      log::warn("ops.listener_ended",
                {{"port", port.load()}, {"next", "it begins again in a second"}});
      {
        const MutexLock lock(mutex);
        changed.wait_for_ms(mutex, kAgainAfterMs);
      }
      is_bound = !stopping && bind(host, port).ok();
    }
    const MutexLock lock(mutex);
    ended = true;
    changed.notify_all();
  }

  const std::vector<Page> pages;
  std::atomic<int> port{0};
  std::atomic<bool> stopping{false};
  Mutex mutex;
  CondVar changed;
  std::unique_ptr<httplib::Server> server KVCS_GUARDED_BY(mutex);
  bool ended KVCS_GUARDED_BY(mutex) = false;
  std::optional<Thread> thread;
};

OpsListener::OpsListener(std::vector<Page> pages)
    : impl_(std::make_unique<Impl>(std::move(pages))) {}

OpsListener::~OpsListener() {
  stop();
}

Status OpsListener::start(const std::string& host, int port) {
  KVCS_TRY(impl_->bind(host, port));
  impl_->thread.emplace("ops-listener", [impl = impl_.get(), host] { impl->run(host); });
  return ok();
}

int OpsListener::port() const {
  return impl_->port;
}

// The library does nothing when its loop has not begun yet, hence again and again.
void OpsListener::stop() {
  if (!impl_->thread) return;
  impl_->stopping = true;
  {
    const MutexLock lock(impl_->mutex);
    while (!impl_->ended) {
      impl_->server->stop();
      impl_->changed.notify_all();
      impl_->changed.wait_for_ms(impl_->mutex, kStopAgainMs);
    }
  }
  impl_->thread.reset();
}

}  // namespace kvcs::http

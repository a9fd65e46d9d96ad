// A small server of its own for probes and metrics: another address, other threads and other
// descriptors than the main listener, so that it answers while that one is full. It is
// cpp-httplib's, which does for a handful of trusted monitors what it must not do for everybody
// (acceptor.h): here a connection carries one request and holds a thread until then.
//
// Paths that it was not given are 404, other methods than GET and HEAD 405. Answers run on its
// threads, several at once. An accept loop that the library gives up is begun again after a pause.
// start() and stop() are called by one thread.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "http/http.h"

namespace kvcs::http {

class OpsListener final {
 public:
  using Answer = std::function<Response()>;
  struct Page {
    std::string path;
    Answer answer;
  };
  explicit OpsListener(std::vector<Page> pages);
  ~OpsListener();
  // Port 0: any. Conflict when the address is in use.
  Status start(const std::string& host, int port);
  int port() const;
  void stop();  // Joins the threads; no answer runs afterwards.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::http

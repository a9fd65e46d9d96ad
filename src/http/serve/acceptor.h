// The listening socket and its accept loop: cpp-httplib's server with its request handling taken
// out. A subclass overrides the virtual that the library calls for each accepted socket and hands
// the socket to us.
//
// Why no more of the library is used: the packaged 0.11.4 pins a thread per idle connection, loses
// pipelined bytes, URL-decodes header values, runs an unread body as the next request and reads
// heads and bodies without limit. As the whole head has to be parsed and validated before the
// library may see it, giving it to the library's parser afterwards would only parse it twice.
//
// One accept thread, owned here.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"

namespace kvcs::http {

class Acceptor final {
 public:
  // Called on the accept thread with a non-blocking socket that the callee owns.
  using OnSocket = std::function<void(int socket)>;
  explicit Acceptor(OnSocket on_socket);
  ~Acceptor();
  // Port 0: any. Conflict when the address is in use.
  Status start(const std::string& host, int port);
  int port() const;
  void stop();  // Joins the thread; no callback runs afterwards.

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kvcs::http

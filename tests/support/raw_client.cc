#include "support/raw_client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "base/bytes.h"

namespace kvcs::test {

std::string RawResponse::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) return value;
  }
  return {};
}

RawClient::RawClient(int port) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int yes = 1;
  ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(made, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    socket_ = made;
  } else {
    ::close(made);
  }
}

RawClient::~RawClient() {
  if (socket_ >= 0) ::close(socket_);
}

RawClient::RawClient(RawClient&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), buffer_(std::move(other.buffer_)) {}

bool RawClient::send(std::string_view bytes) {
  if (socket_ < 0) return false;  // Nobody listens: not to be waited for.
  while (!bytes.empty()) {
    pollfd entry = {socket_, POLLOUT, 0};
    if (::poll(&entry, 1, kTimeoutMs) <= 0) return false;
    const ssize_t n = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

void RawClient::finish_sending() {
  ::shutdown(socket_, SHUT_WR);
}

void RawClient::reset() {
  const linger now = {1, 0};
  ::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(socket_);
  socket_ = -1;
}

bool RawClient::fill() {
  if (socket_ < 0) return false;
  pollfd entry = {socket_, POLLIN, 0};
  if (::poll(&entry, 1, kTimeoutMs) <= 0) return false;
  char bytes[65536];
  const ssize_t n = ::recv(socket_, bytes, sizeof bytes, 0);
  if (n <= 0) return false;
  buffer_.append(bytes, static_cast<size_t>(n));
  return true;
}

std::string RawClient::read_some() {
  if (buffer_.empty()) fill();
  return std::exchange(buffer_, {});
}

bool RawClient::closed_by_server() {
  if (!buffer_.empty()) return false;
  pollfd entry = {socket_, POLLIN, 0};
  if (::poll(&entry, 1, kTimeoutMs) <= 0) return false;
  char byte;
  return ::recv(socket_, &byte, 1, 0) <= 0;
}

RawResponse RawClient::read_response(bool head_only, bool interim) {
  RawResponse response;
  size_t end;
  while ((end = buffer_.find("\r\n\r\n")) == buffer_.npos) {
    if (!fill()) return response;
  }
  response.head = buffer_.substr(0, end + 2);
  buffer_.erase(0, end + 4);
  response.status = std::atoi(response.head.c_str() + 9);
  for (const std::string_view line : split(response.head, '\n')) {
    const size_t colon = line.find(':');
    if (colon == line.npos) continue;
    response.headers.emplace_back(lower_ascii(line.substr(0, colon)),
                                  std::string(trim(line.substr(colon + 1))));
  }
  if (response.status < 200 && !interim) return read_response(head_only, interim);
  if (head_only || response.status < 200 || response.status == 204 || response.status == 304) {
    response.complete = true;
    return response;
  }
  if (response.header("transfer-encoding") == "chunked") {
    for (;;) {
      while ((end = buffer_.find("\r\n")) == buffer_.npos) {
        if (!fill()) return response;
      }
      const size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
      while (buffer_.size() < end + 2 + size + 2) {
        if (!fill()) return response;
      }
      response.body += buffer_.substr(end + 2, size);
      buffer_.erase(0, end + 2 + size + 2);
      if (size == 0) break;
    }
    response.complete = true;
    return response;
  }
  const std::string length = response.header("content-length");
  const size_t size =
      length.empty() ? std::string::npos : std::strtoul(length.c_str(), nullptr, 10);
  while (buffer_.size() < size) {
    if (!fill()) break;
  }
  response.body = buffer_.substr(0, size);
  response.complete = length.empty() || buffer_.size() >= size;
  buffer_.erase(0, response.body.size());
  return response;
}

RawResponse RawClient::request(std::string_view method, std::string_view target,
                               std::vector<std::pair<std::string, std::string>> headers,
                               std::string_view body) {
  std::string text = std::string(method) + " " + std::string(target) + " HTTP/1.1\r\n";
  text += "Host: localhost\r\n";
  for (const auto& [name, value] : headers) text += name + ": " + value + "\r\n";
  if (!body.empty() || method == "POST" || method == "PUT") {
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
  }
  text += "\r\n";
  text += body;
  if (!send(text)) return {};
  return read_response(method == "HEAD");
}

RawResponse fetch(int port, std::string_view method, std::string_view target,
                  std::vector<std::pair<std::string, std::string>> headers, std::string_view body) {
  return RawClient(port).request(method, target, std::move(headers), body);
}

}  // namespace kvcs::test

// A hello server over Boost.Asio and Boost.Beast 1.74: one io_context for all threads, a C++20
// coroutine per connection, each on a strand of its own.
// clang-format off: boost/asio/awaitable.hpp of 1.74 needs <utility> and does not include it.
#include <utility>
// clang-format on
#include <boost/asio.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast.hpp>

#include <thread>
#include <vector>

#include "bench/hello/hello.h"

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;

asio::awaitable<void> serve(tcp::socket socket) {
  beast::tcp_stream stream(std::move(socket));
  stream.socket().set_option(tcp::no_delay(true));
  beast::flat_buffer buffer;
  try {
    for (;;) {
      stream.expires_after(std::chrono::seconds(75));
      http::request<http::string_body> request;
      co_await http::async_read(stream, buffer, request, asio::use_awaitable);
      http::response<http::string_body> response(http::status::ok, request.version());
      response.set(http::field::content_type, HELLO_TYPE);
      response.keep_alive(request.keep_alive());
      response.body() = HELLO_BODY;
      response.prepare_payload();
      co_await http::async_write(stream, response, asio::use_awaitable);
      if (response.need_eof()) break;
    }
  } catch (const boost::system::system_error&) {
    // The client has gone, or was silent for too long.
  }
}

asio::awaitable<void> listen(tcp::acceptor& acceptor) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::make_strand(acceptor.get_executor()),
                                                        asio::use_awaitable);
    const auto executor = socket.get_executor();
    asio::co_spawn(executor, serve(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main() {
  const int threads = hello_threads();
  asio::io_context context(threads);
  tcp::acceptor acceptor(context, {asio::ip::make_address("127.0.0.1"), 0});
  asio::co_spawn(context, listen(acceptor), asio::detached);
  hello_ready(acceptor.local_endpoint().port());
  std::vector<std::thread> others;
  for (int i = 1; i < threads; i++) others.emplace_back([&context] { context.run(); });
  context.run();
  for (auto& other : others) other.join();
}

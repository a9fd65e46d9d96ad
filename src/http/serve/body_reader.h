// The body of one request as it arrives on its connection: Content-Length or chunked (RFC 9112 §6,
// §7), within the route's limit, an idle timeout and a least rate. One thread.
#pragma once
#include <functional>

#include "http/http.h"
#include "http/serve/connection.h"
#include "http/serve/pace.h"
#include "http/serve/shares.h"

namespace kvcs::http {

class ConnectionBody final : public BodyReader {
 public:
  // `input` holds what of the body came with the head; what is kept counts in `memory`.
  ConnectionBody(Connection& connection, ReadBuffer& input, const Framing& framing,
                 int idle_timeout_ms, Shares::Memory& memory);
  void set_max_bytes(uint64_t max_bytes) { max_bytes_ = max_bytes; }
  void set_total_max_ms(int64_t total_max_ms) { pace_.set_total_max_ms(total_max_ms); }
  // Called once, by the read that finds the end of the body; that read fails as the function does.
  void on_complete(std::function<Status()> function) { on_complete_ = std::move(function); }

  Result<size_t> read(std::span<char> out) override;
  std::optional<uint64_t> declared_size_bytes() const override;
  Status keep(uint64_t bytes) override { return memory_.take(bytes); }
  bool is_empty() const { return declared_ == uint64_t{0}; }  // Known from the head.
  // All of it has come already. Of chunks that is not known.
  bool is_here() const { return !chunked_ && left_bytes_ <= input_.unread().size(); }

  // Reads and drops the rest if it is short and already here. True: the whole body was consumed
  // and the connection can carry another request.
  bool discard_rest();
  bool too_slow() const { return timed_out_; }
  bool used_socket() const { return used_socket_; }
  uint64_t received_bytes() const { return received_bytes_; }

 private:
  // The part of the framing that comes next. A body with a length has data and an end only.
  enum class Part : uint8_t { kSize, kData, kDataEnd, kTrailer, kDone };

  Status fail(Status status);
  Status wait();
  Status wait_for_byte();
  Result<size_t> take(std::span<char> out);
  Result<std::string_view> line();
  Status next_part();
  Status complete();
  Status parse_size(std::string_view text);

  Connection& connection_;
  ReadBuffer& input_;
  const bool chunked_;
  std::optional<uint64_t> declared_;
  uint64_t max_bytes_ = 0;
  uint64_t left_bytes_;  // Of the body, or of the current chunk.
  Part part_;
  bool continue_owed_, blocking_ = true, broken_ = false, used_socket_ = false, timed_out_ = false;
  uint64_t received_bytes_ = 0, overhead_bytes_ = 0;
  int trailers_ = 0;
  Pace pace_;
  Shares::Memory& memory_;
  std::function<Status()> on_complete_;
};

}  // namespace kvcs::http

#include "identity/idempotency.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/json.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr int64_t kKeptS = 86'400;
constexpr int64_t kRunningS = 60;  // After a crash in the middle the key is free again.
constexpr size_t kHeaderMaxBytes = 255;

// A body that was read already, for the handler behind.
class BufferedBody final : public http::BodyReader {
 public:
  explicit BufferedBody(std::string bytes) : bytes_(std::move(bytes)) {}
  Result<size_t> read(std::span<char> out) override {
    const size_t n = std::min(out.size(), bytes_.size() - at_);
    std::memcpy(out.data(), bytes_.data() + at_, n);
    at_ += n;
    return n;
  }
  std::optional<uint64_t> declared_size_bytes() const override { return bytes_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  const std::string bytes_;
  size_t at_ = 0;
};

// Puts the handler's body back, whatever happens.
class BodySwap final {
 public:
  BodySwap(http::Request& request, http::BodyReader& other)
      : request_(request), before_(request.body) {
    request.body = &other;
  }
  ~BodySwap() { request_.body = before_; }
  BodySwap(const BodySwap&) = delete;
  BodySwap& operator=(const BodySwap&) = delete;

 private:
  http::Request& request_;
  http::BodyReader* before_;
};

}  // namespace

Idempotency::Idempotency(KvStore& kv, const Sealer& sealer, const Clock& clock)
    : kv_(kv), sealer_(sealer), clock_(clock) {}

http::Handler Idempotency::wrap(http::Handler handler) const {
  return [this, handler = std::move(handler)](http::Request& request) -> Result<http::Response> {
    const auto header = request.header("idempotency-key");
    if (request.method != http::Method::kPost || !header) return handler(request);
    bool visible = !header->empty() && header->size() <= kHeaderMaxBytes;
    for (const char c : *header) visible = visible && c > 0x20 && c < 0x7f;
    if (!visible) {
      return invalid("Idempotency-Key: 1 to 255 visible ASCII characters are allowed.");
    }
    return run(request, handler, *header);
  };
}

Result<http::Response> Idempotency::replay(const std::string& key,
                                           std::string_view body_hash) const {
  const Result<KvEntry> entry = kv_.get(KvFamily::kSystem, key);
  const Status under_way =
      conflict("The first request with this Idempotency-Key is still under way.")
          .with_reason("idempotency_in_progress")
          .with_retry_after_s(1);
  if (entry.code() == Code::kNotFound) return under_way;  // It failed just now.
  if (!entry.ok()) return entry.status();
  const Json stored = KVCS_TRY(parse_json(entry.value().value));
  JsonReader reader(stored);
  reader.ignore_unknown();
  const std::string hash = reader.string("body_hash");
  const int64_t status = reader.integer("status", 0, 599);
  const std::string sealed = reader.string("sealed", {.min_bytes = 0, .max_bytes = SIZE_MAX});
  KVCS_TRY(reader.finish());
  if (hash != body_hash) {
    return conflict("The Idempotency-Key was used with another body.")
        .with_reason("idempotency_key_reused");
  }
  if (status == 0) return under_way;
  const Secret body = KVCS_TRY(sealer_.open(sealed, key));
  http::Response response = http::json_response(static_cast<int>(status), body.reveal());
  response.set("idempotent-replay", "true");
  return response;
}

Result<http::Response> Idempotency::run(http::Request& request, const http::Handler& handler,
                                        std::string_view header) const {
  BufferedBody body(KVCS_TRY(request.body->read_all()));
  const std::string hash = sha256_hex(body.bytes());
  const std::string key = keyspace::idempotency(
      request.principal.key_id, sha256_hex(request.path + "\n" + std::string(header)));
  const auto record = [&](int status, const std::string& sealed, int64_t kept_s) {
    KvBatch batch;
    const Json json{{"body_hash", hash}, {"status", status}, {"sealed", sealed}};
    batch.put(KvFamily::kSystem, key, KvEntry{dump_json(json), {}, clock_.unix_s() + kept_s});
    return batch;
  };
  const Status begun = kv_.compare_and_swap(KvFamily::kSystem, key, std::nullopt,
                                            record(0, "", kRunningS), KvDurability::kSynced);
  if (begun.code() == Code::kConflict) return replay(key, hash);
  if (!begun.ok()) return begun;
  const BodySwap swap(request, body);
  Result<http::Response> response = handler(request);
  if (response.ok() && response.value().status < 300 && !response.value().stream &&
      !response.value().file) {
    const std::string sealed = sealer_.seal(response.value().body, key);
    // The effect has happened, so a store that fails here must not turn it into a failure.
    const Status kept =
        kv_.write(record(response.value().status, sealed, kKeptS), KvDurability::kSynced);
    if (kept.ok()) return response;
  }
  KvBatch forget;
  forget.remove(KvFamily::kSystem, key);
  // When this fails too, the marker expires by itself.
  [[maybe_unused]] const Status forgotten = kv_.write(forget, KvDurability::kBuffered);
  return response;
}

}  // namespace kvcs

// Keeps the first answer under its key and gives it again: the marker before the effect, the answer
// behind it, and in memory the set of keys whose first request is still under way.
#include "ops/idempotency.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <deque>
#include <set>

#include "base/bytes.h"
#include "base/json.h"
#include "base/mutex.h"
#include "http/client/upstream.h"
#include "http/text_body.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr size_t kKeyMaxBytes = 255;
constexpr std::string_view kHeader = "Idempotency-Key";

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

// The record in the store: a marker from before the first request acts (status 0), then its
// answer.
struct Kept {
  std::string body_hash, request_id;
  int status = 0;
  bool running = false;  // Not stored: this process is at it.
  bool has_answer = false;
  Json headers = Json::array();
  std::string sealed;

  std::string to_json() const {
    Json json{{"body_hash", body_hash}, {"request_id", request_id}, {"status", status}};
    if (has_answer) {
      json["headers"] = headers;
      json["sealed"] = sealed;
    }
    return dump_json(json);
  }
};

Result<Kept> parse_kept(std::string_view text) {
  const Json json = KVCS_TRY(parse_json(text));
  JsonReader reader(json);
  Kept kept;
  kept.body_hash = reader.string("body_hash");
  kept.request_id = reader.optional_string("request_id", {}).value_or("");
  kept.status = static_cast<int>(reader.integer("status", 0, 599));
  if (const Json* headers = reader.array("headers")) kept.headers = *headers;
  if (auto sealed = reader.optional_string("sealed", {.min_bytes = 0, .max_bytes = SIZE_MAX})) {
    kept.sealed = std::move(*sealed);
    kept.has_answer = true;
  }
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return kept;
}

Status store_failed(const Status& status) {
  return unavailable("An idempotency key cannot be kept while the store does not answer.",
                     status.to_string())
      .with_reason("idempotency_unavailable")
      .with_retry_after_s(kKvRetryAfterS);
}

Status check_key(const OnceRequest& request) {
  bool visible = !request.key.empty() && request.key.size() <= kKeyMaxBytes;
  for (const char c : request.key) visible = visible && c > 0x20 && c < 0x7f;
  if (visible) return ok();
  return invalid(std::string(request.name) + ": 1 to 255 visible ASCII characters are allowed.");
}

}  // namespace

bool may_have_acted(const Result<http::Response>& result) {
  if (result.ok()) return result.value().status == 502 || result.value().status == 504;
  const Status& failure = result.status();
  if (http::surely_not_sent(failure)) return false;
  if (http::client_left(failure)) return true;
  // The doors have words of their own; what happened is among the details then.
  std::string reason;
  const Result<Json> details = parse_json(failure.details_json());
  if (details.ok() && details.value().is_object()) {
    const auto found = details.value().find("reason");
    if (found != details.value().end() && found->is_string()) {
      reason = found->get_ref<const std::string&>();
    }
  }
  if (http::is_unsent_reason(reason)) return false;
  return failure.code() == Code::kUpstream || failure.code() == Code::kTimeout ||
         reason == "client_gone";
}

struct Idempotency::Impl {
  struct Size {
    int64_t expires_s;
    size_t bytes;
  };

  KvStore& kv;
  const Sealer& sealer;
  const Clock& clock;
  const size_t kept_max_bytes;
  Mutex mutex;
  std::deque<Size> sizes KVCS_GUARDED_BY(mutex);
  size_t kept_bytes KVCS_GUARDED_BY(mutex) = 0;
  // Keys at work in this process. A marker whose key is not here was left by a process that died,
  // or by a store that took the marker and not the answer.
  std::set<std::string, std::less<>> running KVCS_GUARDED_BY(mutex);

  // False: another request of this process is at it.
  bool enter(const std::string& key) {
    MutexLock lock(mutex);
    return running.insert(key).second;
  }
  void leave(const std::string& key) {
    MutexLock lock(mutex);
    running.erase(key);
  }

  bool make_room(size_t bytes, int64_t kept_s) {
    const int64_t now_s = clock.unix_s();
    MutexLock lock(mutex);
    while (!sizes.empty() && sizes.front().expires_s <= now_s) {
      kept_bytes -= sizes.front().bytes;
      sizes.pop_front();
    }
    if (kept_bytes + bytes > kept_max_bytes) return false;
    kept_bytes += bytes;
    sizes.push_back({now_s + kept_s, bytes});
    return true;
  }

  KvBatch record(const std::string& key, const Kept& kept, int64_t kept_s) const {
    KvBatch batch;
    batch.put(KvFamily::kSystem, key, KvEntry{kept.to_json(), {}, clock.unix_s() + kept_s});
    return batch;
  }

  // Takes the key for a request that begins, or returns what became of the first one. Precondition:
  // entered, unless `busy`.
  Result<std::optional<Kept>> begin(const std::string& key, const Kept& marker, bool busy,
                                    int64_t marker_s) {
    if (!busy) {
      const Status begun =
          kv.compare_and_swap(KvFamily::kSystem, key, std::nullopt, record(key, marker, marker_s),
                              KvDurability::kSynced);
      if (begun.ok()) return std::optional<Kept>();
      if (begun.code() != Code::kConflict) return store_failed(begun);
    }
    const Result<KvEntry> entry = kv.get(KvFamily::kSystem, key);
    Kept first = marker;
    if (entry.ok()) {
      first = KVCS_TRY(parse_kept(entry.value().value));
    } else if (entry.code() != Code::kNotFound) {
      return store_failed(entry.status());
    }
    // Without an entry it has failed just now, or has not written its marker yet.
    first.running = busy || !entry.ok();
    return std::optional<Kept>(std::move(first));
  }

  Result<http::Response> replay(const std::string& key, const Kept& first,
                                std::string_view body_hash, std::string_view name) const {
    if (first.body_hash != body_hash) {
      return conflict("The " + std::string(name) + " was used with another body.")
          .with_reason("idempotency_key_reused");
    }
    if (first.status == 0 && first.running) {
      return conflict("The first request with this " + std::string(name) + " is still under way.")
          .with_reason("idempotency_in_progress")
          .with_retry_after_s(1);
    }
    if (first.status == 0) {
      return conflict("What became of the first request with this " + std::string(name) + " (" +
                      first.request_id +
                      ") is not known: the connection broke, the daemon stopped or its store "
                      "failed before the answer was kept. It may have taken effect and is not sent "
                      "again; look that up, "
                      "then use a new key.")
          .with_reason("idempotency_outcome_unknown");
    }
    if (!first.has_answer) {
      return conflict("The first request with this " + std::string(name) + " (" + first.request_id +
                      ") was answered; its answer was too large to be kept.")
          .with_reason("idempotency_answer_too_large");
    }
    http::Response response;
    response.status = first.status;
    response.body = KVCS_TRY(sealer.open(first.sealed, key)).reveal();
    for (const Json& header : first.headers) {
      if (!header.is_array() || header.size() != 2 || !header[0].is_string()) continue;
      response.set(header[0].get<std::string>(), header[1].get<std::string>());
    }
    response.set("idempotent-replay", "true");
    response.set("idempotent-replay-of", first.request_id);
    return response;
  }

  // The effect has happened: a store that fails here must neither turn it into a failure nor free
  // the key. The marker stays, and says so to whoever repeats.
  void keep(const std::string& key, Kept kept, const http::Response& response,
            const IdempotencyRule& rule) {
    kept.status = response.status;
    if (!response.stream && response.body.size() <= rule.answer_max_bytes &&
        make_room(response.body.size(), rule.kept_s)) {
      for (const auto& [name, value] : response.headers) {
        kept.headers.push_back(Json::array({name, value}));
      }
      kept.sealed = sealer.seal(response.body, key);
      kept.has_answer = true;
    }
    [[maybe_unused]] const Status written =
        kv.write(record(key, kept, rule.kept_s), KvDurability::kSynced);
  }

  Result<http::Response> once(const OnceRequest& request, const IdempotencyRule& rule,
                              const std::function<Result<http::Response>()>& effect) {
    const Kept marker{.body_hash = sha256_hex(request.body),
                      .request_id = std::string(request.request_id)};
    const std::string key = keyspace::idempotency(
        request.owner, sha256_hex(std::string(request.target) + "\n" + std::string(request.key)));
    const Running mine(*this, key);
    const int64_t marker_s = std::max(rule.kept_s, rule.running_s);
    const std::optional<Kept> first = KVCS_TRY(begin(key, marker, !mine.entered, marker_s));
    if (first) return replay(key, *first, marker.body_hash, request.name);
    Result<http::Response> response = effect();
    const bool done = response.ok() && response.value().status < 300 && !response.value().file &&
                      response.value().find(kFailedAnswerHeader) == nullptr &&
                      (rule.streams_count || !response.value().stream);
    if (done) {
      keep(key, marker, response.value(), rule);
      return response;
    }
    if (rule.outcome_unknown(response)) return response;  // The marker stays, and says so.
    KvBatch forget;
    forget.remove(KvFamily::kSystem, key);
    // When this fails, a repeat hears that the outcome is unknown, which is the safe side.
    [[maybe_unused]] const Status forgotten = kv.write(forget, KvDurability::kBuffered);
    return response;
  }

  struct Running {
    Running(Impl& owner, const std::string& name)
        : all(owner), key(name), entered(owner.enter(name)) {}
    ~Running() {
      if (entered) all.leave(key);
    }
    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;
    Impl& all;
    const std::string& key;
    const bool entered;
  };
};

Idempotency::Idempotency(KvStore& kv, const Sealer& sealer, const Clock& clock,
                         size_t kept_max_bytes)
    : impl_(new Impl{kv, sealer, clock, kept_max_bytes, {}, {}, 0, {}}) {}
Idempotency::~Idempotency() = default;

Result<http::Response> Idempotency::once(
    const OnceRequest& request, const IdempotencyRule& rule,
    const std::function<Result<http::Response>()>& effect) const {
  KVCS_TRY(check_key(request));
  return impl_->once(request, rule, effect);
}

http::Handler Idempotency::wrap(http::Handler handler, IdempotencyRule rule) const {
  return
      [this, rule, handler = std::move(handler)](http::Request& request) -> Result<http::Response> {
        const auto header = request.header("idempotency-key");
        if (request.method != http::Method::kPost || !header) return handler(request);
        OnceRequest once_request{.name = kHeader,
                                 .key = *header,
                                 .owner = request.principal.key_id,
                                 .target = request.path,
                                 .body = {},
                                 .request_id = request.request_id};
        KVCS_TRY(check_key(once_request));  // Before the body is waited for.
        http::TextBody body(KVCS_TRY(request.body->read_all()));
        once_request.body = body.text();
        const BodySwap swap(request, body);
        return once(once_request, rule, [&] { return handler(request); });
      };
}

}  // namespace kvcs

// Keeps the first answer under its key and gives it again: the marker before the effect, the answer
// behind it, and in memory the set of keys whose first request is still under way.
#include "ops/idempotency.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/bytes.h"
#include "base/damage.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mutex.h"
#include "http/client/upstream.h"
#include "http/text_body.h"
#include "kv/keyspace.h"

namespace kvcs {
namespace {

constexpr size_t kKeyMaxBytes = 255;
constexpr size_t kOwnerPercent = 25, kOrganizationPercent = 50;  // Of all that is kept.
constexpr std::string_view kStream = "stream";                   // As Kept::unkept.
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
  // Which room its answer had no place in, or kStream; "" = it was too large for any.
  std::string unkept;
  Json headers = Json::array();
  std::string sealed;

  std::string to_json() const {
    Json json{{"body_hash", body_hash}, {"request_id", request_id}, {"status", status}};
    if (has_answer) {
      json["headers"] = headers;
      json["sealed"] = sealed;
    }
    if (!unkept.empty()) json["unkept"] = unkept;
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
  kept.unkept = reader.optional_string("unkept", {}).value_or("");
  reader.ignore_unknown();
  KVCS_TRY(reader.finish());
  return kept;
}

// What `Kept::unkept` stands for, behind "was answered".
std::string unkept_words(std::string_view unkept) {
  if (unkept == kStream) return " in pieces, which are not kept";
  const std::string full = "; its answer was not kept, as those that are kept ";
  if (unkept == "all") return full + "fill all their room";
  return full + "of this " + std::string(unkept) + " fill its share of the room";
}

Status store_failed(const Status& status) {
  if (status.code() == Code::kInternal) {
    return unreadable("The record of this idempotency key", status.to_string())
        .with_reason("idempotency_unreadable");
  }
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
  // A kept answer: whose it is, and how much of the room it takes.
  struct Place {
    std::string owner, organization;
    size_t bytes;
  };
  using Sums = std::map<std::string, size_t, std::less<>>;

  KvStore& kv;
  const Sealer& sealer;
  const Clock& clock;
  const size_t kept_max_bytes;
  Mutex mutex;
  std::multimap<int64_t, Place> places KVCS_GUARDED_BY(mutex);  // By the second of their expiry.
  size_t kept_bytes KVCS_GUARDED_BY(mutex) = 0;
  Sums by_owner KVCS_GUARDED_BY(mutex), by_organization KVCS_GUARDED_BY(mutex);
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

  static size_t sum_of(const Sums& sums, const std::string& name) {
    const auto found = sums.find(name);
    return found == sums.end() ? 0 : found->second;
  }
  static void take_off(Sums& sums, const std::string& name, size_t bytes) {
    const auto found = sums.find(name);
    if (found != sums.end() && (found->second -= bytes) == 0) sums.erase(found);
  }
  void drop_expired() KVCS_REQUIRES(mutex) {
    const int64_t now_s = clock.unix_s();
    while (!places.empty() && places.begin()->first <= now_s) {
      const Place& gone = places.begin()->second;
      kept_bytes -= gone.bytes;
      take_off(by_owner, gone.owner, gone.bytes);
      take_off(by_organization, gone.organization, gone.bytes);
      places.erase(places.begin());
    }
  }
  void count(Place place, int64_t expires_s) KVCS_REQUIRES(mutex) {
    kept_bytes += place.bytes;
    by_owner[place.owner] += place.bytes;
    if (!place.organization.empty()) by_organization[place.organization] += place.bytes;
    places.emplace(expires_s, std::move(place));
  }
  // "" when there was room, which is taken; else whose room is full.
  std::string_view make_room(Place place, int64_t expires_s) {
    MutexLock lock(mutex);
    drop_expired();
    const size_t bytes = place.bytes;
    const auto is_over = [&](size_t taken, size_t percent) {
      return taken + bytes > kept_max_bytes / 100 * percent;
    };
    if (is_over(kept_bytes, 100)) return "all";
    if (is_over(sum_of(by_owner, place.owner), kOwnerPercent)) return "key";
    if (!place.organization.empty() &&
        is_over(sum_of(by_organization, place.organization), kOrganizationPercent)) {
      return "organization";
    }
    count(std::move(place), expires_s);
    return "";
  }
  // What earlier processes have kept. A marker is small and an answer is not, so that all records
  // count by their size. The organization stands in the metadata, so that nothing is parsed.
  void recount() {
    std::string prefix = keyspace::idempotency("", "");  // "idempotency::", of which one is enough.
    prefix.pop_back();
    MutexLock lock(mutex);
    const Status read =
        kv_for_each(kv, KvFamily::kSystem, prefix, [&](const KvItem& item) KVCS_REQUIRES(mutex) {
          const std::string owner =
              item.key.substr(prefix.size(), item.key.rfind(':') - prefix.size());
          const Result<Json> organization = parse_json(item.entry.metadata);
          const bool is_named = organization.ok() && organization->is_string();
          count({owner, is_named ? organization->get<std::string>() : "", item.entry.value.size()},
                item.entry.expires_at_s);
          return ok();
        });
    if (!read.ok()) log::warn("idempotency.recount_failed", {{"error", read.to_string()}});
  }

  KvBatch record(const std::string& key, const Kept& kept, std::string_view organization,
                 int64_t expires_s) const {
    KvBatch batch;
    std::string metadata = organization.empty() ? "" : dump_json(Json(std::string(organization)));
    batch.put(KvFamily::kSystem, key, KvEntry{kept.to_json(), std::move(metadata), expires_s});
    return batch;
  }

  // Takes the key for a request that begins, or returns what became of the first one. Precondition:
  // entered, unless `busy`.
  Result<std::optional<Kept>> begin(const std::string& key, const Kept& marker, bool busy,
                                    int64_t marker_s) {
    if (!busy) {
      const Status begun = kv.compare_and_swap(KvFamily::kSystem, key, std::nullopt,
                                               record(key, marker, "", clock.unix_s() + marker_s),
                                               KvDurability::kSynced);
      if (begun.ok()) return std::optional<Kept>();
      if (begun.code() != Code::kConflict) return store_failed(begun);
    }
    const Result<KvEntry> entry = kv.get(KvFamily::kSystem, key);
    Kept first = marker;
    if (entry.ok()) {
      Result<Kept> kept = parse_kept(entry->value);
      if (!kept.ok()) return store_failed(internal(kept.status().to_string()));
      first = std::move(kept).value();
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
    if (!first.unkept.empty()) {
      return conflict("The first request with this " + std::string(name) + " (" + first.request_id +
                      ") was answered" + unkept_words(first.unkept) + ". It is not sent again.")
          .with_reason("idempotency_answer_not_kept");
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
            const OnceRequest& request, const IdempotencyRule& rule) {
    const int64_t expires_s = clock.unix_s() + rule.kept_s;
    const std::string marker = kept.to_json();
    kept.status = response.status;
    if (response.stream) kept.unkept = kStream;
    if (!response.stream && response.body.size() <= rule.answer_max_bytes) {
      Kept full = kept;
      for (const auto& [name, value] : response.headers) {
        full.headers.push_back(Json::array({name, value}));
      }
      full.sealed = sealer.seal(response.body, key);
      full.has_answer = true;
      kept.unkept = make_room(
          {std::string(request.owner), std::string(request.organization), full.sealed.size()},
          expires_s);
      if (kept.unkept.empty()) kept = std::move(full);
    }
    // Without its marker the record's owner was deleted meanwhile, and nothing of it may come back.
    const KvBatch answer = record(key, kept, request.organization, expires_s);
    [[maybe_unused]] const Status written =
        kv.compare_and_swap(KvFamily::kSystem, key, marker, answer, KvDurability::kSynced);
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
      keep(key, marker, response.value(), request, rule);
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
    : impl_(new Impl{kv, sealer, clock, kept_max_bytes, {}, {}, 0, {}, {}, {}}) {
  impl_->recount();
}
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
        const Principal& caller = request.principal;
        const bool is_meant = request.method == http::Method::kPost && header;
        if (!is_meant || caller.key_id.empty()) return handler(request);
        std::string target = request.path;
        IdempotencyRule of_caller = rule;
        if (!caller.person_id.empty()) {
          // In another place, and for another user, a person makes another request.
          target += " " + caller.organization_id + " " + caller.project_id + " " + caller.user_id;
          of_caller.streams_count = true;
        }
        OnceRequest once_request{.name = kHeader,
                                 .key = *header,
                                 .owner = request.principal.key_id,
                                 .organization = request.principal.organization_id,
                                 .target = target,
                                 .body = {},
                                 .request_id = request.request_id};
        KVCS_TRY(check_key(once_request));  // Before the body is waited for.
        http::TextBody body(KVCS_TRY(request.body->read_all()), request.body);
        once_request.body = body.text();
        const BodySwap swap(request, body);
        return once(once_request, of_caller, [&] { return handler(request); });
      };
}

}  // namespace kvcs

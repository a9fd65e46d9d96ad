// The two documents that an Issuer keeps, its metadata and its keys, and when they are fetched
// again: when they are old, and the keys also when a token names one that is not among them. While
// an issuer is away the last good documents go on for a day. Inside of this module. Thread-safe; a
// document is fetched by one caller at a time, with no lock held.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/mutex.h"
#include "base/status.h"
#include "base/wait.h"
#include "oauth/issuer_metadata.h"

namespace kvcs::oauth {

inline constexpr int64_t kMetadataFreshUs = 3'600'000'000;  // Older metadata is fetched again …
inline constexpr int64_t kKeysFreshUs = 900'000'000;        // … as are older keys …
inline constexpr int64_t kIssuerKeptUs = 86'400'000'000;    // … and used so long when that fails.
inline constexpr int64_t kIssuerRetryUs = 10'000'000;       // After a failure, with nothing kept.
inline constexpr int64_t kIssuerKeptRetryUs = 60'000'000;   // With a document that goes on.
inline constexpr int64_t kUnknownKeyAgainUs = 60'000'000;   // Between two unknown keys.

// One document. A caller that finds an old one fetches it, while others go on with the old one.
template <typename Document>
class KeptDocument final {
 public:
  // The callers that hold the document, and the cache.
  using Pointer = std::shared_ptr<const Document>;
  using Load = std::function<Result<Document>()>;

  KeptDocument(const Clock& clock, int64_t fresh_us, Load load)
      : clock_(clock), fresh_us_(fresh_us), load_(std::move(load)) {}

  Result<Pointer> get() {
    for (;;) {
      const uint64_t seen = loaded_.count();
      {
        MutexLock lock(mutex_);
        const int64_t now_us = clock_.mono_us();
        const int64_t age_us = now_us - loaded_us_;
        const bool usable = document_ && age_us < kIssuerKeptUs;
        if (usable && age_us < fresh_us_) return document_;
        const int64_t retry_us = usable ? kIssuerKeptRetryUs : kIssuerRetryUs;
        if (!failure_.ok() && now_us - failed_us_ < retry_us) {
          if (usable) return document_;
          return failure_;
        }
        if (loading_ && usable) return document_;
        if (!loading_) {
          loading_ = true;
          break;
        }
      }
      KVCS_TRY(wait(seen));
    }
    Result<Pointer> loaded = load_now();
    if (loaded.ok()) return loaded;
    MutexLock lock(mutex_);
    if (document_ && clock_.mono_us() - loaded_us_ < kIssuerKeptUs) return document_;
    return loaded;
  }

  // For a caller to whom `old` did not help: one that is newer, fetched at once. `old` itself when
  // that was done within the last kUnknownKeyAgainUs; get() does not count.
  Result<Pointer> newer_than(const Pointer& old) {
    for (;;) {
      const uint64_t seen = loaded_.count();
      {
        MutexLock lock(mutex_);
        if (document_ != old) return document_;
        if (!loading_) {
          const int64_t now_us = clock_.mono_us();
          if (asked_us_ && now_us - *asked_us_ < kUnknownKeyAgainUs) {
            if (!asked_failure_.ok()) return asked_failure_;
            return old;
          }
          asked_us_ = now_us;
          loading_ = true;
          break;
        }
      }
      KVCS_TRY(wait(seen));
    }
    Result<Pointer> loaded = load_now();
    MutexLock lock(mutex_);
    asked_failure_ = loaded.status();
    return loaded;
  }

 private:
  // Until whoever fetches the document has it, or has failed.
  Status wait(uint64_t seen) {
    switch (wait_for_event(loaded_, seen, 3 * kIssuerDeadlineMs)) {
      case Waiter::Woken::kReady:
        return ok();
      case Waiter::Woken::kClientGone:
        return client_gone();
      case Waiter::Woken::kTimeout:
        break;
    }
    return unavailable("The issuer does not answer.").with_reason(kIssuerUnavailable);
  }
  // Ends a fetch for those who wait for it, also where it ended by an exception.
  class Fetch final {
   public:
    explicit Fetch(KeptDocument& of) : of_(of) {}
    ~Fetch() {
      {
        MutexLock lock(of_.mutex_);
        of_.loading_ = false;
      }
      of_.loaded_.signal();
    }
    Fetch(const Fetch&) = delete;
    Fetch& operator=(const Fetch&) = delete;

   private:
    KeptDocument& of_;
  };

  Result<Pointer> load_now() {
    const Fetch fetch(*this);
    Result<Document> loaded = load_();
    Pointer document;
    if (loaded.ok()) document = std::make_shared<const Document>(std::move(loaded).value());
    {
      MutexLock lock(mutex_);
      failure_ = loaded.ok() ? ok() : loaded.status();
      (document ? loaded_us_ : failed_us_) = clock_.mono_us();
      if (document) document_ = document;
    }
    if (!document) return std::move(loaded).status();
    return document;
  }

  const Clock& clock_;
  const int64_t fresh_us_;
  const Load load_;
  Event loaded_;  // Counts each end of a fetch.
  Mutex mutex_;
  Pointer document_ KVCS_GUARDED_BY(mutex_);
  int64_t loaded_us_ KVCS_GUARDED_BY(mutex_) = 0;
  int64_t failed_us_ KVCS_GUARDED_BY(mutex_) = 0;
  Status failure_ KVCS_GUARDED_BY(mutex_);  // Of the last fetch.
  bool loading_ KVCS_GUARDED_BY(mutex_) = false;
  std::optional<int64_t> asked_us_ KVCS_GUARDED_BY(mutex_);  // The last newer_than() that fetched,
  Status asked_failure_ KVCS_GUARDED_BY(mutex_);             // and how it ended.
};

class IssuerCache final {
 public:
  using Metadata = KeptDocument<IssuerMetadata>::Pointer;
  using Keys = KeptDocument<JwkSet>::Pointer;

  // All outlive it.
  IssuerCache(const IssuerConfig& config, http::HttpUpstream& upstream, const Clock& clock)
      : metadata_(clock, kMetadataFreshUs, [&] { return discover(upstream, config); }),
        keys_(clock, kKeysFreshUs, [&, this]() -> Result<JwkSet> {
          const Metadata metadata = KVCS_TRY(metadata_.get());
          return fetch_keys(upstream, config, metadata->jwks_uri);
        }) {}

  Result<Metadata> metadata() { return metadata_.get(); }
  Result<Keys> keys() { return keys_.get(); }
  // A token names a key that is not in `old`.
  Result<Keys> newer_keys(const Keys& old) { return keys_.newer_than(old); }

 private:
  KeptDocument<IssuerMetadata> metadata_;
  KeptDocument<JwkSet> keys_;
};

}  // namespace kvcs::oauth

// Links that share one artifact with whoever has them. The link holds 256 random bits, of which the
// store keeps the SHA-256, so that it is shown once. It ends with its time, with its artifact, when
// it is withdrawn, and with its maker's right to write the artifact: a member who left the
// organization, or a key that was revoked or has expired, leaves no open doors behind.
//
// Downloads are counted before the first byte is sent, in one transaction with the limit, so that
// parallel ones cannot pass it together. A counted download lets its address fetch parts for an
// hour without counting again: a download in parts or one that is resumed counts once. In all they
// are sent the file and an eighth of it, for what is lost where a connection breaks, at least 4 MiB
// and at most twice the file. What is on its way counts as sent only against that last limit, since
// a connection that broke may still be at it when its client resumes. A whole download counts each
// time. After a restart a resumed one counts again.
//
// Thread-safe; references outlive it.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifacts/artifacts.h"
#include "base/secret.h"

namespace kvcs {

inline constexpr size_t kSharesPerArtifactMax = 100;
inline constexpr int64_t kShareLifetimeStandardS = 7 * 86'400;
inline constexpr int64_t kShareLifetimeMaxS = 366 * 86'400;

// Whose right a share rests on.
struct ShareMaker {
  PrincipalKind kind = PrincipalKind::kAnonymous;
  std::string id;  // Of the person or the key.
  std::string organization_id, project_id;
};

struct Share {
  std::string id, artifact_id;
  std::string password_hash;  // "" = without password.
  PrincipalKind maker_kind = PrincipalKind::kAnonymous;
  std::string maker_id;
  int64_t downloads = 0;
  std::optional<int64_t> downloads_max;
  int64_t created_ms = 0, expires_ms = 0;
};

struct NewShare {
  int64_t expires_in_s = kShareLifetimeStandardS;
  std::optional<int64_t> downloads_max;
  std::string password_hash;
};

struct CreatedShare {
  Share share;
  Secret token;  // Shown once.
};

// What has become of a link that is listed: it works, its downloads are used up, or its maker has
// no right to the artifact any more.
enum class ShareState : uint8_t { kActive, kUsedUp, kEnded };
std::string_view share_state_name(ShareState state);

struct ListedShare {
  Share share;
  ShareState state = ShareState::kActive;
};

// A share that may be used now, and what it opens.
struct OpenShare {
  Share share;
  Artifact artifact;
};

class ShareService final {
 public:
  // Whether the maker may still write artifacts of its project.
  using MakerMay = std::function<Result<bool>(const ShareMaker& maker)>;
  // `clock` is of what has an end (base/kept_clock.h).
  ShareService(DbWriter& writer, DbReaders& readers, const Clock& clock, Entropy& entropy,
               MakerMay maker_may)
      : writer_(writer),
        readers_(readers),
        clock_(clock),
        entropy_(entropy),
        maker_may_(std::move(maker_may)) {}

  // NotFound "Artifact not found" for what is not the caller's own. Invalid for an unconfirmed
  // upload. Conflict with reason shares_full.
  Result<CreatedShare> create(const Principal& who, std::string_view artifact_id,
                              const NewShare& wanted, std::string_view request_id);
  // The oldest first, without those whose time is over.
  Result<std::vector<ListedShare>> list(const Principal& who, std::string_view artifact_id) const;
  // Whether one of the organization's newest 1000 artifacts has a link whose time is not over.
  Result<bool> has_any(std::string_view organization_id) const;
  // NotFound with reason share_not_found.
  Status remove(const Principal& who, std::string_view artifact_id, std::string_view share_id,
                std::string_view request_id);

  // NotFound: reason share_not_found, also when it was withdrawn or its artifact has gone; reason
  // share_expired; reason share_ended, its maker has no right to it any more.
  Result<OpenShare> find(std::string_view token) const;
  struct Taking {
    std::string address;
    bool is_part = false;     // Of the file.
    uint64_t size_bytes = 0;  // Of this answer.
  };
  // What a counted download has had. Owners: the service, and each answer that is under way.
  struct Grant {
    int64_t until_us = 0;
    uint64_t sent_bytes = 0, held_bytes = 0;  // Sent, and at most to be sent by answers under way.
  };
  // Counts a download that begins now, or adds to one. NotFound with reason share_used_up.
  Result<std::shared_ptr<Grant>> take_download(const OpenShare& open, const Taking& taking);
  // The answer that was taken has ended after so many bytes.
  void end_download(Grant& grant, const Taking& taking, uint64_t sent_bytes);

  // A job: takes rows away whose time is over; how many.
  Result<int64_t> remove_expired();

 private:
  std::shared_ptr<Grant> take_granted(const std::string& key, uint64_t file_bytes,
                                      uint64_t size_bytes);
  std::shared_ptr<Grant> grant(const std::string& key, uint64_t size_bytes);
  Status count(Database& db, const Share& share) const;
  Result<bool> maker_may(const Share& share, const Artifact& artifact) const;
  Result<Artifact> find_own(Database& db, const Principal& who, std::string_view id) const;
  Status audit(Database& db, std::string_view action, const Share& share, const Principal& who,
               std::string_view request_id) const;

  DbWriter& writer_;
  DbReaders& readers_;
  const Clock& clock_;
  Entropy& entropy_;
  const MakerMay maker_may_;
  Mutex mutex_;
  // By share and address. The mutex guards what they hold, too.
  std::map<std::string, std::shared_ptr<Grant>, std::less<>> grants_ KVCS_GUARDED_BY(mutex_);
};

}  // namespace kvcs

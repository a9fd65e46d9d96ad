// Draws challenges and compares their answers with the bytes of the blob store. An answer is given
// at the same time after its request whatever was found, so that nobody learns from the clock which
// bytes are here. Runs on the threads of requests.
#include "artifacts/upload_proof.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/wait.h"
#include "blob/blob.h"

namespace kvcs {
namespace {

constexpr int64_t kAnswerUs = int64_t{60} * 1'000'000;
constexpr size_t kOpenMax = 10'000;
constexpr size_t kNonceBytes = 32;
// Longer than 64 KiB take to be read from a slow disk.
constexpr int64_t kAnswerAfterMs = 1000;

Status failed() {
  return forbidden("The proof does not hold: send the bytes.").with_reason("proof_failed");
}

// Parks the request until then.
void wait_until(int64_t due_ms) {
  for (int64_t left_ms = due_ms - steady_ms(); left_ms > 0; left_ms = due_ms - steady_ms()) {
    WaitFor time;
    time.timeout_ms = static_cast<int>(left_ms);
    if (current_waiter().wait(time) == Waiter::Woken::kClientGone) return;
  }
}

}  // namespace

std::string ProofChallenge::text() const {
  std::string out = to_hex(nonce) + " ";
  for (size_t i = 0; i < offsets.size(); i++) {
    if (i > 0) out += ',';
    out += std::to_string(offsets[i]);
  }
  return out;
}

Status UploadProofs::take_draw(std::string_view organization_id, std::string_view sha256_hex) {
  const std::string key = std::string(organization_id) + "/" + lower_ascii(sha256_hex);
  const RateDecision taken = draws_.take_hourly(key, kProofDrawsPerHour);
  if (taken.allowed) return ok();
  return rate_limited("This organization has drawn " + std::to_string(kProofDrawsPerHour) +
                          " challenges for these bytes within an hour. Send the bytes, without "
                          "Upload-Have.",
                      static_cast<int>(taken.retry_after_s))
      .with_reason("proof_draws");
}

ProofChallenge UploadProofs::challenge(std::string_view id, uint64_t size_bytes) {
  ProofChallenge made;
  made.nonce = entropy_.bytes(kNonceBytes);
  for (uint64_t& offset : made.offsets) {
    offset = entropy_.u64() % (size_bytes - kProofRangeBytes + 1);
  }
  const int64_t now_us = clock_.mono_us();
  MutexLock lock(mutex_);
  if (open_.size() >= kOpenMax) {
    std::erase_if(open_, [&](const auto& one) { return one.second.ends_us <= now_us; });
    // Whose challenge is forgotten sends its bytes.
    if (open_.size() >= kOpenMax) open_.clear();
  }
  open_.insert_or_assign(std::string(id), Open{made, now_us + kAnswerUs});
  return made;
}

std::optional<ProofChallenge> UploadProofs::take(std::string_view id) {
  MutexLock lock(mutex_);
  const auto found = open_.find(id);
  if (found == open_.end()) return std::nullopt;
  const bool in_time = clock_.mono_us() < found->second.ends_us;
  ProofChallenge challenge = std::move(found->second.challenge);
  open_.erase(found);
  if (!in_time) return std::nullopt;
  return challenge;
}

Status UploadProofs::check(std::string_view id, std::string_view sha256_hex, uint64_t size_bytes,
                           std::string_view answer_hex) {
  const int64_t due_ms = steady_ms() + kAnswerAfterMs;
  const auto challenge = take(id);
  if (!challenge) {
    return conflict(
               "No challenge of this upload is open: one is good for one answer within 60 s. "
               "Send the bytes.")
        .with_reason("no_challenge");
  }
  Status compared = compare(*challenge, sha256_hex, size_bytes, answer_hex);
  wait_until(due_ms);
  return compared;
}

Status UploadProofs::compare(const ProofChallenge& challenge, std::string_view sha256_hex,
                             uint64_t size_bytes, std::string_view answer_hex) const {
  const auto blob = blobs_.open(sha256_hex);
  if (!blob.ok() || (*blob)->size_bytes() != size_bytes) return failed();
  Sha256 hash;
  hash.update(challenge.nonce.data(), challenge.nonce.size());
  std::vector<char> bytes(kProofRangeBytes);
  for (const uint64_t offset : challenge.offsets) {
    const auto n = (*blob)->read(offset, bytes.data(), bytes.size());
    if (!n.ok() || *n != bytes.size()) return failed();
    hash.update(bytes.data(), bytes.size());
  }
  return constant_time_equal(hash.finish_hex(), lower_ascii(answer_hex)) ? ok() : failed();
}

}  // namespace kvcs

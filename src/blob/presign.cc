// Signing and checking of the URLs of blobs. Whatever a forged URL lacks, its holder learns only
// that it is not valid.
#include "blob/presign.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs {
namespace {

constexpr std::string_view kVersion = "kvcs-presign-v1";
// Far above what sign_path() makes, far below what costs time.
constexpr size_t kQueryMaxBytes = 4096;
constexpr std::string_view kPublic = "public";

Status bad(std::string_view what) {
  return forbidden("The signed URL is not valid: " + std::string(what))
      .with_reason("bad_signature");
}

struct Fields {
  std::string size, sha256, expires, signature, while_what;
};

std::string* find_field(Fields& fields, std::string_view name) {
  if (name == "size") return &fields.size;
  if (name == "sha256") return &fields.sha256;
  if (name == "expires") return &fields.expires;
  if (name == "signature") return &fields.signature;
  if (name == "while") return &fields.while_what;
  return nullptr;
}

// The signed fields, each at most once, in any order and however they are escaped (RFC 3986 §6.2.2:
// equivalent spellings). What is not signed may stand beside them and is not looked at: clients and
// proxies add parameters of their own, such as x-id of the AWS SDKs.
Result<Fields> read_query(std::string_view query) {
  if (query.size() > kQueryMaxBytes) return bad("its query is too long.");
  Fields fields;
  std::set<std::string*> seen;
  for (const std::string_view part : split(query, '&')) {
    const size_t equals = std::min(part.find('='), part.size());
    const Result<std::string> name = percent_decode(part.substr(0, equals), false);
    std::string* const field = name.ok() ? find_field(fields, *name) : nullptr;
    if (field == nullptr) continue;
    Result<std::string> value =
        percent_decode(part.substr(std::min(equals + 1, part.size())), false);
    if (!value.ok() || !seen.insert(field).second) return bad("it is malformed.");
    *field = *std::move(value);
  }
  return fields;
}

std::string signature(const Secret& key, const PresignedClaim& claim) {
  std::string text(kVersion);
  for (const std::string& part : {claim.method, claim.id, std::to_string(claim.size_bytes),
                                  claim.sha256_hex, std::to_string(claim.expires_at_s)}) {
    // A line break inside a part would let two claims share one text.
    KVCS_ASSERT(part.find('\n') == part.npos);
    (text += '\n') += part;
  }
  if (claim.while_public) text += "\npublic";
  return to_base64url(hmac_sha256(key.reveal(), text));
}

}  // namespace

Presigner::Presigner(Secret key, const Clock& clock) : clock_(clock) {
  set_keys({std::move(key)});
}

void Presigner::set_keys(std::vector<Secret> keys) {
  KVCS_ASSERT(!keys.empty());
  for (const Secret& key : keys) KVCS_ASSERT(key.reveal().size() >= 16);
  Keys made = std::make_shared<const std::vector<Secret>>(std::move(keys));
  const MutexLock lock(mutex_);
  keys_.swap(made);
}

Presigner::Keys Presigner::keys() const {
  const MutexLock lock(mutex_);
  return keys_;
}

std::string Presigner::sign_path(const PresignedClaim& claim) const {
  return "/blobs/" + claim.id + "?size=" + std::to_string(claim.size_bytes) +
         "&sha256=" + claim.sha256_hex + "&expires=" + std::to_string(claim.expires_at_s) +
         (claim.while_public ? "&while=" + std::string(kPublic) : "") +
         "&signature=" + signature(keys()->front(), claim);
}

Result<PresignedClaim> Presigner::verify(std::string_view method, std::string_view id,
                                         std::string_view query) const {
  const Fields fields = KVCS_TRY(read_query(query));
  const auto size = parse_u64(fields.size, "size");
  const auto expires = parse_u64(fields.expires, "expires");
  const bool digest_fits = fields.sha256.empty() || is_hex(fields.sha256, 64);
  const bool while_fits = fields.while_what.empty() || fields.while_what == kPublic;
  if (!size.ok() || !expires.ok() || !digest_fits || !while_fits || *expires > INT64_MAX ||
      id.find('\n') != id.npos) {
    return bad("it is malformed.");
  }
  PresignedClaim claim{std::string(method),
                       std::string(id),
                       *size,
                       lower_ascii(fields.sha256),
                       static_cast<int64_t>(*expires),
                       fields.while_what == kPublic};
  bool is_ours = false;
  for (const Secret& key : *keys()) {
    is_ours |= constant_time_equal(signature(key, claim), fields.signature);
  }
  if (!is_ours) {
    return bad("it was not made by this server for this request.");
  }
  // Only after the signature: a forger learns nothing about times.
  if (clock_.unix_s() >= claim.expires_at_s) {
    return forbidden("The signed URL expired at " + format_iso8601_s(claim.expires_at_s * 1000) +
                     "; ask for a new one.")
        .with_reason("url_expired");
  }
  return claim;
}

}  // namespace kvcs

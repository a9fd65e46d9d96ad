// Signing and checking of the URLs of blobs. Whatever a forged URL lacks, its holder learns only
// that it is not valid.
#include "blob/presign.h"

#include "base/bytes.h"
#include "base/crypto.h"

namespace kvcs {
namespace {

constexpr std::string_view kVersion = "kvcs-presign-v1";
// Far above what sign_path() makes, far below what costs time.
constexpr size_t kQueryMaxBytes = 1024;
constexpr std::string_view kWhilePublic = "while=public";

Status bad(std::string_view what) {
  return forbidden("The signed URL is not valid: " + std::string(what))
      .with_reason("bad_signature");
}

// The signed fields as they stand in the query, still encoded: none of them needs an escape.
struct Fields {
  std::string_view size, sha256, expires, signature;
  bool while_public = false;
};

// Whether the name is one that a GET may give beside the signed fields: a part of the bytes that
// the URL gives anyway.
bool is_selection(std::string_view name) {
  return name == "tokens" || name == "layers";
}

// Exactly the four fields, each once, and perhaps while=public: what is not signed must not be
// there to be believed.
Result<Fields> split_query(std::string_view method, std::string_view query) {
  if (query.size() > kQueryMaxBytes) return bad("its query is too long.");
  Fields fields;
  int seen = 0;
  for (const std::string_view part : split(query, '&')) {
    const size_t equals = part.find('=');
    if (equals == part.npos) return bad("it is malformed.");
    const std::string_view name = part.substr(0, equals);
    if (method == "GET" && is_selection(name)) continue;
    if (part == kWhilePublic && !fields.while_public) {
      fields.while_public = true;
      continue;
    }
    std::string_view* field = nullptr;
    int bit = 0;
    if (name == "size") field = &fields.size, bit = 1;
    if (name == "sha256") field = &fields.sha256, bit = 2;
    if (name == "expires") field = &fields.expires, bit = 4;
    if (name == "signature") field = &fields.signature, bit = 8;
    if (field == nullptr || (seen & bit) != 0) return bad("it is malformed.");
    *field = part.substr(equals + 1);
    seen |= bit;
  }
  if (seen != 15) return bad("it is malformed.");
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
         (claim.while_public ? "&" + std::string(kWhilePublic) : "") +
         "&signature=" + signature(keys()->front(), claim);
}

Result<PresignedClaim> Presigner::verify(std::string_view method, std::string_view id,
                                         std::string_view query) const {
  const Fields fields = KVCS_TRY(split_query(method, query));
  const auto size = parse_u64(fields.size, "size");
  const auto expires = parse_u64(fields.expires, "expires");
  const bool digest_fits = fields.sha256.empty() || is_hex(fields.sha256, 64);
  if (!size.ok() || !expires.ok() || !digest_fits || *expires > INT64_MAX ||
      id.find('\n') != id.npos) {
    return bad("it is malformed.");
  }
  PresignedClaim claim{std::string(method),
                       std::string(id),
                       *size,
                       std::string(fields.sha256),
                       static_cast<int64_t>(*expires),
                       fields.while_public};
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

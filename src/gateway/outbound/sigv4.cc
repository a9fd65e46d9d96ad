// Builds the canonical request and the signature of AWS SigV4 step by step, in the order of AWS's
// documentation.
#include "gateway/outbound/sigv4.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"

namespace kvcs::gateway {
namespace {

// The only algorithm of version 4.
constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

// S3 alone takes the path as it goes on the wire; elsewhere it is encoded once more.
std::string canonical_path(std::string_view path, std::string_view service) {
  if (service == "s3") return path.empty() ? "/" : std::string(path);
  std::string out;
  for (const std::string_view segment : split(path.empty() ? "/" : path, '/')) {
    if (!out.empty() || segment.data() != path.data()) out += '/';
    out += percent_encode(segment);
  }
  return out.empty() ? "/" : out;
}

// Sorted after encoding, by name and then by value.
std::string canonical_query(const SigV4Request& request) {
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const auto& [name, value] : request.query) {
    pairs.emplace_back(percent_encode(name), percent_encode(value));
  }
  std::sort(pairs.begin(), pairs.end());
  std::string out;
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    ((out += name) += '=') += value;
  }
  return out;
}

// Trimmed, and runs of spaces within become one.
std::string canonical_value(std::string_view value) {
  std::string out;
  for (const char c : trim(value)) {
    if (c == ' ' && !out.empty() && out.back() == ' ') continue;
    out += c;
  }
  return out;
}

}  // namespace

// ISO 8601 in its basic form, which AWS wants.
std::string sigv4_time(int64_t unix_ms) {
  std::string text = format_iso8601_s(unix_ms);
  std::erase_if(text, [](char c) { return c == '-' || c == ':'; });
  return text;
}

std::string sigv4_authorization(const SigV4Request& request, const SigV4Scope& scope,
                                const Secret& access_key_id, const Secret& secret_access_key) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& [name, value] : request.headers) {
    headers.emplace_back(lower_ascii(name), canonical_value(value));
  }
  std::stable_sort(headers.begin(), headers.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string canonical_headers, signed_names;
  for (size_t i = 0; i < headers.size(); ++i) {
    // Headers of one name are one line, their values in order.
    const bool repeated = i > 0 && headers[i - 1].first == headers[i].first;
    if (repeated) {
      canonical_headers.back() = ',';
      canonical_headers += headers[i].second + "\n";
      continue;
    }
    canonical_headers += headers[i].first + ":" + headers[i].second + "\n";
    signed_names += (signed_names.empty() ? "" : ";") + headers[i].first;
  }
  // Task 1: the canonical request.
  const std::string canonical = std::string(request.method) + "\n" +
                                canonical_path(request.path, scope.service) + "\n" +
                                canonical_query(request) + "\n" + canonical_headers + "\n" +
                                signed_names + "\n" + sha256_hex(request.body);
  const std::string_view day = scope.time.substr(0, 8);
  const std::string credential_scope = std::string(day) + "/" + std::string(scope.region) + "/" +
                                       std::string(scope.service) + "/aws4_request";
  // Task 2: the string to sign.
  const std::string to_sign = std::string(kAlgorithm) + "\n" + std::string(scope.time) + "\n" +
                              credential_scope + "\n" + sha256_hex(canonical);
  // Task 3: the signing key, derived by day, region and service, and the signature.
  const Secret first("AWS4" + secret_access_key.reveal());
  Secret key(hmac_sha256(first.reveal(), day));
  for (const std::string_view part :
       {scope.region, scope.service, std::string_view("aws4_request")}) {
    key = Secret(hmac_sha256(key.reveal(), part));
  }
  return std::string(kAlgorithm) + " Credential=" + access_key_id.reveal() + "/" +
         credential_scope + ", SignedHeaders=" + signed_names +
         ", Signature=" + to_hex(hmac_sha256(key.reveal(), to_sign));
}

}  // namespace kvcs::gateway

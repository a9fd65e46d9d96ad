// Fetches the documents of an issuer and reads its metadata.
#include "oauth/issuer_metadata.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "base/chars.h"
#include "base/json.h"
#include "base/origins.h"
#include "http/client/content_decoder.h"

namespace kvcs::oauth {
namespace {

constexpr int kIssuerConnectMs = 5'000;
constexpr int kIssuerRetryAfterS = 10;
constexpr std::string_view kOpenIdPath = "/.well-known/openid-configuration";
constexpr std::string_view kOAuthPath = "/.well-known/oauth-authorization-server";

std::string without_slash(std::string_view url) {
  while (url.ends_with('/')) url.remove_suffix(1);
  return std::string(url);
}

std::string shown(std::string_view text) {
  return "\"" + printable(text, kShownValue) + "\"";
}

struct EndpointReader {
  const Json& document;
  bool plain_allowed;
  Status fault;

  std::string read(const char* name, bool required) {
    const std::string url = text_member(document, name);
    if (url.empty()) {
      if (required) fail(name, "is missing.");
      return {};
    }
    if (!http::check_upstream_url(url).ok()) {
      fail(name, shown(url) + " is no URL that can be asked.");
    } else if (!url.starts_with("https://") && !(plain_allowed && is_plain_loopback(url))) {
      fail(name, shown(url) + " is not https.");
    }
    return url;
  }
  void fail(const char* name, std::string_view why) {
    if (fault.ok()) fault = invalid(std::string(name) + " " + std::string(why));
  }
};

ClientAuth client_auth_of(const Json& document) {
  const auto methods = document.find("token_endpoint_auth_methods_supported");
  if (methods == document.end() || !methods->is_array()) return ClientAuth::kAuto;
  const auto has = [&](const char* name) {
    return std::find(methods->begin(), methods->end(), name) != methods->end();
  };
  // kAuto begins with basic.
  if (has("client_secret_basic") || !has("client_secret_post")) return ClientAuth::kAuto;
  return ClientAuth::kPost;
}

}  // namespace

bool is_plain_loopback(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  std::string host = origin_of(url);
  if (!host.starts_with(kScheme)) return false;
  host.erase(0, kScheme.size());
  // The port stands behind the last colon, unless that is within the brackets of IPv6.
  if (const size_t colon = host.rfind(':'); colon != host.npos && host.back() != ']') {
    host.resize(colon);
  }
  if (host == "localhost" || host == "[::1]") return true;
  constexpr CharSet kAddressChars("0123456789.");
  return host.starts_with("127.") && kAddressChars.has_all(host);
}

bool may_be_private(const IssuerConfig& config, std::string_view url) {
  return config.allow_private_addresses || origin_of(url) == origin_of(config.issuer);
}

Result<IssuerMetadata> read_metadata(std::string_view json, std::string_view issuer) {
  const Json document = KVCS_TRY(parse_json(json));
  if (!document.is_object()) return invalid("it is no JSON object.");
  const std::string named = text_member(document, "issuer");
  if (named != issuer) {
    return invalid("it names the issuer " + shown(named) + ", and " + shown(issuer) +
                   " is configured. The two must be the same to the last character.");
  }
  EndpointReader reader{document, is_plain_loopback(issuer), ok()};
  IssuerMetadata metadata;
  metadata.authorization_endpoint = reader.read("authorization_endpoint", true);
  metadata.token_endpoint = reader.read("token_endpoint", true);
  metadata.jwks_uri = reader.read("jwks_uri", true);
  metadata.userinfo_endpoint = reader.read("userinfo_endpoint", false);
  metadata.end_session_endpoint = reader.read("end_session_endpoint", false);
  KVCS_TRY(std::move(reader.fault));
  const auto sends = document.find("authorization_response_iss_parameter_supported");
  metadata.sends_issuer = sends != document.end() && *sends == true;
  metadata.client_auth = client_auth_of(document);
  return metadata;
}

Status issuer_unavailable(const IssuerConfig& config, std::string_view why,
                          std::string_view cause) {
  return unavailable("Sign-in by " + printable(config.name, kShownName) + ": " + std::string(why),
                     std::string(cause))
      .with_reason(kIssuerUnavailable)
      .with_retry_after_s(kIssuerRetryAfterS);
}

Result<IssuerText> fetch_from_issuer(http::HttpUpstream& upstream, const IssuerConfig& config,
                                     std::string_view url, const Secret& bearer) {
  http::UpstreamRequest request;
  request.url = url;
  request.headers = {{"Accept", "application/json"}};
  if (!bearer.empty()) request.headers.emplace_back("Authorization", "Bearer " + bearer.reveal());
  request.connect_timeout_ms = kIssuerConnectMs;
  request.deadline_ms = kIssuerDeadlineMs;
  request.allow_private_addresses = may_be_private(config, url);
  const auto unreachable = [&](const Status& status) {
    return issuer_unavailable(config, shown(url) + " gave no answer: " + status.message(),
                              status.cause());
  };
  auto opened = upstream.open(request);
  if (opened.ok()) opened = http::decode_content(std::move(opened).value());
  if (!opened.ok()) return unreachable(opened.status());
  IssuerText text;
  text.status = opened.value()->status();
  text.content_type = lower_ascii(opened.value()->header("content-type").value_or(""));
  Result<std::string> body = opened.value()->read_all(kMetadataMaxBytes);
  if (!body.ok()) return unreachable(body.status());
  text.body = std::move(body).value();
  return text;
}

Result<IssuerMetadata> discover(http::HttpUpstream& upstream, const IssuerConfig& config) {
  const std::string base = without_slash(config.issuer);
  std::string url = base + std::string(kOpenIdPath);
  IssuerText text = KVCS_TRY(fetch_from_issuer(upstream, config, url));
  // A server of OAuth alone has its document before the path of the issuer (RFC 8414 §3.1).
  if (text.status >= 400 && text.status <= 499 && text.status != 429) {
    const size_t host = base.find("://") + 3;
    const size_t path = std::min(base.find('/', host), base.size());
    url = base.substr(0, path) + std::string(kOAuthPath) + base.substr(path);
    text = KVCS_TRY(fetch_from_issuer(upstream, config, url));
  }
  if (text.status != 200) {
    return issuer_unavailable(config, shown(url) + " answered " + std::to_string(text.status) +
                                          "; is the issuer's URL right?");
  }
  Result<IssuerMetadata> metadata = read_metadata(text.body, config.issuer);
  if (metadata.ok()) return metadata;
  return issuer_unavailable(
      config, "the document " + shown(url) + " is wrong: " + metadata.status().message());
}

Result<JwkSet> fetch_keys(http::HttpUpstream& upstream, const IssuerConfig& config,
                          std::string_view jwks_uri) {
  const IssuerText text = KVCS_TRY(fetch_from_issuer(upstream, config, jwks_uri));
  if (text.status != 200) {
    return issuer_unavailable(
        config, "the keys " + shown(jwks_uri) + " answered " + std::to_string(text.status) + ".");
  }
  Result<JwkSet> set = JwkSet::parse(text.body);
  if (!set.ok()) {
    return issuer_unavailable(
        config, "the keys " + shown(jwks_uri) + " are wrong: " + set.status().message());
  }
  const std::vector<Jwk>& keys = set.value().keys();
  if (std::any_of(keys.begin(), keys.end(), [](const Jwk& jwk) { return jwk.fault.empty(); })) {
    return set;
  }
  return issuer_unavailable(config, "of the " + std::to_string(keys.size()) + " keys " +
                                        shown(jwks_uri) + " none can be used" +
                                        (keys.empty() ? "." : ": the first " + keys.front().fault));
}

}  // namespace kvcs::oauth

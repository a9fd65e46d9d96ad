// Finds what is to be fetched: by the API and the key, or behind a link by its own server.
#include "cli/wanted_artifact.h"

#include <nlohmann/json.hpp>

#include "base/bytes.h"
#include "cli/ask.h"
#include "cli/own_calls.h"

namespace kvcs::cli {
namespace {

constexpr std::string_view kKvEnding = ".kv";
constexpr size_t kLinkNameMaxBytes = 100;
// A file system takes 255 bytes; the part file and the sidecar have longer names.
constexpr size_t kFileNameMaxBytes = 200;

std::string with_ending(std::string name, bool is_slice) {
  if (name.ends_with(kKvEnding)) name.resize(name.size() - kKvEnding.size());
  return name + (is_slice ? "-slice" : "") + std::string(kKvEnding);
}

// --tokens and --layers become part of the URL; a signed one covers the artifact and not the query
// behind it. Then a HEAD says how long the slice is and which ETag it has; the server computes both
// without reading the data.
Status choose_slice(const Invocation& in, ApiClient& api, WantedArtifact& wanted) {
  const auto joint = [](const std::string& url) {
    return std::string(url.find('?') == url.npos ? "?" : "&");
  };
  const auto tokens = in.optional_text("tokens"), layers = in.optional_text("layers");
  if (!tokens && !layers) return ok();
  kvfile::SliceSpec spec;
  if (tokens) {
    spec.tokens = KVCS_TRY(kvfile::parse_index_range(*tokens, "tokens"));
    wanted.url += joint(wanted.url) + "tokens=" + *tokens;
  }
  if (layers) {
    spec.layers = KVCS_TRY(kvfile::parse_index_range(*layers, "layers"));
    wanted.url += joint(wanted.url) + "layers=" + *layers;
  }
  const ApiClient::Remote remote = KVCS_TRY(api.look_at(wanted.url, wanted.authorization));
  if (remote.etag.empty()) return upstream_failed("The server does not cut artifacts.");
  wanted.slice = spec;
  wanted.sha256.clear();
  wanted.etag = remote.etag;
  wanted.size_bytes = remote.size_bytes;
  return ok();
}

Result<WantedArtifact> ask_server(const Invocation& in, ApiClient& api, Cut cut) {
  WantedArtifact wanted;
  wanted.id = KVCS_TRY(find_artifact(api, in.text("artifact")));
  const Json about = KVCS_TRY(api.call("GET", "/api/v1/artifacts/" + wanted.id + "?shape=single"));
  JsonReader reader(about);
  reader.ignore_unknown();
  wanted.url = reader.optional_string("download_url", {.max_bytes = 4096}).value_or("");
  wanted.sha256 = reader.optional_string("sha256").value_or("");
  wanted.size_bytes = static_cast<uint64_t>(reader.integer("size_bytes", 0, INT64_MAX));
  const Json* const metadata = reader.object("metadata");
  if (metadata != nullptr && metadata->contains("sidecar") && (*metadata)["sidecar"].is_object()) {
    wanted.sidecar_json = dump_json((*metadata)["sidecar"]);
  }
  const std::string name =
      safe_file_name(reader.optional_string("name", {.max_bytes = 4096}).value_or(""));
  KVCS_TRY(reader.finish());
  if (wanted.url.empty()) return invalid("The upload of this artifact is not confirmed yet.");
  if (!is_hex(wanted.sha256, 64)) return upstream_failed("The server names no digest.");
  // The server's ETag of a whole artifact is its SHA-256.
  wanted.etag = wanted.sha256;
  if (cut == Cut::kAsAsked) KVCS_TRY(choose_slice(in, api, wanted));
  wanted.file_name = with_ending(name.empty() ? wanted.id : name, wanted.slice.has_value());
  return wanted;
}

Result<WantedArtifact> ask_often(const Invocation& in, ApiClient& api, Repeat& repeat, Cut cut) {
  WantedArtifact wanted;
  const auto attempt = [&](bool&) -> Status {
    wanted = KVCS_TRY(ask_server(in, api, cut));
    return ok();
  };
  KVCS_TRY(repeat.run("look-up", attempt));
  return wanted;
}

// What opens without a key. An artifact in the API or in the dashboard does not.
bool is_link(std::string_view text) {
  const bool is_url = text.starts_with("https://") || text.starts_with("http://");
  const bool needs_key =
      text.find("/#/artifacts/") != text.npos || text.find("/api/v1/artifacts/") != text.npos;
  return is_url && !(needs_key && !artifact_of_url(text).empty());
}

// The name that the link's server gives the file, in letters, digits and "-_.", without ".kv".
std::string name_behind_link(std::string_view disposition) {
  constexpr std::string_view kBefore = "filename=\"";
  std::string_view given;
  if (const size_t at = disposition.find(kBefore); at != disposition.npos) {
    given = disposition.substr(at + kBefore.size());
    given = given.substr(0, given.find('"'));
  }
  if (given.ends_with(kKvEnding)) given.remove_suffix(kKvEnding.size());
  std::string name;
  for (const char c : given.substr(0, kLinkNameMaxBytes)) {
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
    if (c == '.' && name.empty()) continue;
    name += is_plain ? c : '_';
  }
  return name.empty() ? "shared" : name;
}

std::string basic_authorization(const Secret& password) {
  return "Basic " + to_base64("share:" + password.reveal());
}

// HEAD, as often as it takes.
Result<ApiClient::Remote> look_at(const WantedArtifact& wanted, ApiClient& api, Repeat& repeat) {
  ApiClient::Remote remote;
  const auto attempt = [&](bool&) -> Status {
    remote = KVCS_TRY(api.look_at(wanted.url, wanted.authorization));
    return ok();
  };
  KVCS_TRY(repeat.run("look-up", attempt));
  return remote;
}

// The server of a link answers with the digest as ETag, and wants a password or none. It is asked
// without the key, which is for another server, or for the same one and not needed.
Result<WantedArtifact> ask_link(const Invocation& in, ApiClient& api, Repeat& repeat,
                                Console& console, Cut cut) {
  WantedArtifact wanted;
  const std::string link = in.text("artifact");
  wanted.url = link.substr(0, link.find('#'));
  if (const auto password = KVCS_TRY(read_password_file(in))) {
    wanted.authorization = basic_authorization(*password);
  }
  Result<ApiClient::Remote> remote = look_at(wanted, api, repeat);
  const bool wants_password =
      remote.code() == Code::kUnauthenticated && wanted.authorization.empty();
  if (wants_password && !can_ask()) {
    return unauthenticated("This link needs a password: --password-file FILE, or - for stdin.");
  }
  if (wants_password) {
    const Secret password = ask_secret(console, "Password of the link: ").value_or(Secret());
    wanted.authorization = basic_authorization(password);
    remote = look_at(wanted, api, repeat);
  }
  KVCS_TRY(remote.status());
  if (!is_hex(remote->etag, 64)) {
    return upstream_failed("No artifact lies there: the answer names no SHA-256.");
  }
  wanted.sha256 = wanted.etag = remote->etag;
  wanted.size_bytes = remote->size_bytes;
  if (cut == Cut::kAsAsked) {
    const WantedArtifact whole = wanted;
    const auto attempt = [&](bool&) {
      wanted = whole;
      return choose_slice(in, api, wanted);
    };
    KVCS_TRY(repeat.run("look-up", attempt));
  }
  wanted.file_name = with_ending(name_behind_link(remote->disposition), wanted.slice.has_value());
  return wanted;
}

// On the ways that lead to the server of a link.
ApiSettings no_key(const Invocation& in) {
  ApiSettings settings;
  Result<NamedServer> named = find_named_server(in.server_flags());
  if (!named.ok()) {
    settings.fault = named.status();
  } else {
    settings.policy = std::move(named->policy);
  }
  return settings;
}

}  // namespace

std::string safe_file_name(std::string_view name) {
  const bool is_sound = is_printable(name);
  std::string safe;
  for (const char c : name) {
    if (c == '.' && safe.empty()) continue;
    const bool is_plain = static_cast<unsigned char>(c) < 0x80 ? c >= ' ' && c != 0x7f : is_sound;
    const bool parts = c == '/' || c == '\\' || (c == '-' && safe.empty());
    safe += is_plain && !parts ? c : '_';
  }
  if (safe.size() > kFileNameMaxBytes) {
    size_t end = kFileNameMaxBytes;
    while (end > 0 && (static_cast<unsigned char>(safe[end]) & 0xc0) == 0x80) end--;
    safe.resize(end);
  }
  return safe;
}

std::vector<Option> wanted_options() {
  return {artifact_argument("Its id, some first digits of it, its name, or a link to it."),
          password_file_option("Of a link: its first line; \"-\" reads stdin.")};
}

ApiSettings settings_for(const Invocation& in) {
  return is_link(in.text("artifact")) ? no_key(in) : find_api_settings(in);
}

Result<WantedArtifact> find_wanted(const Invocation& in, ApiClient& api, Repeat& repeat,
                                   Console& console, Cut cut) {
  if (is_link(in.text("artifact"))) return ask_link(in, api, repeat, console, cut);
  if (in.optional_text("password-file")) {
    return invalid("--password-file: only a link has a password.");
  }
  return ask_often(in, api, repeat, cut);
}

Status renew_url(const Invocation& in, ApiClient& api, WantedArtifact& wanted) {
  if (wanted.id.empty()) return ok();
  const Cut cut = wanted.slice ? Cut::kAsAsked : Cut::kNever;
  wanted.url = KVCS_TRY(ask_server(in, api, cut)).url;
  return ok();
}

}  // namespace kvcs::cli

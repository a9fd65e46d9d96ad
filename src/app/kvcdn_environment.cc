// Translates KVCDN_* variables into settings of kvcs.yaml, and names those that have no meaning
// here.
#include "app/kvcdn_environment.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>

#include "base/bytes.h"
#include "base/json.h"

namespace kvcs {
namespace {

// What the backend listens on unless the variables say otherwise.
constexpr std::string_view kHost = "0.0.0.0", kPort = "3000";
constexpr size_t kSecretMinBytes = 16;

struct Renamed {
  const char* variable;
  const char* path;
};
constexpr Renamed kQuotas[] = {
    {"KVCDN_QUOTA_ORGS", "artifacts.quota_organizations"},
    {"KVCDN_QUOTA_PROJECTS", "artifacts.quota_projects"},
    {"KVCDN_QUOTA_ARTIFACTS", "artifacts.quota_artifacts"},
    {"KVCDN_QUOTA_STORAGE_BYTES", "artifacts.quota_storage_bytes"},
};
constexpr Renamed kTexts[] = {
    {"KVCDN_API_KEY_SEED", "api_key_seed"},
    {"KVCDN_API_KEY_ORGS", "identity.seeded_organizations"},
    {"KVCDN_ADMIN_SECRET", "api_key_admin_secret"},
    {"KVCDN_MOCK_OIDC", "auth.dev_issuer"},
};
struct Unused {
  const char* variable;
  const char* why;
};
constexpr const char* kOwnStore = "bytes are kept under blobs.path; no bucket is asked.";
constexpr const char* kOwnTelemetry = "telemetry of clients is checked and not passed on.";
constexpr Unused kUnused[] = {
    {"KVCDN_S3_ENDPOINT", kOwnStore},
    {"KVCDN_S3_ACCESS_KEY", kOwnStore},
    {"KVCDN_S3_SECRET_KEY", kOwnStore},
    {"KVCDN_S3_BUCKET", kOwnStore},
    {"KVCDN_S3_BUCKETS", kOwnStore},
    {"KVCDN_CONTROL_BUCKET", kOwnStore},
    {"KVCDN_TELEMETRY_URL", kOwnTelemetry},
    {"KVCDN_TELEMETRY_SECRET", kOwnTelemetry},
    {"KVCDN_BINARY_PATH", "no other program is started for an inference."},
    {"KVCDN_REDIRECT_URI", "the redirect is http.public_url and /auth/callback."},
};

bool is_number(std::string_view text, uint64_t min, uint64_t max) {
  uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && value >= min && value <= max;
}

// Reads one environment; what it finds stands in `read`.
class Reader final {
 public:
  Reader(const Environment& environment, KvcdnEnvironment& read)
      : environment_(environment), read_(read) {}

  std::string_view text(const char* name) const {
    const auto it = environment_.find(name);
    return it == environment_.end() ? std::string_view() : trim(it->second);
  }

  void listen() {
    const std::string_view host = text("KVCDN_HOST"), port = text("KVCDN_API_PORT");
    if (host.empty() && port.empty()) return;
    if (!port.empty() && !is_number(port, 1, 65'535)) {
      read_.faults.push_back("KVCDN_API_PORT: '" + printable(port, kShownName) +
                             "' is no port from 1 to 65535.");
      return;
    }
    std::string name(host.empty() ? kHost : host);
    if (name.find(':') != name.npos && !name.starts_with('[')) name = "[" + name + "]";
    set(port.empty() ? "KVCDN_HOST" : "KVCDN_API_PORT", "http.listen",
        name + ":" + std::string(port.empty() ? kPort : port));
  }

  // A limit that is no number leaves the default, as it does in the backend; but not unsaid.
  void quotas() {
    for (const auto& [variable, path] : kQuotas) {
      const std::string_view limit = text(variable);
      if (limit.empty()) continue;
      if (is_number(limit, 0, INT64_MAX)) {
        set(variable, path, std::string(limit));
      } else {
        note(variable,
             "'" + printable(limit, kShownName) + "' is not a whole number; the default stays.");
      }
    }
  }

  void issuer() {
    const std::string_view url = text("KVCDN_ISSUER_URL"), client = text("KVCDN_CLIENT_ID");
    if (url.empty()) return;
    const Json provider{{"issuer", url}, {"client_id", client.empty() ? "kvcdn-cli" : client}};
    set("KVCDN_ISSUER_URL", "auth.providers", dump_json(Json{{"kvcdn", provider}}));
  }

  void rest() {
    for (const auto& [variable, path] : kTexts) {
      if (!text(variable).empty()) set(variable, path, std::string(text(variable)));
    }
    const std::string_view secret = text("KVCDN_ADMIN_SECRET");
    if (!secret.empty() && secret.size() < kSecretMinBytes) {
      note("KVCDN_ADMIN_SECRET",
           "has under 16 characters and can be guessed; choose a longer one.");
    }
    for (const auto& [variable, why] : kUnused) {
      if (!text(variable).empty()) note(variable, "is not used: " + std::string(why));
    }
  }

 private:
  void set(const char* variable, const char* path, std::string value) {
    read_.settings.push_back({variable, path, std::move(value)});
  }
  void note(const char* variable, const std::string& why) {
    read_.notes.push_back(std::string(variable) + ": " + why);
  }

  const Environment& environment_;
  KvcdnEnvironment& read_;
};

}  // namespace

KvcdnEnvironment read_kvcdn_environment(const Environment& environment) {
  KvcdnEnvironment read;
  Reader reader(environment, read);
  reader.listen();
  reader.quotas();
  reader.issuer();
  reader.rest();
  return read;
}

}  // namespace kvcs

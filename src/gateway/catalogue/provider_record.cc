// Reads a provider's record member by member, with the place of the first fault, and shows it
// without its secret.
#include "gateway/catalogue/provider_record.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>

#include "base/bytes.h"
#include "base/secret_names.h"
#include "gateway/outbound/url_guard.h"
#include "http/client/upstream.h"

namespace kvcs::gateway {
namespace {

constexpr size_t kListMax = 200;
constexpr size_t kTextMaxBytes = 4096;

using Path = std::vector<std::string>;

// Reads one object; the first member that does not fit is remembered for the whole record. It
// stands beside JsonReader because one reader serves what an administrator or a file of the
// catalogue says, where an unknown member is a fault (`strict`), and stored records, where it is
// passed over.
class Fields final {
 public:
  struct Fault {
    Path path;
    std::string why;
  };
  Fields(const Json& object, Path path, bool strict, Fault& fault)
      : object_(object), path_(std::move(path)), strict_(strict), fault_(fault) {
    if (!object_.is_object()) fail({}, "must be an object.");
  }
  // Whatever was not asked for by its name is unknown.
  ~Fields() {
    if (!strict_ || !object_.is_object()) return;
    for (const auto& [name, value] : object_.items()) {
      if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
        fail(name, "is not a member that is known here.");
      }
    }
  }
  Fields(const Fields&) = delete;

  void fail(const std::string& name, std::string_view why) {
    if (!fault_.why.empty()) return;
    fault_.path = path_;
    if (!name.empty()) fault_.path.push_back(name);
    fault_.why = why;
  }
  // Null when absent.
  const Json* find(const char* name) {
    known_.emplace_back(name);
    if (!object_.is_object()) return nullptr;
    const auto it = object_.find(name);
    return it == object_.end() || it->is_null() ? nullptr : &*it;
  }
  // The readers below leave `out` as it is when the member is absent; a member that does not fit is
  // a fault of the whole record.
  void text(const char* name, std::string& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (!value->is_string()) return fail(name, "must be a string.");
    out = value->get<std::string>();
    if (out.size() > kTextMaxBytes) fail(name, "is over 4096 bytes.");
  }
  void integer(const char* name, int64_t min, int64_t max, int64_t& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    const std::optional<int64_t> number = number_of(*value);
    if (!number || *number < min || *number > max) {
      return fail(name, "must be a whole number from " + std::to_string(min) + " to " +
                            std::to_string(max) + ".");
    }
    out = *number;
  }
  void boolean(const char* name, bool& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (value->is_boolean()) {
      out = value->get<bool>();
    } else if (*value == "true" || *value == "false") {
      out = *value == "true";
    } else {
      fail(name, "must be true or false.");
    }
  }
  void list(const char* name, std::vector<std::string>& out) {
    const Json* value = find(name);
    if (value == nullptr) return;
    if (!value->is_array() || value->size() > kListMax) {
      return fail(name, "must be a list of at most 200 strings.");
    }
    out.clear();
    for (const Json& item : *value) {
      if (!item.is_string()) return fail(name, "must be a list of strings.");
      out.push_back(item.get<std::string>());
    }
  }
  // A whole number, or the digits of one: scalars of YAML are texts.
  static std::optional<int64_t> number_of(const Json& value) {
    if (value.is_number_integer()) return value.get<int64_t>();
    if (!value.is_string()) return {};
    const Result<uint64_t> digits = parse_u64(value.get_ref<const std::string&>(), "number");
    if (!digits.ok() || digits.value() > INT64_MAX) return {};
    return static_cast<int64_t>(digits.value());
  }
  const Path& path() const { return path_; }
  Path below(const std::string& name) const {
    Path path = path_;
    path.push_back(name);
    return path;
  }

 private:
  const Json& object_;
  const Path path_;
  const bool strict_;
  Fault& fault_;
  std::vector<std::string> known_;
};

bool is_method(std::string_view method) {
  constexpr std::string_view kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
  return std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

// Credentials go over http only to machines of one's own network.
std::string url_fault(std::string url, bool allow_private) {
  // Holes are filled with a letter, so that the rest can be checked as a URL.
  for (size_t open = url.find('{'); open != url.npos; open = url.find('{')) {
    const size_t close = url.find('}', open);
    if (close == url.npos) return "has '{' without '}'.";
    if (!is_id_part(std::string_view(url).substr(open + 1, close - open - 1))) {
      return "has braces around what is no name.";
    }
    url.replace(open, close - open + 1, "x");
  }
  if (const Status status = http::check_upstream_url(url); !status.ok()) return status.message();
  if (!url.starts_with("https://") && !allow_private) {
    return "must begin with https:// (http needs allow_private_addresses).";
  }
  return {};
}

// The object `auth`: how to authenticate, and the OAuth client when there is one.
void read_auth(Fields& fields, bool strict, Fields::Fault& fault, Provider& provider) {
  const Json* auth = fields.find("auth");
  if (auth == nullptr) return;
  Fields inner(*auth, fields.below("auth"), strict, fault);
  inner.text("header", provider.auth.header);
  inner.text("prefix", provider.auth.prefix);
  inner.text("query_param", provider.auth.query_param);
  inner.text("aws_service", provider.auth.aws_service);
  OauthRule& oauth = provider.oauth;
  inner.text("token_url", oauth.token_url);
  inner.text("authorize_url", oauth.authorize_url);
  inner.text("revoke_url", oauth.revoke_url);
  inner.text("issuer", oauth.issuer);
  inner.text("authorize_params", oauth.authorize_params);
  inner.text("client_auth", oauth.client_auth);
  inner.text("scope_separator", oauth.scope_separator);
  inner.list("scopes", oauth.scopes);
  inner.text("client_id", oauth.client_id);
  std::string secret;
  inner.text("client_secret", secret);
  oauth.client_secret = Secret(std::move(secret));
  if (oauth.client_auth != "client_secret_basic" && oauth.client_auth != "client_secret_post" &&
      oauth.client_auth != "none") {
    inner.fail("client_auth", "must be client_secret_basic, client_secret_post or none.");
  }
  for (const auto& [name, url] :
       {std::pair("token_url", &oauth.token_url), std::pair("authorize_url", &oauth.authorize_url),
        std::pair("revoke_url", &oauth.revoke_url)}) {
    if (url->empty()) continue;
    const std::string why = url_fault(*url, provider.allow_private_addresses);
    if (!why.empty()) inner.fail(name, why);
  }
  const std::string& header = provider.auth.header;
  if (!header.empty() && (!is_id_part(header) || equal_ignore_case(header, "host"))) {
    inner.fail("header", "is no header name.");
  }
}

// The harmless request that tells whether the provider serves.
void read_canary(Fields& fields, bool strict, Fields::Fault& fault, CanaryRule& canary) {
  const Json* value = fields.find("canary");
  if (value == nullptr) return;
  Fields inner(*value, fields.below("canary"), strict, fault);
  inner.text("path", canary.path);
  inner.text("method", canary.method);
  if (!canary.path.starts_with('/')) inner.fail("path", "must begin with '/'.");
  if (!is_method(canary.method)) inner.fail("method", "is not a method.");
  const Json* expect = inner.find("expect");
  if (expect == nullptr) return;
  if (!expect->is_array()) return inner.fail("expect", "must be a list of HTTP statuses.");
  for (const Json& item : *expect) {
    const std::optional<int64_t> status = Fields::number_of(item);
    if (!status || *status < 100 || *status > 599) {
      return inner.fail("expect", "must be a list of HTTP statuses.");
    }
    canary.expect.push_back(static_cast<int>(*status));
  }
}

// The curated verbs. Holes of a path are checked when an action is called, by the values that fill
// them.
void read_actions(Fields& fields, bool strict, Fields::Fault& fault, Provider& provider) {
  const Json* actions = fields.find("actions");
  if (actions == nullptr) return;
  if (!actions->is_object()) return fields.fail("actions", "must be an object.");
  for (const auto& [verb, value] : actions->items()) {
    Path path = fields.below("actions");
    path.push_back(verb);
    Fields inner(value, std::move(path), strict, fault);
    ActionRule rule;
    inner.text("method", rule.method);
    inner.text("path", rule.path);
    inner.list("query", rule.query);
    inner.list("body", rule.body);
    inner.text("body_from", rule.body_from);
    inner.text("wrap_filters", rule.wrap_filters);
    if (!is_method(rule.method)) inner.fail("method", "is not a method.");
    if (!rule.path.starts_with('/')) inner.fail("path", "must begin with '/'.");
    provider.actions[verb] = std::move(rule);
  }
}

// An object whose members are all strings; `add` takes them one by one.
void read_text_map(Fields& fields, const char* name,
                   const std::function<void(const std::string&, std::string)>& add) {
  const Json* object = fields.find(name);
  if (object == nullptr) return;
  if (!object->is_object() || object->size() > kListMax) {
    return fields.fail(name, "must be an object of at most 200 strings.");
  }
  for (const auto& [key, value] : object->items()) {
    if (!value.is_string()) return fields.fail(name, "must be an object of strings.");
    add(key, value.get<std::string>());
  }
}

// Everything that bounds a call: time, methods, paths, cache, rate.
void read_limits(Fields& fields, bool strict, Fields::Fault& fault, Provider& provider) {
  int64_t timeout_ms = provider.timeout_ms;
  fields.integer("timeout_ms", 1, kTimeoutMsMax, timeout_ms);
  provider.timeout_ms = static_cast<int>(timeout_ms);
  fields.list("allowed_methods", provider.allowed_methods);
  for (const std::string& method : provider.allowed_methods) {
    if (!is_method(method)) fields.fail("allowed_methods", "'" + method + "' is not a method.");
  }
  fields.list("allowed_path_prefixes", provider.allowed_path_prefixes);
  for (const std::string& prefix : provider.allowed_path_prefixes) {
    if (!prefix.starts_with('/')) {
      fields.fail("allowed_path_prefixes", "each must begin with '/'.");
    }
  }
  if (const Json* cache = fields.find("cache")) {
    Fields inner(*cache, fields.below("cache"), strict, fault);
    inner.integer("ttl_s", 0, 86'400, provider.cache_ttl_s);
    inner.integer("max_entries", 1, 1'000'000, provider.cache_entries_max);
  }
  if (const Json* rate = fields.find("rate_limit")) {
    Fields inner(*rate, fields.below("rate_limit"), strict, fault);
    inner.integer("requests_per_minute", 0, 10'000'000, provider.requests_per_minute);
  }
}

// Faults the record when it lacks a member that its auth type needs.
void check_auth(Fields& fields, const Provider& provider) {
  const auto need = [&](const std::string& value, const char* name) {
    if (value.empty()) {
      fields.fail("auth", std::string("needs ") + name + " for auth_type " +
                              std::string(auth_type_name(provider.auth.type)) + ".");
    }
  };
  switch (provider.auth.type) {
    case AuthType::kApiKeyHeader:
      return need(provider.auth.header, "header");
    case AuthType::kApiKeyQuery:
      return need(provider.auth.query_param, "query_param");
    case AuthType::kOauth2RefreshToken:
    case AuthType::kOauth2ClientCredentials:
      return need(provider.oauth.token_url, "token_url");
    case AuthType::kAwsSigV4:
      return need(provider.auth.aws_service, "aws_service");
    default:
      return;
  }
}

// The text of a template without its holes.
std::string plain_part(std::string text) {
  for (size_t open = text.find('{'); open != text.npos; open = text.find('{')) {
    const size_t close = text.find('}', open);
    text.erase(open, close == text.npos ? close : close - open + 1);
  }
  return text;
}

// As long as a scheme may be that stands before a credential ("Bearer ").
constexpr size_t kSchemeMaxBytes = 16;

// Headers that every call to the provider carries. Host, credentials and cookies are never set this
// way: records are shown to everybody who may read providers, so that a secret has a member of its
// own, which is sealed.
void read_headers(Fields& fields, bool strict, Provider& provider) {
  read_text_map(fields, "default_headers", [&](const std::string& name, std::string value) {
    if (!is_id_part(name) || equal_ignore_case(name, "host") ||
        equal_ignore_case(name, "authorization") || equal_ignore_case(name, "cookie")) {
      return fields.fail("default_headers",
                         "'" + printable(name, kShownName) + "' may not be set here.");
    }
    // A template is tried with nothing known: a missing name is fine, a wrong shape is not.
    const Meta nothing;
    if (fill_header_template(value, {nothing, nothing}).code() == Code::kInvalid) {
      return fields.fail("default_headers",
                         "'" + name + "' may hold {meta.NAME} and {secrets.NAME} only.");
    }
    if (strict && is_secret_name(name) &&
        (!has_template(value) || plain_part(value).size() > kSchemeMaxBytes)) {
      return fields.fail("default_headers",
                         "'" + name +
                             "' holds a credential; put it into secrets, of the provider "
                             "or of each account, and write {secrets.NAME} here.");
    }
    provider.default_headers.emplace_back(lower_ascii(name), std::move(value));
  });
}

void read_secrets(Fields& fields, Provider& provider) {
  fields.find("secrets_set");  // What GET shows may be sent back; it changes nothing.
  const Json* secrets = fields.find("secrets");
  if (secrets == nullptr) return;
  if (!secrets->is_object() || secrets->size() > kProviderSecretsMax) {
    return fields.fail("secrets", "must be an object of at most 32 strings.");
  }
  for (const auto& [name, value] : secrets->items()) {
    if (!is_id_part(name)) return fields.fail("secrets", "has a name that is none.");
    if (value.is_null()) continue;  // Taken away.
    if (!value.is_string() || value.get_ref<const std::string&>().empty() ||
        value.get_ref<const std::string&>().size() > kTextMaxBytes) {
      return fields.fail("secrets", "must be an object of strings of 1 to 4096 bytes.");
    }
    provider.secrets[name] = Secret(value.get<std::string>());
  }
}

void read_members(Fields& fields, bool strict, Fields::Fault& fault, Provider& provider) {
  std::string named = provider.id, auth_type;
  fields.text("provider", named);
  if (named != provider.id) {
    fields.fail("provider",
                "'" + printable(named, kShownName) + "' is not the name '" + provider.id + "'.");
  }
  fields.boolean("allow_private_addresses", provider.allow_private_addresses);
  fields.text("display_name", provider.display_name);
  fields.text("note", provider.note);
  fields.text("base_url", provider.base_url);
  fields.text("version", provider.version);
  fields.text("auth_type", auth_type);
  if (provider.base_url.empty()) {
    fields.fail("base_url", "is required.");
  } else if (provider.base_url.find_first_of("?#") != std::string::npos) {
    fields.fail("base_url", "must not hold a query or fragment.");
  } else {
    const std::string why = url_fault(provider.base_url, provider.allow_private_addresses);
    if (!why.empty()) fields.fail("base_url", why);
  }
  const Result<AuthType> type = parse_auth_type(auth_type);
  if (auth_type.empty()) fields.fail("auth_type", "is required.");
  if (!type.ok()) fields.fail("auth_type", type.status().message());
  if (type.ok()) provider.auth.type = type.value();
  read_auth(fields, strict, fault, provider);
  read_text_map(fields, "endpoints", [&](const std::string& name, std::string path) {
    if (!path.starts_with('/')) fields.fail("endpoints", "'" + name + "' must begin with '/'.");
    provider.endpoints[name] = std::move(path);
  });
  read_headers(fields, strict, provider);
  read_secrets(fields, provider);
  read_limits(fields, strict, fault, provider);
  read_canary(fields, strict, fault, provider.canary);
  read_actions(fields, strict, fault, provider);
  check_auth(fields, provider);
}

Json actions_json(const Provider& provider) {
  Json actions = Json::object();
  for (const auto& [verb, rule] : provider.actions) {
    Json action = {{"method", rule.method}, {"path", rule.path}};
    if (!rule.query.empty()) action["query"] = rule.query;
    if (!rule.body.empty()) action["body"] = rule.body;
    if (!rule.body_from.empty()) action["body_from"] = rule.body_from;
    if (!rule.wrap_filters.empty()) action["wrap_filters"] = rule.wrap_filters;
    actions[verb] = std::move(action);
  }
  return actions;
}

// OAuth members are shown only where the provider has a token endpoint.
Json auth_json(const Provider& provider) {
  Json auth = Json::object();
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) auth[name] = value;
  };
  add("header", provider.auth.header);
  add("prefix", provider.auth.prefix);
  add("query_param", provider.auth.query_param);
  add("aws_service", provider.auth.aws_service);
  const OauthRule& oauth = provider.oauth;
  add("token_url", oauth.token_url);
  add("authorize_url", oauth.authorize_url);
  add("revoke_url", oauth.revoke_url);
  add("issuer", oauth.issuer);
  add("authorize_params", oauth.authorize_params);
  if (!oauth.token_url.empty()) {
    add("client_auth", oauth.client_auth);
    add("scope_separator", oauth.scope_separator);
  }
  if (!oauth.scopes.empty()) auth["scopes"] = oauth.scopes;
  add("client_id", oauth.client_id);
  auth["client_secret_set"] = !oauth.client_secret.empty();
  return auth;
}

}  // namespace

Result<Provider> parse_provider(std::string_view id, const Json& record, bool strict,
                                std::vector<std::string>* fault_path) {
  if (!is_id_part(id)) {
    return invalid("provider: '" + printable(id, kShownName) +
                   "' must be 1 to 64 of A-Z a-z 0-9 _ . -");
  }
  Provider provider;
  provider.id = id;
  provider.display_name = id;
  Fields::Fault fault;
  {
    Fields fields(record, {}, strict, fault);
    read_members(fields, strict, fault, provider);
  }
  if (fault.why.empty()) return provider;
  if (fault_path != nullptr) *fault_path = fault.path;
  std::string place;
  for (const std::string& part : fault.path) place += (place.empty() ? "" : ".") + part;
  return invalid((place.empty() ? "provider" : place) + ": " + fault.why);
}

Origins provider_origins(const Provider& provider) {
  return origins_of({provider.oauth.token_url, provider.oauth.revoke_url, provider.base_url});
}

Json provider_json(const Provider& provider) {
  Json json = {{"provider", provider.id},
               {"display_name", provider.display_name},
               {"base_url", provider.base_url},
               {"version", provider.version},
               {"auth_type", auth_type_name(provider.auth.type)},
               {"auth", auth_json(provider)},
               {"endpoints", provider.endpoints}};
  if (!provider.note.empty()) json["note"] = provider.note;
  Json headers = Json::object();
  for (const auto& [name, value] : provider.default_headers) {
    // One of before, whose value is no template.
    headers[name] = is_secret_name(name) && !has_template(value) ? "***" : value;
  }
  json["default_headers"] = std::move(headers);
  json["timeout_ms"] = provider.timeout_ms;
  json["allowed_methods"] = provider.allowed_methods;
  json["allowed_path_prefixes"] = provider.allowed_path_prefixes;
  json["allow_private_addresses"] = provider.allow_private_addresses;
  if (provider.cache_ttl_s > 0) {
    json["cache"] = {{"ttl_s", provider.cache_ttl_s}, {"max_entries", provider.cache_entries_max}};
  }
  if (!provider.canary.path.empty()) {
    json["canary"] = {{"path", provider.canary.path},
                      {"method", provider.canary.method},
                      {"expect", provider.canary.expect}};
  }
  if (provider.requests_per_minute >= 0) {
    json["rate_limit"] = {{"requests_per_minute", provider.requests_per_minute}};
  }
  json["actions"] = actions_json(provider);
  Json secrets = Json::array();
  for (const auto& [name, value] : provider.secrets) secrets.push_back(name);
  json["secrets_set"] = std::move(secrets);
  return json;
}

}  // namespace kvcs::gateway

// Reads the body of a call in both dialects and checks it against the provider's record, so that
// whatever leaves here is allowed to go out.
#include "gateway/call/call_request.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "gateway/outbound/url_guard.h"

namespace kvcs::gateway {
namespace {

constexpr std::string_view kForm = "application/x-www-form-urlencoded";
using Pairs = std::vector<std::pair<std::string, std::string>>;

std::optional<std::string> scalar_text(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number()) return dump_json(value);
  return {};
}

// A scalar, or a list of scalars that repeats the name; null is left out.
Status add_pairs(const std::string& what, const std::string& name, const Json& value, Pairs& out) {
  if (value.is_null()) return ok();
  const Json* items = value.is_array() ? &value : nullptr;
  const size_t count = items != nullptr ? items->size() : 1;
  for (size_t i = 0; i < count; ++i) {
    const std::optional<std::string> text = scalar_text(items != nullptr ? (*items)[i] : value);
    if (!text) {
      return invalid(what + "." + printable(name, kShownName) +
                     ": must be a string, number, boolean or a list of these.");
    }
    out.emplace_back(name, *text);
  }
  return ok();
}

// Limits of the whole query, which many servers would otherwise cut or refuse without a word.
Status check_query(const Pairs& query) {
  size_t size = 0;
  for (const auto& [name, value] : query) size += name.size() + value.size() + 2;
  if (query.size() > kQueryPairsMax || size > kQueryMaxBytes) {
    return invalid("query: over the limit of 200 parameters or 16 KiB.");
  }
  return ok();
}

// An object of scalars and lists as application/x-www-form-urlencoded.
Result<std::string> form_encode(const Json& body) {
  Pairs pairs;
  for (const auto& [name, value] : body.items()) KVCS_TRY(add_pairs("body", name, value, pairs));
  std::string out;
  for (const auto& [name, value] : pairs) {
    out += (out.empty() ? "" : "&") + percent_encode(name) + "=" + percent_encode(value);
  }
  return out;
}

std::string header_of(const CallRequest& call, std::string_view name) {
  for (const auto& [key, value] : call.headers) {
    if (equal_ignore_case(key, name)) return value;
  }
  return {};
}

// JSON, unless the caller's content type says form (objects are encoded) or something else (then a
// string is sent as it is).
Status set_body(CallRequest& call, const Json& body) {
  const std::string type = lower_ascii(header_of(call, "content-type"));
  if (type.starts_with(kForm) && body.is_object()) {
    call.body = KVCS_TRY(form_encode(body));
  } else if (!type.empty() && type.find("json") == type.npos) {
    if (!body.is_string()) return invalid("body: must be a string for content-type " + type + ".");
    call.body = body.get<std::string>();
  } else {
    call.body = dump_json(body);
    if (type.empty()) call.content_type = "application/json";
  }
  return ok();
}

// One value of the call as one path segment.
Result<std::string> segment(const std::string& name, const Json* value) {
  const std::optional<std::string> text = value == nullptr ? std::nullopt : scalar_text(*value);
  if (!text) return invalid(name + ": required.");
  if (text->empty() || *text == "." || *text == ".." || text->size() > 256 ||
      text->find_first_of("/\\%") != text->npos) {
    return invalid(name + ": '" + printable(*text, kShownName) +
                   "' must be one plain path segment.");
  }
  return percent_encode(*text);
}

// Fills {name} from the call's members.
Result<std::string> fill_path(const std::string& path, const Json& body, JsonReader& reader) {
  std::string out;
  size_t at = 0;
  for (size_t open = path.find('{'); open != path.npos; open = path.find('{', at)) {
    const size_t close = path.find('}', open);
    if (close == path.npos) break;
    const std::string name = path.substr(open + 1, close - open - 1);
    out += path.substr(at, open - at);
    reader.member(name);
    const auto it = body.find(name);
    out += KVCS_TRY(segment(name, it == body.end() || it->is_null() ? nullptr : &*it));
    at = close + 1;
  }
  return out + path.substr(at);
}

// Members that both dialects have. Each is read before the others are refused as unknown.
Status read_common(const Json& body, JsonReader& reader, const Provider& provider,
                   CallRequest& call) {
  if (const auto domain = reader.optional_string("domain"); domain && *domain != provider.id) {
    return invalid("domain: '" + printable(*domain, kShownName) +
                   "' is not the provider of the URL, " + provider.id + ".");
  }
  if (const auto account = reader.optional_string("account_id", {.max_bytes = 64})) {
    if (!is_id_part(*account)) {
      return invalid("account_id: '" + printable(*account, kShownName) +
                     "' must be 1 to 64 of A-Z a-z 0-9 _ . -");
    }
    call.account_id = *account;
  }
  call.compact =
      reader.optional_one_of("format", {"compact", "full"}).value_or("full") == "compact";
  if (const Json* cache = reader.member("cache"); cache != nullptr && !cache->is_null()) {
    if (!cache->is_boolean()) return invalid("cache: must be true or false.");
    call.use_cache = cache->get<bool>();
  }
  call.timeout_ms = static_cast<int>(
      reader.optional_integer("timeout_ms", 1, kTimeoutMsMax).value_or(kTimeoutMsMax));
  call.dry_run = reader.boolean_or("dry_run", false);
  call.idempotency_key = reader.optional_string("idempotency_key", {.max_bytes = 255}).value_or("");
  for (const char c : call.idempotency_key) {
    if (c < 0x21 || c > 0x7e) return invalid("idempotency_key: must be visible ASCII.");
  }
  if (const Json* fields = reader.member("fields"); fields != nullptr && !fields->is_null()) {
    if (!fields->is_array()) return invalid("fields: must be a list of strings.");
    std::vector<std::string> paths;
    for (const Json& path : *fields) {
      if (!path.is_string()) return invalid("fields: must be a list of strings.");
      paths.push_back(path.get<std::string>());
      if (paths.size() > kFieldsMax) break;
    }
    const FieldSelection selection = KVCS_TRY(FieldSelection::parse(paths));
    if (!paths.empty()) call.fields = selection;
  }
  // customer_id fills a hole of the path where there is one, and is no fault elsewhere.
  reader.member("customer_id");
  if (const auto it = body.find("customer_id"); it != body.end() && !scalar_text(*it)) {
    return invalid("customer_id: must be a string.");
  }
  return ok();
}

// Each header of the caller is checked by url_guard against the provider's record.
Status read_headers(JsonReader& reader, const Provider& provider, CallRequest& call) {
  const Json* headers = reader.object("headers");
  if (headers == nullptr) return ok();
  if (headers->size() > kCallHeadersMax) return invalid("headers: over the limit of 50.");
  for (const auto& [name, value] : headers->items()) {
    const std::optional<std::string> text = scalar_text(value);
    if (!text) return invalid("headers." + printable(name, kShownName) + ": must be a string.");
    KVCS_TRY(check_header(name, *text, provider.auth, provider.default_headers));
    if (!header_of(call, name).empty()) {
      return invalid("headers: '" + printable(name, kShownName) + "' is given twice.");
    }
    call.headers.emplace_back(lower_ascii(name), *text);
  }
  return ok();
}

// The dialect that names method and path itself.
Status read_generic(const Json& body, JsonReader& reader, const Provider& provider,
                    CallRequest& call) {
  call.action = "call";
  std::string path = reader.string("path", {.max_bytes = kPathMaxBytes});
  if (path.empty()) return reader.finish();
  if (path.find("{customer_id}") != path.npos) path = KVCS_TRY(fill_path(path, body, reader));
  call.path = KVCS_TRY(check_path(path));
  KVCS_TRY(read_headers(reader, provider, call));
  if (const Json* query = reader.object("query")) {
    for (const auto& [name, value] : query->items()) {
      KVCS_TRY(add_pairs("query", name, value, call.query));
    }
  }
  const Json* sent = reader.member("body");
  const bool has_body = sent != nullptr;
  if (has_body) KVCS_TRY(set_body(call, *sent));
  const std::string fallback = has_body ? "POST" : "GET";
  call.method = reader.optional_one_of("method", {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
                    .value_or(fallback);
  if (has_body && (call.method == "GET" || call.method == "HEAD")) {
    return invalid("body: cannot be sent with " + call.method + ".");
  }
  return ok();
}

// The dialect that names an action of the provider's record, whose rule says where each member
// goes.
Status read_curated(const Json& body, JsonReader& reader, const Provider& provider,
                    CallRequest& call) {
  call.action = reader.string("action", {.max_bytes = 64});
  const auto found = provider.actions.find(call.action);
  if (found == provider.actions.end()) {
    std::string known;
    for (const auto& [verb, rule] : provider.actions) known += (known.empty() ? "" : ", ") + verb;
    return invalid("action: " + provider.id + " has no '" + printable(call.action, kShownName) +
                   "'; " + (known.empty() ? "it has none, use path." : "it has " + known + "."));
  }
  const ActionRule& rule = found->second;
  call.method = rule.method;
  const std::string path = KVCS_TRY(fill_path(rule.path, body, reader));
  call.path = KVCS_TRY(check_path(path));
  for (const std::string& name : rule.query) {
    reader.member(name);
    if (const auto it = body.find(name); it != body.end()) {
      KVCS_TRY(add_pairs("query", name, *it, call.query));
    }
  }
  if (!rule.body_from.empty()) {
    const Json* whole = reader.object(rule.body_from);
    if (whole == nullptr) return invalid(rule.body_from + ": required.");
    return set_body(call, *whole);
  }
  if (rule.body.empty()) return ok();
  Json sent = Json::object();
  for (const std::string& name : rule.body) {
    reader.member(name);
    if (const auto it = body.find(name); it != body.end() && !it->is_null()) sent[name] = *it;
  }
  // HubSpot wants filters in groups; a plain list of filters is one group.
  if (!rule.wrap_filters.empty()) {
    if (const Json* filters = reader.array("filters")) {
      if (sent.contains(rule.wrap_filters)) {
        return invalid("filters: give either filters or " + rule.wrap_filters + ".");
      }
      sent[rule.wrap_filters] = Json::array({Json{{"filters", *filters}}});
    }
  }
  return set_body(call, sent);
}

}  // namespace

Result<CallRequest> parse_call(const Json& body, const Provider& provider) {
  if (!body.is_object()) return invalid("The body must be a JSON object.");
  JsonReader reader(body);
  CallRequest call;
  KVCS_TRY(read_common(body, reader, provider, call));
  if (body.contains("action")) {
    if (body.contains("path")) return invalid("path: give either action or path.");
    KVCS_TRY(read_curated(body, reader, provider, call));
  } else {
    KVCS_TRY(read_generic(body, reader, provider, call));
  }
  KVCS_TRY(reader.finish());
  KVCS_TRY(check_query(call.query));
  // Checked last, for both dialects: an action of the record is bound by the record's own limits
  // too.
  const auto& methods = provider.allowed_methods;
  if (std::find(methods.begin(), methods.end(), call.method) == methods.end()) {
    return invalid("method: " + call.method + " is not allowed for " + provider.id + ".");
  }
  KVCS_TRY(check_prefix(call.path, provider.allowed_path_prefixes));
  return call;
}

}  // namespace kvcs::gateway

// Walks the table of settings and shows each. A copy of the configuration is made, as the table
// points into one that may be changed.
#include "app/config_api.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/json.h"
#include "base/secret_names.h"
#include "base/yaml.h"

namespace kvcs {
namespace {

constexpr http::ApiType kTypes[] = {
    {"Configuration", R"(
config!: [Setting])"},
    {"Setting", R"(
name!: string # As in kvcs.yaml: http.listen.
value!: string or number or boolean or [string] # Of a secret: set, or not set.
source!: default|file|environment|argument
help!: string)"},
};

std::string_view source_name(ConfigSource source) {
  static constexpr std::string_view kNames[] = {"default", "file", "environment", "argument"};
  return kNames[static_cast<size_t>(source)];
}

// A URL without what lets its holder in: a password, the query, and of a webhook the path too.
std::string shown_url(std::string_view url, bool is_webhook) {
  const size_t scheme = url.find("://");
  if (scheme == url.npos) return std::string(url);
  const size_t begin = scheme + 3, end = std::min(url.find_first_of("/?#", begin), url.size());
  std::string_view host = url.substr(begin, end - begin);
  std::string user;
  if (const size_t at = host.rfind('@'); at != host.npos) {
    const std::string_view given = host.substr(0, at);
    user = std::string(given.substr(0, given.find(':'))) +
           (given.find(':') == given.npos ? "@" : ":***@");
    host.remove_prefix(at + 1);
  }
  std::string shown = std::string(url.substr(0, begin)) + user + std::string(host);
  const std::string_view rest = url.substr(end);
  if (rest.empty()) return shown;
  if (is_webhook) return shown + "/***";
  const size_t secret = rest.find_first_of("?#");
  shown += rest.substr(0, secret);
  return secret == rest.npos ? shown : shown + "?***";
}

// Hides what is secret by its name, where a setting of any shape holds such a thing: a header of a
// provider. Names that end so say where a secret is. True when something was hidden.
bool hide_secrets(Json& value, std::string_view name) {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    const bool is_secret =
        is_secret_name(name) && !name.ends_with("_env") && !name.ends_with("_file");
    const std::string shown = is_secret && !text.empty() ? "***" : shown_url(text, false);
    if (shown == text) return false;
    value = shown;
    return true;
  }
  bool hidden = false;
  if (value.is_object()) {
    for (auto it = value.begin(); it != value.end(); ++it) {
      hidden = hide_secrets(it.value(), it.key()) || hidden;
    }
  } else if (value.is_array()) {
    for (Json& item : value) hidden = hide_secrets(item, name) || hidden;
  }
  return hidden;
}

// A map or list of any shape as its text; where something in it is hidden, as JSON, which is YAML.
std::string shown_structure(const std::string& yaml) {
  if (yaml.empty()) return yaml;
  const auto document = YamlDocument::parse(yaml, "");
  if (!document.ok()) return "***";
  Json value = document->root();
  return hide_secrets(value, "") ? dump_json(value) : yaml;
}

struct ValueReader {
  const ConfigField& field;

  Json operator()(const Secret* target) const { return target->empty() ? "not set" : "set"; }
  Json operator()(const std::string* target) const {
    if (field.structured) return shown_structure(*target);
    return shown_url(*target, field.path == "alerts.webhook_url");
  }
  template <typename Value>
  Json operator()(const Value* target) const {
    return *target;
  }
};

}  // namespace

std::span<const http::ApiType> ConfigApi::types() {
  return kTypes;
}

void ConfigApi::add_routes(std::vector<http::Row>& table, const http::AdminAccess& access) {
  http::Rows rows(table, *this, "/admin");
  rows.add(http::Method::kGet, "/config", access.viewer, http::kNoBody, &ConfigApi::show,
           "The configuration as it holds, and where each value comes from; never secrets.",
           {.id = "getConfig", .answer = "Configuration"});
}

void ConfigApi::note_log_level(const Config& fresh) {
  const MutexLock lock(mutex_);
  log_level_ = fresh.log.level;
  log_level_source_ = fresh.source_of("log.level");
}

Result<http::Response> ConfigApi::show(http::Request&) {
  Config copy = config_;
  {
    const MutexLock lock(mutex_);
    if (!log_level_.empty()) {
      copy.log.level = log_level_;
      copy.sources["log.level"] = log_level_source_;
    }
  }
  Json list = Json::array();
  for (const ConfigField& field : config_fields(copy)) {
    list.push_back(Json{{"name", field.path},
                        {"value", std::visit(ValueReader{field}, field.target)},
                        {"source", source_name(copy.source_of(field.path))},
                        {"help", field.help}});
  }
  http::Response response = http::json_response(200, dump_json(Json{{"config", std::move(list)}}));
  response.set("cache-control", "no-store");
  return response;
}

}  // namespace kvcs

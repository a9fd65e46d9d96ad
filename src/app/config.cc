// Reads the configuration: the variables of the backend that kvcs replaces (KVCDN_*), the YAML over
// them, the environment over that, then a look at what the fields say together. Every fault is
// collected, so that one run names them all. Used at the start and on SIGHUP.
#include "app/config.h"

#include <nlohmann/json.hpp>
#include <unistd.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "app/kvcdn_environment.h"
#include "app/public_url.h"
#include "base/bytes.h"
#include "base/json.h"
#include "base/log.h"
#include "base/loopback.h"
#include "http/client/upstream.h"
#include "http/serve/server.h"
#include "portal/mailer.h"

namespace kvcs {
namespace {

constexpr size_t kConfigFileMaxBytes = 1u << 20;

// "" or what is wrong. A number must fit the field's range and its C++ type.
template <typename Number>
std::string parse_number(std::string_view text, const ConfigField& field, Number& out) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) {
    return "'" + printable(text, kShownName) + "' is not a whole number.";
  }
  if (value < field.min || value > field.max || !std::in_range<Number>(value)) {
    return std::to_string(value) + " is outside " + std::to_string(field.min) + " to " +
           std::to_string(field.max) + ".";
  }
  out = static_cast<Number>(value);
  return {};
}

// Puts a scalar's text into the field; "" or what is wrong.
struct ScalarSetter {
  const ConfigField& field;
  std::string_view text;

  std::string operator()(bool* out) const {
    if (text != "true" && text != "false") {
      return "'" + printable(text, kShownName) + "' is neither true nor false.";
    }
    *out = text == "true";
    return {};
  }
  std::string operator()(int* out) const { return parse_number(text, field, *out); }
  std::string operator()(int64_t* out) const { return parse_number(text, field, *out); }
  std::string operator()(uint64_t* out) const { return parse_number(text, field, *out); }
  std::string operator()(std::string* out) const {
    *out = text;
    return {};
  }
  std::string operator()(Secret* out) const {
    *out = Secret(std::string(text));
    return {};
  }
  std::string operator()(std::vector<std::string>* out) const {
    out->clear();
    for (const std::string_view word : split(text, ',')) {
      if (!trim(word).empty()) out->emplace_back(trim(word));
    }
    return {};
  }
};

// Walks a YAML document along the table of fields. yaml-cpp throws; nothing of that leaves load().
class YamlLoader final {
 public:
  YamlLoader(std::vector<ConfigField>& fields, std::string name, LoadedConfig& loaded)
      : fields_(fields),
        name_(std::move(name)),
        faults_(loaded.faults),
        sources_(loaded.config.sources) {}

  void load(std::string_view yaml) {
    try {
      const YAML::Node root = YAML::Load(std::string(yaml));
      if (root.IsNull()) return;
      if (!root.IsMap()) return fault(root, "the file must be a map of sections.");
      load_map(root, "");
    } catch (const YAML::Exception& e) {
      faults_.push_back(name_ + ":" + std::to_string(e.mark.line + 1) + ": " + e.msg + ".");
    }
  }

 private:
  void load_map(const YAML::Node& map, const std::string& prefix) {
    std::set<std::string> seen;
    for (const auto& entry : map) {
      const auto key = entry.first.as<std::string>();
      const std::string path = prefix + key;
      if (!seen.insert(key).second) {
        fault(entry.first, "'" + printable(path) + "' is set twice.");
      } else if (ConfigField* field = find(path)) {
        load_field(entry.second, *field);
        sources_[path] = ConfigSource::kFile;
      } else if (!is_section(path)) {
        fault(entry.first, "unknown key '" + printable(path) + "'.");
      } else if (entry.second.IsMap()) {
        load_map(entry.second, path + ".");
      } else if (!entry.second.IsNull()) {
        fault(entry.second, "'" + path + "' is a section; indent its keys under it.");
      }
    }
  }

  void load_field(const YAML::Node& node, ConfigField& field) {
    if (field.environment_only) {
      return fault(node, "'" + field.path + "' is secret and only read from " +
                             field.environment_name() + ".");
    }
    // A map or list of any shape goes to the module that reads it as flow text, on one line.
    if (field.structured && !node.IsScalar()) {
      YAML::Emitter flow;
      flow.SetMapFormat(YAML::Flow);
      flow.SetSeqFormat(YAML::Flow);
      flow << node;
      *std::get<std::string*>(field.target) = flow.c_str();
      return;
    }
    // Addresses may stand in a list; as one text they have commas between them.
    if (field.path == "http.listen" && node.IsSequence()) {
      std::string words;
      for (const YAML::Node& item : node) {
        if (!item.IsScalar()) return fault(item, "'" + field.path + "' holds plain words only.");
        words += (words.empty() ? "" : ", ") + item.Scalar();
      }
      *std::get<std::string*>(field.target) = words;
      return;
    }
    auto* const* list = std::get_if<std::vector<std::string>*>(&field.target);
    if (list != nullptr && node.IsSequence()) {
      (*list)->clear();
      for (const YAML::Node& item : node) {
        if (!item.IsScalar()) return fault(item, "'" + field.path + "' holds plain words only.");
        (*list)->push_back(item.Scalar());
      }
      return;
    }
    if (list != nullptr || !node.IsScalar()) {
      const char* wanted = list != nullptr ? "must be a list." : "must be one value.";
      return fault(node, "'" + field.path + "' " + wanted);
    }
    const std::string why = std::visit(ScalarSetter{field, node.Scalar()}, field.target);
    if (!why.empty()) fault(node, field.path + ": " + why);
  }

  ConfigField* find(const std::string& path) {
    for (ConfigField& field : fields_) {
      if (field.path == path) return &field;
    }
    return nullptr;
  }
  bool is_section(const std::string& path) const {
    for (const ConfigField& field : fields_) {
      if (field.path.starts_with(path + ".")) return true;
    }
    return false;
  }
  void fault(const YAML::Node& node, const std::string& why) {
    faults_.push_back(name_ + ":" + std::to_string(node.Mark().line + 1) + ": " + why);
  }

  std::vector<ConfigField>& fields_;
  const std::string name_;
  std::vector<std::string>& faults_;
  std::map<std::string, ConfigSource>& sources_;
};

// Before the file, so that what the file says wins.
void apply_kvcdn_environment(std::vector<ConfigField>& fields, const Environment& environment,
                             LoadedConfig& loaded) {
  KvcdnEnvironment read = read_kvcdn_environment(environment);
  for (const KvcdnEnvironment::Setting& setting : read.settings) {
    const auto field = std::find_if(fields.begin(), fields.end(), [&](const ConfigField& one) {
      return one.path == setting.path;
    });
    if (field == fields.end()) {
      read.notes.push_back(setting.variable + ": is not used: there is no such setting here.");
      continue;
    }
    const std::string why = std::visit(ScalarSetter{*field, setting.text}, field->target);
    if (!why.empty()) loaded.faults.push_back(setting.variable + ": " + why);
    loaded.config.sources[setting.path] = ConfigSource::kEnvironment;
  }
  for (std::string& fault : read.faults) loaded.faults.push_back(std::move(fault));
  loaded.notes = std::move(read.notes);
}

// A variable that is set counts, even when it is empty: an empty text takes back what the file
// says.
void apply_environment(std::vector<ConfigField>& fields, const Environment& environment,
                       ConfigSource source, LoadedConfig& loaded) {
  for (ConfigField& field : fields) {
    const auto it = environment.find(field.environment_name());
    if (it == environment.end()) continue;
    const std::string why = std::visit(ScalarSetter{field, it->second}, field.target);
    if (!why.empty()) loaded.faults.push_back(it->first + ": " + why);
    loaded.config.sources[field.path] = source;
  }
}

// For printing: a secret is never shown, but whether there is one.
Json field_value(const ConfigField& field) {
  return std::visit(
      [](const auto* target) -> Json {
        using Type = std::remove_cvref_t<decltype(*target)>;
        if constexpr (std::is_same_v<Type, Secret>) {
          return target->empty() ? "" : "***";
        } else {
          return *target;
        }
      },
      field.target);
}

}  // namespace

namespace {

// http.listen is one setting for people: the first address that has a port is the one that URLs
// name, and the others stand beside it.
void set_listen_addresses(HttpSection& http) {
  http.server.listen_port = -1;
  http.server.listen_more.clear();
  for (const std::string_view word : split(http.listen, ',')) {
    const auto address = parse_listen(trim(word));
    if (address.ok() && http.server.listen_port < 0 && !trim(word).starts_with("unix:")) {
      http.server.listen_host = address->host;
      http.server.listen_port = address->port;
    } else {
      http.server.listen_more.emplace_back(trim(word));
    }
  }
}

}  // namespace

ConfigSource Config::source_of(const std::string& path) const {
  const auto found = sources.find(path);
  return found == sources.end() ? ConfigSource::kDefault : found->second;
}

LoadedConfig load_config_text(std::string_view yaml, const Environment& environment,
                              const std::string& name, const Environment& arguments) {
  LoadedConfig loaded;
  std::vector<ConfigField> fields = config_fields(loaded.config);
  apply_kvcdn_environment(fields, environment, loaded);
  YamlLoader(fields, name, loaded).load(yaml);
  apply_environment(fields, environment, ConfigSource::kEnvironment, loaded);
  apply_environment(fields, arguments, ConfigSource::kArgument, loaded);
  for (std::string& fault : validate(loaded.config)) loaded.faults.push_back(std::move(fault));
  set_listen_addresses(loaded.config.http);
  return loaded;
}

LoadedConfig load_config(const std::string& yaml_path, const Environment& environment,
                         const Environment& arguments) {
  std::string text;
  if (!yaml_path.empty()) {
    std::ifstream file(yaml_path, std::ios::binary);
    if (!file) {
      return {{}, {yaml_path + ": cannot be read; does it exist, and may this user read it?"}, {}};
    }
    text.resize(kConfigFileMaxBytes + 1);
    file.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(file.gcount()));
    if (text.size() > kConfigFileMaxBytes) return {{}, {yaml_path + ": is over 1 MiB."}, {}};
  }
  return load_config_text(text, environment, yaml_path, arguments);
}

namespace {
bool is_ours(std::string_view variable) {
  return variable.starts_with("KVCS_") || variable.starts_with("KVCDN_") ||
         variable.starts_with("STRIPE_");
}
}  // namespace

Environment process_environment() {
  Environment environment;
  for (char** entry = environ; *entry != nullptr; entry++) {
    const std::string_view text = *entry;
    const size_t equals = text.find('=');
    if (equals == text.npos || !is_ours(text)) continue;
    environment.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return environment;
}

Result<ListenAddress> parse_listen(std::string_view text) {
  auto address = KVCS_TRY(http::parse_listen_address(text));
  return ListenAddress{std::move(address.host), address.port};
}

namespace {

// The folder of a store that `path` lies in, links followed; "" when it lies in none.
std::string store_folder_around(const Config& config, const std::string& path) {
  namespace fs = std::filesystem;
  const auto resolved = [](const std::string& text) {
    std::error_code ignored;
    const fs::path absolute = fs::absolute(text, ignored);
    fs::path found = fs::weakly_canonical(absolute, ignored);
    if (ignored) found = absolute.lexically_normal();
    return found.has_filename() ? found : found.parent_path();
  };
  const std::string& data = config.data_dir;
  for (const std::string& folder :
       {data + "/kv", data + "/sql", data + "/backup.kv",
        config.blobs.path.empty() ? data + "/blobs" : config.blobs.path}) {
    const fs::path relative = resolved(path).lexically_relative(resolved(folder));
    if (!relative.empty() && *relative.begin() != "..") return folder;
  }
  return "";
}

void check_server(const http::ServerConfig& server, std::vector<std::string>& faults) {
  if (server.tls.certificate_path.empty() != server.tls.key_path.empty()) {
    faults.emplace_back("tls: certificate_path and key_path are set together or not at all.");
  }
  if (server.workers_min > server.workers_max) {
    faults.emplace_back("http.workers_min: must not be over http.workers_max.");
  }
  // Probes and the admin API must find a worker while every stream is taken.
  if (server.streams_max >= server.workers_max) {
    faults.emplace_back("http.streams_max: must be under http.workers_max.");
  }
  // The URI is part of the head.
  if (server.uri_max_bytes > server.head_max_bytes) {
    faults.emplace_back("http.uri_max_bytes: must not be over http.head_max_bytes.");
  }
}

// The secret key travels to this address: in clear to this machine alone.
void check_billing(const portal::BillingConfig& billing, std::vector<std::string>& faults) {
  const std::string& url = billing.stripe_url;
  if (!http::check_upstream_url(url).ok() ||
      (!url.starts_with("https://") && !is_loopback_url(url))) {
    faults.push_back("billing.stripe_url: '" + printable(url) + "' must begin with https://.");
  }
  if (billing.secret_key.empty() != billing.webhook_secret.empty()) {
    faults.emplace_back(
        "STRIPE_SECRET_KEY and STRIPE_WEBHOOK_SECRET are set together or not at all.");
  }
}

// Whoever reaches the development issuer is let in as anybody, so that nobody else may reach it.
void check_dev_issuer(const Config& config, std::vector<std::string>& faults) {
  if (!config.auth.dev_issuer) return;
  const auto add = [&](const std::string& setting, std::string_view value) {
    faults.push_back("auth.dev_issuer: lets anybody in and is for loopback addresses alone; " +
                     setting + " is '" + printable(value, kShownName) + "'.");
  };
  for (const std::string_view word : split(config.http.listen, ',')) {
    const auto address = parse_listen(trim(word));
    if (!address.ok() || !is_loopback_host(address->host)) add("http.listen", trim(word));
  }
  const auto& proxies = config.http.server.trusted_proxies;
  if (!proxies.empty()) add("http.trusted_proxies", join(proxies, ", "));
  const std::string& url = config.http.public_url;
  if (!url.empty() && !is_loopback_url(url)) add("http.public_url", url);
}

}  // namespace

std::vector<std::string> validate(const Config& config) {
  std::vector<std::string> faults;
  if (config.data_dir.empty()) faults.emplace_back("data_dir: must not be empty.");
  for (const std::string_view word : split(config.http.listen, ',')) {
    if (trim(word).starts_with("unix:/")) continue;
    if (const auto address = parse_listen(trim(word)); !address.ok()) {
      faults.push_back("http.listen: " + address.status().message());
    }
  }
  if (const std::string& ops = config.ops.listen; !ops.empty()) {
    if (const auto address = parse_listen(ops); !address.ok()) {
      faults.push_back("ops.listen: " + address.status().message());
    } else if (ops == config.http.listen && address->port != 0) {
      faults.emplace_back("ops.listen: must be another address than http.listen.");
    }
  }
  const std::string& url = config.http.public_url;
  if (const auto read = normal_public_url(url); !url.empty() && !read.ok()) {
    faults.push_back(read.status().message());
  }
  if (const std::string& engine = config.artifacts.engine_url; !engine.empty()) {
    if (const Status fault = http::check_upstream_url(engine); !fault.ok()) {
      faults.push_back("artifacts.engine_url: " + fault.message());
    }
  }
  check_server(config.http.server, faults);
  log::Level level;
  check_dev_issuer(config, faults);
  if (const auto mail = portal::read_mail_server(config.mail); !mail.ok()) {
    faults.push_back(mail.status().message());
  }
  if (!config.auth.sign_up.empty() && !portal::parse_sign_up(config.auth.sign_up)) {
    faults.push_back("auth.signup: '" + printable(config.auth.sign_up, kShownWord) +
                     "' is none of open, invited, closed.");
  }
  if (!log::is_format(config.log.format)) {
    faults.push_back("log.format: '" + printable(config.log.format, kShownWord) +
                     "' is not one of: auto, text, json.");
  }
  if (!log::parse_level(config.log.level, level)) {
    faults.push_back("log.level: '" + printable(config.log.level, kShownWord) +
                     "' is not one of: debug, info, warn, error.");
  }
  if (const std::string& key = config.secrets.master_key.reveal(); !key.empty()) {
    const Result<std::string> bytes = from_base64(key);
    if (!bytes.ok() || bytes.value().size() != 32) {
      faults.emplace_back("KVCS_MASTER_KEY: must be base64 of exactly 32 bytes.");
    }
  }
  if (const std::string& backups = config.backup.directory; !backups.empty()) {
    if (const std::string store = store_folder_around(config, backups); !store.empty()) {
      faults.push_back("backup.directory: '" + printable(backups) + "' lies in " +
                       printable(store) +
                       ", the folder of a store; choose one outside of kv, sql "
                       "and blobs.");
    }
  }
  check_billing(config.auth.billing, faults);
  const bool has_payer = !config.briefing.api_key.reveal().empty();
  if (!config.briefing.model.empty() && !has_payer) {
    faults.emplace_back(
        "gateway.briefing_model: needs KVCS_BRIEFING_API_KEY, the user key that pays.");
  }
  return faults;
}

// The fields are printed in the table's order, which keeps those of a section together.
// config_fields() wants a Config that may be changed, so a copy is made.
std::string print_config_yaml(const Config& config, bool with_help) {
  Config copy = config;
  std::string text, section;
  for (const ConfigField& field : config_fields(copy)) {
    if (field.environment_only) {
      text += "\n# " + field.environment_name() + ": " + field_value(field).get<std::string>();
      if (with_help) text += "\n#   " + field.help;
      continue;
    }
    const size_t dot = field.path.find('.');
    const std::string own = dot == std::string::npos ? "" : field.path.substr(0, dot);
    if (own != section) text += "\n" + own + ":\n";
    section = own;
    const std::string indent = own.empty() ? "" : "  ";
    if (with_help) text += indent + "# " + field.help + "\n";
    text += indent + field.path.substr(own.empty() ? 0 : dot + 1) + ": " +
            dump_json(field_value(field)) + "\n";
  }
  return text + "\n";
}

std::string print_config_json(const Config& config) {
  Config copy = config;
  Json root = Json::object();
  for (const ConfigField& field : config_fields(copy)) {
    const size_t dot = field.path.find('.');
    if (dot == std::string::npos) {
      root[field.path] = field_value(field);
    } else {
      root[field.path.substr(0, dot)][field.path.substr(dot + 1)] = field_value(field);
    }
  }
  return dump_json(root);
}

}  // namespace kvcs

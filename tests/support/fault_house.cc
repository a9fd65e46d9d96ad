// Starts the daemon with the library that makes its disk fail, and speaks HTTP with it.
#include "support/fault_house.h"

#include <fstream>

namespace kvcs::test {
namespace {

std::string credential(const std::string& data_dir, const std::string& name) {
  const std::string text =
      read_small_file(initial_credentials_path(data_dir), 1 << 16).value_or("");
  const std::string mark = "\"" + name + "\": \"";
  const size_t at = text.find(mark);
  if (at == std::string::npos) return "";
  return text.substr(at + mark.size(), text.find('"', at + mark.size()) - at - mark.size());
}

}  // namespace

FaultHouse::FaultHouse(const std::string& below, const std::string& config_yaml)
    : data_dir_(dir_.file("data")), fault_(dir_.file("plan"), data_dir_ + below) {
  std::ofstream(dir_.file("kvcs.yaml")) << config_yaml;
  build();
}

FaultHouse::FaultHouse(const std::string& data_dir, const std::string& below,
                       const std::string& config_yaml)
    : data_dir_(data_dir), fault_(dir_.file("plan"), data_dir_ + below) {
  std::ofstream(dir_.file("kvcs.yaml")) << config_yaml;
  build();
}

void FaultHouse::build() {
  start();
  REQUIRE(
      admin("PUT", "/admin/ai/providers/openai",
            "{\"kind\":\"openai\",\"base_url\":\"" + provider_.url() + "\",\"api_key\":\"sk-1\"}")
          .status == 200);
  const RawResponse user = admin("POST", "/admin/users",
                                 R"({"email":"ada@example.com","monthly_limit_usd":5,"org_id":")" +
                                     credential(data_dir_, "organization_id") + "\"}");
  const std::string id = json_text(user.body, "user_id");
  key_ = json_text(admin("POST", "/admin/users/" + id + "/api-keys", R"({"name":"k"})").body,
                   "api_key");
  REQUIRE_FALSE(key_.empty());
}

void FaultHouse::start() {
  daemon_.reset();
  daemon_ = std::make_unique<Daemon>(
      std::vector<std::string>{"serve", "--config", dir_.file("kvcs.yaml"), "--data-dir", data_dir_,
                               "--listen", "127.0.0.1:0"},
      dir_.file("log"), fault_.environment());
  port_ = daemon_->wait_until_ready();
  INFO(daemon_->log());
  REQUIRE(port_ > 0);
  admin_key_ = credential(data_dir_, "admin_key");
  project_key_ = credential(data_dir_, "api_key");
}

int FaultHouse::stop() {
  daemon_->signal(SIGTERM);
  const int code = daemon_->wait();
  log_before_ += daemon_->log();
  return code;
}

int FaultHouse::kill() {
  daemon_->signal(SIGKILL);
  const int code = daemon_->wait();
  log_before_ += daemon_->log();
  return code;
}

bool FaultHouse::lives() {
  return fetch(port_, "GET", "/livez").status == 200;
}

RawResponse FaultHouse::admin(const std::string& method, const std::string& path,
                              const std::string& body) {
  return fetch(port_, method, path, {{"Authorization", "Bearer " + admin_key_}}, body);
}

RawResponse FaultHouse::get_as(const std::string& key, const std::string& path) {
  return fetch(port_, "GET", path, {{"Authorization", "Bearer " + key}});
}

RawResponse FaultHouse::chat() {
  return ask("/v1/chat/completions", kHello);
}

RawResponse FaultHouse::ask(const std::string& path, const std::string& body) {
  return fetch(port_, "POST", path, {{"api-key", key_}}, body);
}

RawResponse FaultHouse::project(const std::string& method, const std::string& path,
                                const std::string& body) {
  return fetch(port_, method, path, {{"Authorization", "Bearer " + project_key_}}, body);
}

RawResponse FaultHouse::put_value(size_t size_bytes) {
  const std::string name = "value-" + std::to_string(made_++);
  const std::string value = name + std::string(size_bytes, '.');
  RawResponse put = admin("PUT", "/admin/kv/config/values/" + name, value);
  if (put.status == 204) {
    good_[name] = value;
  } else {
    refused_.push_back(name);
  }
  return put;
}

std::string FaultHouse::first_wrong_value() {
  for (const auto& [name, value] : good_) {
    const RawResponse got = admin("GET", "/admin/kv/config/values/" + name);
    if (got.status != 200 || !has(got.body, value)) {
      return name + " was written, and is answered " + std::to_string(got.status) + " " + got.body;
    }
  }
  for (const std::string& name : refused_) {
    const RawResponse got = admin("GET", "/admin/kv/config/values/" + name);
    if (got.status != 404) return name + " was refused, and is answered " + got.body;
  }
  return "";
}

void FaultHouse::change_organization(const std::string& body) {
  REQUIRE(admin("PATCH", "/admin/organizations/" + credential(data_dir_, "organization_id"), body)
              .status == 200);
}

std::string FaultHouse::organization() const {
  return credential(data_dir_, "organization_id");
}

std::string FaultHouse::health() {
  return fetch(port_, "GET", "/health").body;
}

}  // namespace kvcs::test

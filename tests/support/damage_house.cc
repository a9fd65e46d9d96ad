// Uses the daemon over HTTP, and remembers what it was told.
#include "support/damage_house.h"

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "base/file.h"

namespace kvcs::test {
namespace {

namespace fs = std::filesystem;

std::string credential(const std::string& data_dir, const std::string& name) {
  const std::string text =
      read_small_file(initial_credentials_path(data_dir), 1 << 16).value_or("");
  const std::string mark = "\"" + name + "\": \"";
  const size_t at = text.find(mark);
  if (at == std::string::npos) return "";
  return text.substr(at + mark.size(), text.find('"', at + mark.size()) - at - mark.size());
}

double number_in(const std::string& body, const std::string& name) {
  const size_t at = body.find("\"" + name + "\":");
  return at == std::string::npos ? -1 : std::atof(body.c_str() + at + name.size() + 3);
}

}  // namespace

void flip_byte(const std::string& path, uint64_t at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(static_cast<std::streamoff>(at));
  const char byte = static_cast<char>(file.get() ^ 0x10);
  file.seekp(static_cast<std::streamoff>(at));
  file.put(byte);
}

DamageHouse::DamageHouse(int keys) {
  std::ofstream(dir_.file("kvcs.yaml"))
      << "http:\n  access_log: false\nadmin:\n  requests_per_minute: 1000000\n";
  INFO(dir_.path());
  REQUIRE(start(used_) == "");
  use(keys);
  // The rows are in SQL then; what comes after is on its way.
  REQUIRE(comes_true([&] { return rows_usd() > told_usd_ - 1e-9; }));
  for (int i = 0; i < 3; i++) told_usd_ += std::atof(chat().header("x-gateway-cost-usd").c_str());
  daemon_->signal(SIGKILL);
  (void)daemon_->wait();
}

void DamageHouse::use(int keys) {
  org_ = credential(used_, "organization_id");
  project_ = credential(used_, "project_id");
  project_key_ = credential(used_, "api_key");
  REQUIRE(
      admin("PUT", "/admin/ai/providers/openai",
            "{\"kind\":\"openai\",\"base_url\":\"" + provider_.url() + "\",\"api_key\":\"sk-1\"}")
          .status == 200);
  user_ = json_text(
      admin("POST", "/admin/users",
            R"({"email":"ada@example.com","monthly_limit_usd":5,"org_id":")" + org_ + "\"}")
          .body,
      "user_id");
  key_ = json_text(admin("POST", "/admin/users/" + user_ + "/api-keys", R"({"name":"k"})").body,
                   "api_key");
  REQUIRE_FALSE(key_.empty());
  store_artifact();
  const std::string path = "/admin/organizations/" + org_ + "/projects/" + project_ + "/api-keys";
  std::vector<std::pair<std::string, std::string>> to_revoke;  // Id and key.
  const auto revoke_one = [&] {
    if (to_revoke.empty()) return;
    REQUIRE(admin("DELETE", path + "/" + to_revoke.front().first).status < 300);
    revoked_.push_back(to_revoke.front().second);
    to_revoke.erase(to_revoke.begin());
  };
  for (int i = 0; i < keys; i++) {
    const RawResponse made = admin("POST", path, R"({"name":"p"})");
    INFO(made.body);
    REQUIRE_FALSE(json_text(made.body, "api_key").empty());
    if (i % 2 == 0) {
      good_.push_back(json_text(made.body, "api_key"));
      if (i == 0) first_good_id_ = json_text(made.body, "key_id");
    } else {
      to_revoke.emplace_back(json_text(made.body, "key_id"), json_text(made.body, "api_key"));
    }
    const RawResponse answer = chat();
    REQUIRE(answer.status == 200);
    told_usd_ += std::atof(answer.header("x-gateway-cost-usd").c_str());
    // A revocation follows its key by a while, so that a damage may come in between.
    if (to_revoke.size() > 2) revoke_one();
  }
  while (!to_revoke.empty()) revoke_one();
}

void DamageHouse::store_artifact() {
  const std::string bytes = "bytes of an artifact";
  const TestApp::Headers as_project = {{"Authorization", "Bearer " + project_key_}};
  const RawResponse made =
      fetch(port_, "POST", "/api/v1/artifacts/upload-url", as_project,
            R"({"model_name":"demo","dtype":"F16","num_tokens":7,"visibility":"private",)"
            R"("size_bytes":)" +
                std::to_string(bytes.size()) + R"(,"checksum":")" + sha256_hex(bytes) + R"("})");
  artifact_ = json_text(made.body, "artifact_id");
  const std::string url = json_text(made.body, "url");
  INFO(made.body);
  REQUIRE(url.find("/blobs/") != std::string::npos);
  REQUIRE(fetch(port_, "PUT", url.substr(url.find("/blobs/")), {}, bytes).status == 200);
  REQUIRE(
      fetch(port_, "POST", "/api/v1/artifacts/" + artifact_ + "/confirm-upload", as_project, "{}")
          .status == 200);
}

std::string DamageHouse::copy() {
  daemon_.reset();  // It may be at work on the last copy.
  const std::string path = dir_.file("copy");
  fs::remove_all(path);
  fs::copy(used_, path, fs::copy_options::recursive);
  return path;
}

std::string DamageHouse::start(const std::string& data_dir) {
  daemon_.reset();
  daemon_ = std::make_unique<Daemon>(
      std::vector<std::string>{"serve", "--config", dir_.file("kvcs.yaml"), "--data-dir", data_dir,
                               "--listen", "127.0.0.1:0"},
      dir_.file("log"));
  port_ = daemon_->wait_until_ready();
  if (port_ > 0) {
    admin_key_ = credential(data_dir, "admin_key");
    return "";
  }
  CHECK(daemon_->wait() == 1);  // Refused, and not killed.
  return daemon_->log();
}

void DamageHouse::kill() {
  daemon_->signal(SIGKILL);
  (void)daemon_->wait();
}

void DamageHouse::pause(const std::function<void()>& work) {
  daemon_->signal(SIGSTOP);
  work();
  daemon_->signal(SIGCONT);
}

void DamageHouse::revoke_first() {
  const std::string path = "/admin/organizations/" + org_ + "/projects/" + project_ + "/api-keys/";
  REQUIRE(admin("DELETE", path + first_good_id_).status < 300);
  revoked_.push_back(good_.front());
  good_.erase(good_.begin());
}

void DamageHouse::remove_artifact() {
  REQUIRE(fetch(port_, "DELETE", "/api/v1/artifacts/" + artifact_,
                {{"Authorization", "Bearer " + project_key_}})
              .status == 204);
}

void DamageHouse::stop() {
  daemon_->signal(SIGTERM);
  CHECK(daemon_->wait() == 0);
}

RawResponse DamageHouse::admin(const std::string& method, const std::string& path,
                               const std::string& body) const {
  return fetch(port_, method, path, {{"Authorization", "Bearer " + admin_key_}}, body);
}

RawResponse DamageHouse::chat() const {
  return fetch(port_, "POST", "/v1/chat/completions", {{"api-key", key_}}, kHello);
}

namespace {

int count_live(int port, const std::vector<std::string>& keys) {
  int live = 0;
  for (const std::string& key : keys) {
    const RawResponse answer =
        fetch(port, "GET", "/api/v1/api-keys/verify", {{"Authorization", "Bearer " + key}});
    live += answer.status == 200 ? 1 : 0;
  }
  return live;
}

}  // namespace

int DamageHouse::live_keys() const {
  return count_live(port_, good_);
}

int DamageHouse::live_revoked() const {
  return count_live(port_, revoked_);
}

double DamageHouse::counter_usd() const {
  return number_in(admin("GET", "/admin/organizations/" + org_ + "/usage").body,
                   "current_usage_usd");
}

double DamageHouse::rows_usd() const {
  const std::string body = admin("GET", "/admin/usage?group_by=organization").body;
  return std::max(0.0, number_in(body, "cost_usd"));
}

bool DamageHouse::has_artifact() const {
  return fetch(port_, "GET", "/api/v1/artifacts/" + artifact_,
               {{"Authorization", "Bearer " + project_key_}})
             .status == 200;
}

std::string DamageHouse::repair(const std::string& data_dir, const std::string& accept,
                                const std::string& answer, int* code) const {
  const std::string out = dir_.file("repair.out");
  const std::string line = "echo '" + answer + "' | timeout 60 " + kvcs_binary() +
                           " repair --data-dir " + data_dir + " --accept " + accept +
                           (answer == "--yes" ? " --yes" : "") + " > " + out + " 2>&1";
  const int ended = WEXITSTATUS(std::system(line.c_str()));
  if (code != nullptr) *code = ended;
  return read_small_file(out, 1 << 20).value_or("");
}

}  // namespace kvcs::test

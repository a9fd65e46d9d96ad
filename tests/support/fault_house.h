// The real binary on a data directory whose disk can be made to fail, with a provider on loopback,
// a user and a key; and values of the key-value store that were acknowledged, or refused. One
// thread.
#pragma once
#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "support/ai_house.h"
#include "support/daemon.h"
#include "support/disk_fault.h"

namespace kvcs::test {

class FaultHouse final {
 public:
  // Calls fail below `below` of the data directory: "/kv/", or "/".
  explicit FaultHouse(const std::string& below = "/kv/", const std::string& config_yaml = "");
  // A house on a data directory that is there already, or on a disk of its own.
  FaultHouse(const std::string& data_dir, const std::string& below, const std::string& config_yaml);

  void start();  // Fails the test case when the daemon does not become ready.
  int stop();    // SIGTERM; its exit code.
  int kill();    // SIGKILL
  bool lives();  // Whether it answers GET /livez.

  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {});
  RawResponse get_as(const std::string& key, const std::string& path);
  RawResponse chat();
  RawResponse ask(const std::string& path, const std::string& body);  // With the user's key.
  // With the project's key.
  RawResponse project(const std::string& method, const std::string& path,
                      const std::string& body = {});
  // Writes one value with the next name, and remembers the answer.
  RawResponse put_value(size_t size_bytes = 20);
  // All values that were answered with success are there as they were written, and of those that
  // were answered with a failure none; the first that is otherwise, or "".
  std::string first_wrong_value();
  size_t acknowledged() const { return good_.size(); }
  size_t refused() const { return refused_.size(); }
  void change_organization(const std::string& body);
  std::string organization() const;
  std::string health();  // The body of GET /health.

  DiskFault& fault() { return fault_; }
  FakeProvider& provider() { return provider_; }
  int port() const { return port_; }
  const std::string& admin_key() const { return admin_key_; }
  Daemon& daemon() { return *daemon_; }
  std::string log() const { return log_before_ + (daemon_ ? daemon_->log() : ""); }
  const std::string& data_dir() const { return data_dir_; }

 private:
  void build();

  TempDir dir_;
  const std::string data_dir_;
  DiskFault fault_;
  FakeProvider provider_;
  std::unique_ptr<Daemon> daemon_;
  std::string log_before_, admin_key_, project_key_, key_;
  int port_ = 0, made_ = 0;
  std::map<std::string, std::string> good_;
  std::vector<std::string> refused_;
};

}  // namespace kvcs::test

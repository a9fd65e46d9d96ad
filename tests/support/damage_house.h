// A data directory as a daemon leaves it that is killed after some use, of which is known which
// keys work and which were revoked, what was spent and which artifact was stored; and the question
// whether a copy of it that was damaged is still whole. One thread; the binary is the built one.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/ai_house.h"
#include "support/daemon.h"
#include "support/temp_dir.h"

namespace kvcs::test {

class DamageHouse final {
 public:
  // `keys` project keys are made, every second of them is revoked, and about as many chats made.
  explicit DamageHouse(int keys = 12);

  const std::string& used() const { return used_; }
  std::string copy();  // Another copy of used(); the one before is removed, and the daemon ends.
  // Starts the daemon: "" when it serves, else what it said when it ended.
  std::string start(const std::string& data_dir);
  void kill();  // SIGKILL
  // Does `work` while the daemon stands still.
  void pause(const std::function<void()>& work);
  void revoke_first();     // One of the keys that lived until now.
  void remove_artifact();  // The one that has_artifact() asks for.
  void stop();             // SIGTERM, so that the next start begins on what this one made good.

  // Questions to the daemon that start() has started.
  int live_keys() const;       // Of those that were not revoked.
  int live_revoked() const;    // Must be 0, always.
  double counter_usd() const;  // The user's counter,
  double rows_usd() const;     // and the sum of the rows.
  double told_usd() const { return told_usd_; }
  int good_keys() const { return static_cast<int>(good_.size()); }
  bool has_artifact() const;
  RawResponse admin(const std::string& method, const std::string& path,
                    const std::string& body = {}) const;
  RawResponse chat() const;
  std::string log() const { return daemon_->log(); }
  // `kvcs repair --data-dir DIR --accept WHAT`, answered with `answer`; what it printed.
  std::string repair(const std::string& data_dir, const std::string& accept,
                     const std::string& answer, int* code = nullptr) const;

 private:
  void use(int keys);
  void store_artifact();

  TempDir dir_;
  const std::string used_ = dir_.file("used");
  FakeProvider provider_;
  std::unique_ptr<Daemon> daemon_;
  int port_ = 0;
  std::string admin_key_, org_, project_, project_key_, user_, key_, artifact_;
  std::vector<std::string> good_, revoked_;
  std::string first_good_id_;
  double told_usd_ = 0;
};

// Changes one byte of a file.
void flip_byte(const std::string& path, uint64_t at);

}  // namespace kvcs::test

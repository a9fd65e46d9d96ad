// Hands files to threads, each with a connection of its own, and gathers what became of them.
#include "cli/upload_batch.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/counted.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "cli/interrupt.h"
#include "cli/own_calls.h"
#include "cli/progress.h"
#include "cli/resumable_upload.h"
#include "cli/send_artifact.h"

namespace kvcs::cli {
namespace {

constexpr int64_t kDrawMs = 100;

bool is_large(const PlannedFile& file) {
  return file.size_bytes >= kResumableFromBytes;
}

// The id of an artifact of these bytes; "" where there is none.
Result<std::string> find_known(ApiClient& api, const std::string& sha256,
                               const std::string& project_id) {
  std::string path = std::string(kArtifacts) + "?shape=single&limit=1&sha256=" + sha256;
  if (!project_id.empty()) path += "&project=" + percent_encode(project_id);
  Json answer;
  Repeat repeat(silent_repeat_hooks());
  const auto attempt = [&](bool&) -> Status {
    answer = KVCS_TRY(api.call("GET", path));
    return ok();
  };
  KVCS_TRY(repeat.run("look-up", attempt));
  const Json list = answer.is_object() ? answer.value("artifacts", Json()) : Json();
  if (!list.is_array()) return upstream_failed("The server's list is malformed.");
  return list.empty() ? std::string() : text_member(list.front(), "artifact_id");
}

class Batch final {
 public:
  Batch(ApiClient& api, const std::vector<PlannedFile>& plan, const UploadWishes& wishes,
        const BatchRules& rules, Console& console)
      : api_(api),
        plan_(plan),
        wishes_(wishes),
        rules_(rules),
        console_(console),
        outcomes_(plan.size()) {}

  std::vector<FileOutcome> run() {
    send_small();
    for (size_t i = 0; i < plan_.size(); i++) {
      if (is_large(plan_[i]) && goes_on()) send_one(api_, i, console_);
    }
    settle_twins();
    return std::move(outcomes_);
  }

 private:
  bool goes_on() const { return !stops_ && !interrupted(); }
  void send_small();
  void send_some(std::atomic<size_t>& next, std::atomic<uint64_t>& sent_bytes);
  void send_one(ApiClient& api, size_t i, Console& console);
  Status send_file(ApiClient& api, const PlannedFile& file, FileOutcome& outcome, Console& console);
  bool is_first_of(const std::string& sha256);
  void settle_twins();

  ApiClient& api_;
  const std::vector<PlannedFile>& plan_;
  const UploadWishes& wishes_;
  const BatchRules& rules_;
  Console& console_;
  std::vector<FileOutcome> outcomes_;  // Each is written by the one thread that has its file.
  std::atomic<bool> stops_{false};
  Mutex mutex_;
  std::set<std::string> digests_ KVCS_GUARDED_BY(mutex_);
};

void Batch::send_small() {
  uint64_t total_bytes = 0, count = 0;
  for (const PlannedFile& file : plan_) {
    if (is_large(file)) continue;
    total_bytes += file.size_bytes;
    count++;
  }
  if (count == 0) return;
  Progress progress(console_, counted(count, "file"), total_bytes);
  std::atomic<size_t> next{0};
  std::atomic<uint64_t> sent_bytes{0};
  Mutex mutex;
  CondVar changed;
  size_t ended = 0;
  const auto work = [&] {
    send_some(next, sent_bytes);
    MutexLock lock(mutex);
    ended++;
    changed.notify_all();
  };
  std::vector<Thread> threads;
  while (threads.size() < std::min<size_t>(static_cast<size_t>(rules_.parallel), count)) {
    Result<Thread> thread = start_thread("upload", work);
    if (!thread.ok()) break;  // The others do its work; where there is none, this one.
    threads.push_back(std::move(thread).value());
  }
  if (threads.empty()) send_some(next, sent_bytes);
  for (;;) {
    progress.update(sent_bytes);
    MutexLock lock(mutex);
    if (ended == threads.size()) break;
    (void)changed.wait_for_ms(mutex, kDrawMs);
  }
}

// The work of one thread. Its words would be drawn over those of the others.
void Batch::send_some(std::atomic<size_t>& next, std::atomic<uint64_t>& sent_bytes) {
  ApiClient api(api_.settings());
  const auto nowhere = [](std::string_view) {};
  Console silent({.quiet = true}, nowhere, nowhere);
  for (size_t i; goes_on() && (i = next++) < plan_.size();) {
    if (is_large(plan_[i])) continue;
    send_one(api, i, silent);
    sent_bytes += plan_[i].size_bytes;
  }
}

void Batch::send_one(ApiClient& api, size_t i, Console& console) {
  FileOutcome& outcome = outcomes_[i];
  outcome.failure = send_file(api, plan_[i], outcome, console);
  if (!outcome.failure.ok()) outcome.state = FileState::kFailed;
}

Status Batch::send_file(ApiClient& api, const PlannedFile& file, FileOutcome& outcome,
                        Console& console) {
  if (rules_.dry_run && !rules_.skips_known) {
    KVCS_TRY(open_local_artifact(file.path).status());
    outcome.state = FileState::kUploaded;
    return ok();
  }
  const LocalArtifact local = KVCS_TRY(read_local_artifact(file.path, console));
  outcome.sha256 = local.sha256;
  // A server that refuses for something else than what the file is would refuse the next one too.
  const auto of_server = [this](Status failed) {
    if (failed.code() != Code::kInvalid && failed.code() != Code::kTooLarge) stops_ = true;
    return failed;
  };
  if (rules_.skips_known) {
    outcome.state = FileState::kThere;
    if (!is_first_of(local.sha256)) return ok();
    Result<std::string> known = find_known(api, local.sha256, wishes_.project_id);
    if (!known.ok()) return of_server(known.status());
    outcome.id = std::move(*known);
    if (!outcome.id.empty()) return ok();
  }
  if (!rules_.dry_run) {
    Result<std::string> id =
        send_artifact(api, local, announcement_of(local, file.name, wishes_), console);
    if (!id.ok()) return of_server(id.status());
    outcome.id = std::move(*id);
  }
  outcome.state = FileState::kUploaded;
  return ok();
}

bool Batch::is_first_of(const std::string& sha256) {
  MutexLock lock(mutex_);
  return digests_.insert(sha256).second;
}

// What came of bytes that several files have is so of each of them.
void Batch::settle_twins() {
  std::map<std::string, const FileOutcome*> firsts;
  for (const FileOutcome& outcome : outcomes_) {
    const bool is_twin = outcome.state == FileState::kThere && outcome.id.empty();
    if (!is_twin && !outcome.sha256.empty()) firsts.emplace(outcome.sha256, &outcome);
  }
  for (FileOutcome& outcome : outcomes_) {
    if (outcome.state != FileState::kThere || !outcome.id.empty()) continue;
    const FileOutcome& first = *firsts.at(outcome.sha256);
    outcome.id = first.id;
    outcome.failure = first.failure;
    if (first.state == FileState::kFailed) outcome.state = FileState::kFailed;
  }
}

}  // namespace

Json announcement_of(const LocalArtifact& local, const std::string& name,
                     const UploadWishes& wishes) {
  Json request = upload_request(local, name, wishes.visibility);
  if (!wishes.project_id.empty()) request["project_id"] = wishes.project_id;
  if (wishes.description) request["description"] = *wishes.description;
  if (!wishes.tags.empty()) request["tags"] = wishes.tags;
  return request;
}

std::vector<FileOutcome> upload_batch(ApiClient& api, const std::vector<PlannedFile>& plan,
                                      const UploadWishes& wishes, const BatchRules& rules,
                                      Console& console) {
  return Batch(api, plan, wishes, rules, console).run();
}

}  // namespace kvcs::cli

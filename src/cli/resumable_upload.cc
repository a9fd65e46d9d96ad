// The client's side of an upload in parts (tus 1.0.0): a thread for each part asks how far it is,
// sends the rest, and does so again when the connection broke.
#include "cli/resumable_upload.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/file.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "cli/progress.h"

namespace kvcs::cli {
namespace {

constexpr const char* kUploads = "/api/v1/uploads";
constexpr size_t kParts = 4, kProofRangeBytes = 4096;
// Attempts that brought nothing, one after the other.
constexpr int kFailuresMax = 8;
constexpr int64_t kFirstPauseMs = 500, kPauseMaxMs = 15'000;
constexpr int64_t kDrawMs = 100;
constexpr size_t kAnswerMaxBytes = 1 << 20, kStateMaxBytes = 64 << 10;
constexpr int kGone = 404, kConflict = 409, kLocked = 423;

struct Answer {
  int status = 0;
  std::string body, location, challenge;
  std::optional<uint64_t> offset;
  bool ok() const { return status / 100 == 2; }
};

// One part of the file, and of the server's upload of that id.
struct Part {
  std::string id;
  uint64_t offset = 0, size_bytes = 0;  // In the file.
  std::atomic<uint64_t> sent{0};
};

// The process ends as it would have; what was begun is in its file already.
void on_interrupt(int number) {
  constexpr std::string_view kAdvice =
      "\nInterrupted. The same command goes on where this one stopped.\n";
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, kAdvice.data(), kAdvice.size());
  std::signal(number, SIG_DFL);
  std::raise(number);
}

// While it lives, Ctrl-C says how to go on.
class InterruptAdvice final {
 public:
  InterruptAdvice() : old_(std::signal(SIGINT, on_interrupt)) {}
  ~InterruptAdvice() { std::signal(SIGINT, old_); }
  InterruptAdvice(const InterruptAdvice&) = delete;
  InterruptAdvice& operator=(const InterruptAdvice&) = delete;

 private:
  void (*const old_)(int);
};

class ResumableUpload final {
 public:
  ResumableUpload(const ApiSettings& settings, const ResumableFile& file, const Json& announcement,
                  Console& console)
      : settings_(settings),
        api_(settings),
        file_(file),
        announcement_(announcement),
        console_(console) {}

  Result<std::optional<std::string>> run() {
    const InterruptAdvice advice;
    for (int attempt = 1;; attempt++) {
      const bool goes_on = load();
      if (!goes_on && attempt == 1) {
        const auto there = KVCS_TRY(offer());
        if (there) return there;
      }
      if (!goes_on && !KVCS_TRY(begin())) return std::optional<std::string>();
      const Status sent = send_parts();
      // Parts of before may have expired on the server.
      const bool again = sent.code() == Code::kNotFound && attempt == 1;
      if (!sent.ok() && !again) return sent;
      if (!again) break;
      forget();
    }
    KVCS_TRY(file_.check_unchanged());
    std::string id = KVCS_TRY(join());
    forget();
    return std::optional<std::string>(std::move(id));
  }

 private:
  Status refusal(const Answer& answer) const;
  bool is_about_project(const Answer& answer) const;
  Result<Answer> ask(ApiClient& api, http::UpstreamRequest request, const std::string& path);
  bool load();
  Status save() const;
  void forget();
  std::string state_path() const;
  Result<bool> begin();
  Result<bool> make_parts();
  void drop(const std::string& id);
  bool has_proved(const std::string& id, const std::string& challenge);
  Result<std::optional<std::string>> offer();
  Result<std::string> prove(const std::string& challenge) const;
  Status send_parts();
  Status send_part(Part& part);
  Status send_rest(Part& part);
  Result<std::string> join();

  const ApiSettings& settings_;
  ApiClient api_;
  const ResumableFile& file_;
  const Json& announcement_;
  Console& console_;
  std::vector<std::unique_ptr<Part>> parts_;
};

Result<Answer> ResumableUpload::ask(ApiClient& api, http::UpstreamRequest request,
                                    const std::string& path) {
  request.headers.push_back({"tus-resumable", "1.0.0"});
  const auto response = KVCS_TRY(api.exchange(std::move(request), path));
  Answer answer;
  answer.status = response->status();
  answer.location = response->header("location").value_or("");
  answer.challenge = response->header("upload-challenge").value_or("");
  const auto offset = parse_u64(response->header("upload-offset").value_or(""), "upload-offset");
  if (offset.ok()) answer.offset = *offset;
  answer.body = KVCS_TRY(response->read_all(kAnswerMaxBytes));
  return answer;
}

// The advice says where a key belongs; the server's words alone would not.
Status ResumableUpload::refusal(const Answer& answer) const {
  Status failed = status_of_answer(answer.status, answer.body);
  if (answer.status != 401) return failed;
  return unauthenticated(failed.message() + " " + settings_.key_advice);
}

// Servers of before say it in words alone.
bool ResumableUpload::is_about_project(const Answer& answer) const {
  const std::string reason = refusal(answer).reason();
  return reason.empty() ? answer.body.find("project") != std::string::npos
                        : reason == "project_not_found";
}

// Named by all that makes this upload another one.
std::string ResumableUpload::state_path() const {
  const std::string identity = settings_.url + "\n" + file_.sha256 + "\n" +
                               std::to_string(file_.size_bytes) + "\n" +
                               std::to_string(file_.modified_ns) + "\n" + dump_json(announcement_);
  return folder_of(client_config_path()) + "/uploads/" + sha256_hex(identity).substr(0, 32) +
         ".json";
}

// False when nothing was begun, or it cannot be read.
bool ResumableUpload::load() {
  parts_.clear();
  const auto text = read_small_file(state_path(), kStateMaxBytes);
  if (!text.ok()) return false;
  const auto state = parse_json(*text);
  if (!state.ok() || !(*state).is_object() || !(*state).contains("parts")) return false;
  uint64_t at = 0;
  for (const Json& one : (*state)["parts"]) {
    auto part = std::make_unique<Part>();
    part->id = text_member(one, "id");
    part->offset = at;
    part->size_bytes = static_cast<uint64_t>(integer_member(one, "size_bytes"));
    at += part->size_bytes;
    parts_.push_back(std::move(part));
  }
  if (at == file_.size_bytes && !parts_.empty()) {
    console_.note("Going on with an upload that was begun before.");
    return true;
  }
  parts_.clear();
  return false;
}

Status ResumableUpload::save() const {
  Json list = Json::array();
  for (const auto& part : parts_) {
    list.push_back({{"id", part->id}, {"size_bytes", part->size_bytes}});
  }
  const std::string path = state_path();
  std::error_code failed;
  std::filesystem::create_directories(folder_of(path), failed);
  if (failed) return io_error("create directory", folder_of(path), failed.value());
  return write_private_file(path, dump_json({{"url", settings_.url}, {"parts", list}}));
}

void ResumableUpload::forget() {
  (void)::unlink(state_path().c_str());
}

// The answer to a challenge, "NONCE OFFSET,OFFSET,…": the SHA-256 of the nonce and of 4 KiB of the
// file from each offset on, in hex.
Result<std::string> ResumableUpload::prove(const std::string& challenge) const {
  const size_t space = challenge.find(' ');
  const std::string nonce = KVCS_TRY(from_hex(std::string_view(challenge).substr(0, space)));
  if (space == challenge.npos) return upstream_failed("The server's challenge names no places.");
  const Descriptor file(::open(file_.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", file_.path, errno);
  Sha256 hash;
  hash.update(nonce.data(), nonce.size());
  std::array<char, kProofRangeBytes> bytes{};
  for (const std::string_view text : split(std::string_view(challenge).substr(space + 1), ',')) {
    const uint64_t offset = KVCS_TRY(parse_u64(text, "offset"));
    const ssize_t n = ::pread(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n != static_cast<ssize_t>(bytes.size())) {
      return upstream_failed("The server's challenge names a place outside of the file.");
    }
    hash.update(bytes.data(), bytes.size());
  }
  return hash.finish_hex();
}

// Whether the bytes are there already: the organization's own, or somebody's, when the file shows
// that its bytes are at hand. Nothing: they must be sent.
Result<std::optional<std::string>> ResumableUpload::offer() {
  http::UpstreamRequest request;
  request.method = "POST";
  request.headers = {{"upload-length", std::to_string(file_.size_bytes)},
                     {"upload-have", "1"},
                     {"content-type", "application/json"}};
  request.body = dump_json(announcement_);
  const Answer made = KVCS_TRY(ask(api_, std::move(request), kUploads));
  if (made.status == kGone || made.status == 405) return std::optional<std::string>();
  // Too many have asked for a challenge, or something else is: the parts' creation tells then.
  if (made.status == 429) return std::optional<std::string>();
  if (!made.ok()) return refusal(made);
  const std::string id = made.location.substr(made.location.rfind('/') + 1);
  bool is_there = made.offset == file_.size_bytes;
  if (!is_there && !made.challenge.empty()) {
    is_there = has_proved(id, made.challenge);
  }
  if (is_there) {
    console_.note("The server has these bytes already; none was sent.");
    return std::optional<std::string>(id);
  }
  drop(id);
  return std::optional<std::string>();
}

// Without a proof the bytes are sent, whatever was in its way.
bool ResumableUpload::has_proved(const std::string& id, const std::string& challenge) {
  const Result<std::string> proof = prove(challenge);
  if (!proof.ok()) return false;
  http::UpstreamRequest request;
  request.method = "POST";
  request.headers = {{"upload-proof", *proof}};
  const Result<Answer> proved = ask(api_, std::move(request), std::string(kUploads) + "/" + id);
  return proved.ok() && proved->ok();
}

// What it holds of the quota is given back; a server that does not hear of it does so by itself.
void ResumableUpload::drop(const std::string& id) {
  http::UpstreamRequest removal;
  removal.method = "DELETE";
  (void)ask(api_, std::move(removal), std::string(kUploads) + "/" + id);
}

// Makes the parts on the server, all or none. False: it knows no such uploads.
Result<bool> ResumableUpload::begin() {
  Result<bool> begun = make_parts();
  if (!begun.ok()) {
    for (const auto& part : parts_) drop(part->id);
    parts_.clear();
  }
  return begun;
}

Result<bool> ResumableUpload::make_parts() {
  const uint64_t step = (file_.size_bytes + kParts - 1) / kParts;
  const std::string project = text_member(announcement_, "project_id");
  for (uint64_t at = 0; at < file_.size_bytes; at += step) {
    auto part = std::make_unique<Part>();
    part->offset = at;
    part->size_bytes = std::min(step, file_.size_bytes - at);
    http::UpstreamRequest request;
    request.method = "POST";
    request.headers = {{"upload-length", std::to_string(part->size_bytes)},
                       {"upload-concat", "partial"}};
    if (!project.empty()) {
      request.body = dump_json(Json{{"project_id", project}});
      request.headers.push_back({"content-type", "application/json"});
    }
    const Answer made = KVCS_TRY(ask(api_, std::move(request), kUploads));
    const bool unknown = made.status == kGone || made.status == 405;
    if (unknown && parts_.empty() && !is_about_project(made)) return false;
    if (!made.ok()) return refusal(made);
    part->id = made.location.substr(made.location.rfind('/') + 1);
    parts_.push_back(std::move(part));
  }
  const Status saved = save();
  if (!saved.ok()) {
    console_.note("This upload cannot be resumed by another run: " + printable(saved.message()));
  }
  return true;
}

// The rest of a part from where the server has it. Not found: the part is gone.
Status ResumableUpload::send_rest(Part& part) {
  ApiClient api(settings_);
  const std::string path = std::string(kUploads) + "/" + part.id;
  http::UpstreamRequest look;
  look.method = "HEAD";
  const Answer told = KVCS_TRY(ask(api, std::move(look), path));
  if (!told.ok()) return refusal(told);
  const uint64_t from = told.offset.value_or(UINT64_MAX);
  if (from > part.size_bytes) return upstream_failed("The server names no offset of the upload.");
  part.sent = from;
  if (from == part.size_bytes) return ok();
  const Descriptor file(::open(file_.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", file_.path, errno);
  const http::FileUploadAnswer answer =
      KVCS_TRY(http::put_file({.url = settings_.url + path,
                               .method = "PATCH",
                               .headers = {{"Authorization", "Bearer " + settings_.key.reveal()},
                                           {"Tus-Resumable", "1.0.0"},
                                           {"Content-Type", "application/offset+octet-stream"},
                                           {"Upload-Offset", std::to_string(from)}},
                               .descriptor = file.get(),
                               .offset = part.offset + from,
                               .size_bytes = part.size_bytes - from,
                               .progress = [&](uint64_t sent) { part.sent = from + sent; }}));
  if (answer.status / 100 == 2) return ok();
  // The server still waits for what an earlier connection was to bring, or has had more of it.
  if (answer.status == kLocked || answer.status == kConflict) {
    return unavailable("The part has another request at work.");
  }
  return status_of_answer(answer.status, answer.body);
}

// Until it is there. The pause before an attempt doubles while none of them brings anything.
Status ResumableUpload::send_part(Part& part) {
  int64_t wait_ms = kFirstPauseMs;
  for (int failures = 0;;) {
    const uint64_t before = part.sent;
    const Status sent = send_rest(part);
    if (sent.ok()) return ok();
    const bool lasts = sent.code() == Code::kInvalid || sent.code() == Code::kNotFound ||
                       sent.code() == Code::kForbidden || sent.code() == Code::kUnauthenticated ||
                       sent.code() == Code::kTooLarge || sent.code() == Code::kQuotaExceeded ||
                       sent.code() == Code::kInternal;
    if (part.sent > before) {
      failures = 0;
      wait_ms = kFirstPauseMs;
    }
    if (lasts || ++failures == kFailuresMax) return sent;
    pause_ms(wait_ms);
    wait_ms = std::min(wait_ms * 2, kPauseMaxMs);
  }
}

Status ResumableUpload::send_parts() {
  Progress progress(console_, "Uploading", file_.size_bytes);
  Mutex mutex;
  CondVar changed;
  size_t ended = 0;
  Status first;
  std::vector<std::unique_ptr<Thread>> threads;
  for (const auto& part : parts_) {
    threads.push_back(std::make_unique<Thread>("part", [&, part = part.get()] {
      Status sent = send_part(*part);
      MutexLock lock(mutex);
      if (first.ok()) first = std::move(sent);
      ended++;
      changed.notify_all();
    }));
  }
  for (;;) {
    uint64_t sent = 0;
    for (const auto& part : parts_) sent += part->sent;
    progress.update(sent);
    MutexLock lock(mutex);
    if (ended == parts_.size()) break;
    (void)changed.wait_for_ms(mutex, kDrawMs);
  }
  threads.clear();
  return first;
}

// Repeated, it is answered with the same artifact. Reading and copying the parts takes the server
// as long as it takes.
Result<std::string> ResumableUpload::join() {
  std::string concat = "final;";
  for (const auto& part : parts_) {
    if (concat.back() != ';') concat += ' ';
    concat += std::string(kUploads) + "/" + part->id;
  }
  int64_t wait_ms = kFirstPauseMs;
  for (int failures = 0;;) {
    http::UpstreamRequest request;
    request.method = "POST";
    request.headers = {{"upload-concat", concat}, {"content-type", "application/json"}};
    request.body = dump_json(announcement_);
    request.deadline_ms = request.idle_timeout_ms = 0;
    const auto answer = ask(api_, std::move(request), kUploads);
    if (answer.ok() && answer->ok()) {
      return answer->location.substr(answer->location.rfind('/') + 1);
    }
    const bool is_busy = answer.ok() && (answer->status == kLocked || answer->status >= 500);
    if (answer.ok() && !is_busy) {
      if (answer->status == 400) forget();
      return refusal(*answer);
    }
    if (++failures == kFailuresMax) return answer.ok() ? refusal(*answer) : answer.status();
    pause_ms(wait_ms);
    wait_ms = std::min(wait_ms * 2, kPauseMaxMs);
  }
}

}  // namespace

Result<std::optional<std::string>> send_resumable(const ApiSettings& settings,
                                                  const ResumableFile& file,
                                                  const Json& announcement, Console& console) {
  return ResumableUpload(settings, file, announcement, console).run();
}

}  // namespace kvcs::cli

// The client's side of an upload in parts (tus 1.0.0): a thread for each part asks how far it is,
// sends the rest, and does so again when the connection broke.
#include "cli/resumable_upload.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/file.h"
#include "base/id.h"
#include "base/loopback.h"
#include "base/mutex.h"
#include "base/thread.h"
#include "cli/interrupt.h"
#include "cli/kept_transfers.h"
#include "cli/progress.h"
#include "cli/state_paths.h"

namespace kvcs::cli {
namespace {

constexpr const char* kUploads = "/api/v1/uploads";
const std::pair<std::string, std::string> kTus = {"tus-resumable", "1.0.0"};
// Several connections share a long way better than one fills it. To this machine one is as fast,
// and parts would be copied there to be put together.
constexpr size_t kParts = 4, kPartsHere = 1;
constexpr size_t kProofRangeBytes = 4096;
constexpr int64_t kDrawMs = 100;
constexpr size_t kStateMaxBytes = 64 << 10;
constexpr int kBad = 400, kGone = 404, kNotAllowed = 405, kConflict = 409, kLocked = 423,
              kTooMany = 429;

// The id of an upload, which is the end of its URL.
std::string id_of(const http::FetchAnswer& answer) {
  const std::string location(answer.header("location").value_or(""));
  return location.substr(location.rfind('/') + 1);
}

std::optional<uint64_t> offset_of(const http::FetchAnswer& answer) {
  const auto offset = parse_u64(answer.header("upload-offset").value_or(""), "upload-offset");
  return offset.ok() ? std::optional<uint64_t>(*offset) : std::nullopt;
}

// One part of the file, and of the server's upload of that id.
struct Part {
  std::string id;
  uint64_t offset = 0, size_bytes = 0;  // In the file.
  std::atomic<uint64_t> sent{0};
};

// The process ends as it would have; what was begun is in its file already.
constexpr const char* kAdvice = "\nInterrupted. The same command goes on where this one stopped.\n";
constexpr const char* kAdviceJson =
    R"({"error":"Interrupted. The same command goes on where this one stopped.",)"
    R"("code":"interrupted","reason":"stopped"})"
    "\n";

class ResumableUpload final {
 public:
  ResumableUpload(const ApiSettings& settings, const ResumableFile& file, const Json& announcement,
                  Console& console)
      : settings_(settings),
        api_(settings),
        file_(file),
        announcement_(announcement),
        console_(console),
        repeat_(repeat_hooks(console)) {}

  Result<std::optional<std::string>> run() {
    const LastWords advice(console_.mode().json ? kAdviceJson : kAdvice);
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
  Result<http::FetchAnswer> ask(ApiClient& api, http::FetchRequest request,
                                const std::string& path);
  Result<http::FetchAnswer> create(http::FetchRequest request, bool waits_for_rate);
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
  Status send_rest(ApiClient& api, Part& part);
  Result<std::string> join();

  const ApiSettings& settings_;
  ApiClient api_;
  const ResumableFile& file_;
  const Json& announcement_;
  Console& console_;
  Repeat repeat_;
  std::vector<std::unique_ptr<Part>> parts_;
};

// Each of them may be sent twice: what it does is named by an id, an offset or a key.
Result<http::FetchAnswer> ResumableUpload::ask(ApiClient& api, http::FetchRequest request,
                                               const std::string& path) {
  request.headers.push_back(kTus);
  request.is_repeatable = true;
  return api.exchange(std::move(request), path);
}

// A POST that makes an upload. Trouble of the server or of the way is waited for, and too many
// requests unless the caller can do without; any other answer is the caller's.
Result<http::FetchAnswer> ResumableUpload::create(http::FetchRequest request, bool waits_for_rate) {
  request.method = "POST";
  request.headers.push_back({"idempotency-key", make_uuid_v4(*make_system_entropy())});
  http::FetchAnswer answer;
  const auto attempt = [&](bool&) -> Status {
    answer = KVCS_TRY(ask(api_, request, kUploads));
    if (answer.ok() || (answer.status == kTooMany && !waits_for_rate)) return ok();
    const Status failed = api_.refusal(answer);
    return is_worth_repeating(failed) ? failed : ok();
  };
  KVCS_TRY(repeat_.run("announcement", attempt));
  return answer;
}

// Servers of before say it in words alone.
bool is_about_project(const http::FetchAnswer& answer) {
  const std::string reason = status_of_answer(answer).reason();
  return reason.empty() ? answer.body.find("project") != std::string::npos
                        : reason == "project_not_found";
}

// Named by all that makes this upload another one.
std::string ResumableUpload::state_path() const {
  const std::string identity = settings_.url + "\n" + file_.sha256 + "\n" +
                               std::to_string(file_.size_bytes) + "\n" +
                               std::to_string(file_.modified_ns) + "\n" + dump_json(announcement_);
  return uploads_folder() + "/" + sha256_hex(identity).substr(0, 32) + ".json";
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
  if (uploads_folder().empty()) return no_home();
  Json list = Json::array();
  for (const auto& part : parts_) {
    list.push_back({{"id", part->id}, {"size_bytes", part->size_bytes}});
  }
  const std::string path = state_path();
  std::error_code failed;
  std::filesystem::create_directories(folder_of(path), failed);
  if (failed) return io_error("create directory", folder_of(path), failed.value());
  const Json state = {{"url", settings_.url},
                      {"path", std::filesystem::absolute(file_.path, failed)},
                      {"parts", list}};
  return write_private_file(path, dump_json(state)).with_context(printable(path));
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
  http::FetchRequest request;
  request.headers = {{"upload-length", std::to_string(file_.size_bytes)},
                     {"upload-have", "1"},
                     {"content-type", "application/json"}};
  request.body = dump_json(announcement_);
  const http::FetchAnswer made = KVCS_TRY(create(std::move(request), false));
  if (made.status == kGone || made.status == kNotAllowed) return std::optional<std::string>();
  // Too many have asked for a challenge, or something else is: the parts' creation tells then.
  if (made.status == kTooMany) return std::optional<std::string>();
  if (!made.ok()) return api_.refusal(made);
  const std::string id = id_of(made);
  const std::string challenge(made.header("upload-challenge").value_or(""));
  bool is_there = offset_of(made) == file_.size_bytes;
  if (!is_there && !challenge.empty()) is_there = has_proved(id, challenge);
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
  http::FetchRequest request;
  request.method = "POST";
  request.headers = {{"upload-proof", *proof}};
  const Result<http::FetchAnswer> proved =
      ask(api_, std::move(request), std::string(kUploads) + "/" + id);
  return proved.ok() && proved->ok();
}

// What it holds of the quota is given back; a server that does not hear of it does so by itself.
void ResumableUpload::drop(const std::string& id) {
  api_.drop(std::string(kUploads) + "/" + id, {kTus});
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
  const size_t parts = is_loopback_url(settings_.url) ? kPartsHere : kParts;
  const uint64_t step = (file_.size_bytes + parts - 1) / parts;
  const std::string project = text_member(announcement_, "project_id");
  for (uint64_t at = 0; at < file_.size_bytes; at += step) {
    auto part = std::make_unique<Part>();
    part->offset = at;
    part->size_bytes = std::min(step, file_.size_bytes - at);
    http::FetchRequest request;
    request.headers = {{"upload-length", std::to_string(part->size_bytes)},
                       {"upload-concat", "partial"}};
    if (!project.empty()) {
      request.body = dump_json(Json{{"project_id", project}});
      request.headers.push_back({"content-type", "application/json"});
    }
    const http::FetchAnswer made = KVCS_TRY(create(std::move(request), true));
    const bool unknown = made.status == kGone || made.status == kNotAllowed;
    if (unknown && parts_.empty() && !is_about_project(made)) return false;
    if (!made.ok()) return api_.refusal(made);
    part->id = id_of(made);
    parts_.push_back(std::move(part));
  }
  const Status saved = save();
  if (!saved.ok()) {
    console_.note("This upload cannot be resumed by another run: " + printable(saved.message()));
  }
  return true;
}

// The rest of a part from where the server has it. Not found: the part is gone.
Status ResumableUpload::send_rest(ApiClient& api, Part& part) {
  const std::string path = std::string(kUploads) + "/" + part.id;
  http::FetchRequest look;
  look.method = "HEAD";
  const http::FetchAnswer told = KVCS_TRY(ask(api, std::move(look), path));
  if (told.status == kLocked) return unavailable("The part has another request at work.");
  if (!told.ok()) return api.refusal(told);
  const uint64_t from = offset_of(told).value_or(UINT64_MAX);
  if (from > part.size_bytes) return upstream_failed("The server names no offset of the upload.");
  part.sent = from;
  if (from == part.size_bytes) return ok();
  const Descriptor file(::open(file_.path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", file_.path, errno);
  http::FetchRequest rest;
  rest.method = "PATCH";
  rest.headers = {{"content-type", "application/offset+octet-stream"},
                  {"upload-offset", std::to_string(from)}};
  rest.descriptor = file.get();
  rest.path = file_.path;
  rest.offset = part.offset + from;
  rest.size_bytes = part.size_bytes - from;
  rest.deadline_ms = 0;
  rest.sent = [&part, from](uint64_t sent) { part.sent = from + sent; };
  const http::FetchAnswer answer = KVCS_TRY(ask(api, std::move(rest), path));
  if (answer.ok()) return ok();
  // The server still waits for what an earlier connection was to bring, or has had more of it.
  if (answer.status == kLocked || answer.status == kConflict) {
    return unavailable("The part has another request at work.");
  }
  return api.refusal(answer);
}

// Repeated while it helps. In a thread of its own, so without words.
Status ResumableUpload::send_part(Part& part) {
  ApiClient api(settings_);
  Repeat repeat(silent_repeat_hooks());
  repeat.note_reached();
  const auto attempt = [&](bool& moved) {
    const uint64_t before = part.sent;
    Status sent = send_rest(api, part);
    moved = part.sent > before;
    return sent;
  };
  return repeat.run("transfer", attempt);
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
  http::FetchRequest request;
  request.method = "POST";
  request.headers = {{"upload-concat", concat}, {"content-type", "application/json"}};
  request.body = dump_json(announcement_);
  request.deadline_ms = request.idle_timeout_ms = 0;
  std::string id;
  const auto attempt = [&](bool&) -> Status {
    const http::FetchAnswer answer = KVCS_TRY(ask(api_, request, kUploads));
    if (answer.status == kLocked) return unavailable("A part has another request at work.");
    if (answer.status == kBad) forget();
    if (!answer.ok()) return api_.refusal(answer);
    id = id_of(answer);
    return ok();
  };
  repeat_.note_reached();
  KVCS_TRY(repeat_.run("confirmation", attempt));
  return id;
}

}  // namespace

Result<std::optional<std::string>> send_resumable(const ApiSettings& settings,
                                                  const ResumableFile& file,
                                                  const Json& announcement, Console& console) {
  return ResumableUpload(settings, file, announcement, console).run();
}

}  // namespace kvcs::cli

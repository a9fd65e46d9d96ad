// The transfer of one file: announcement, bytes, confirmation, and the way back of what is not
// ended.
#include "cli/send_artifact.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>

#include "base/crypto.h"
#include "base/entropy.h"
#include "base/file.h"
#include "base/id.h"
#include "cli/interrupt.h"
#include "cli/progress.h"
#include "cli/resumable_upload.h"

namespace kvcs::cli {
namespace {

// In one piece: place, bytes, confirmation, each repeated as repeat.h says. What was
// announced and did not end is withdrawn, because it holds room of the quota.
class WholeUpload final {
 public:
  WholeUpload(ApiClient& api, const LocalArtifact& local, const Json& request, Console& console)
      : api_(api),
        local_(local),
        request_(request),
        console_(console),
        repeat_(repeat_hooks(console)) {}

  Result<std::string> run() {
    const Status sent = send();
    if (sent.ok()) return id_;
    withdraw();
    if (!interrupted()) return sent;
    return interruption("Interrupted; the server keeps nothing of it.");
  }

 private:
  Status send();
  Status announce(const std::string& key);
  Status put();
  Status confirm();
  void withdraw();

  ApiClient& api_;
  const LocalArtifact& local_;
  const Json& request_;
  Console& console_;
  Repeat repeat_;
  std::string id_, url_;  // "": nothing is announced.
};

// Header, sidecar and digest were read before the transfer. A file that changed since would make
// them a description of something else, so nothing is confirmed then.
Status WholeUpload::send() {
  const auto bytes = [this](bool&) { return put(); };
  const auto claim = [this](bool&) { return confirm(); };
  const auto place = [this, key = make_uuid_v4(*make_system_entropy())](bool&) {
    return announce(key);
  };
  KVCS_TRY(repeat_.run("announcement", place));
  KVCS_TRY(repeat_.run("transfer", bytes));
  KVCS_TRY(local_.file->check_unchanged());
  return repeat_.run("confirmation", claim);
}

// An announcement whose answer was lost is known to the server by its key.
Status WholeUpload::announce(const std::string& key) {
  const Json begun = KVCS_TRY(api_.post_repeatable("/api/v1/artifacts/upload-url", request_, key));
  const std::string id = text_member(begun, "artifact_id"), url = text_member(begun, "url");
  if (id.empty() || url.empty()) {
    return invalid("The server's answer names no artifact_id and url.");
  }
  id_ = id;
  url_ = url;
  return ok();
}

// One attempt. The file is opened again, because the transfer reads from a descriptor of its own.
// The server keeps nothing of a transfer that broke; a URL that has ended is asked for anew.
Status WholeUpload::put() {
  if (id_.empty()) KVCS_TRY(announce(make_uuid_v4(*make_system_entropy())));
  const Descriptor file(::open(local_.file->path().c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", local_.file->path(), errno);
  Progress progress(console_, "Uploading", local_.file->size_bytes());
  http::FetchRequest request;
  request.method = "PUT";
  request.url = url_;
  request.descriptor = file.get();
  request.path = local_.path;
  request.size_bytes = local_.file->size_bytes();
  request.deadline_ms = 0;
  request.sent = [&](uint64_t sent) { progress.update(sent); };
  const Status sent = api_.fetch(request).status();
  if (!is_expired_url(sent)) return sent;
  withdraw();
  return unavailable(sent.message());
}

// Confirmed twice, it is answered the same.
Status WholeUpload::confirm() {
  const Json claim{{"digest", local_.sha256}, {"size_bytes", local_.file->size_bytes()}};
  return api_.post_repeatable("/api/v1/artifacts/" + id_ + "/confirm-upload", claim).status();
}

void WholeUpload::withdraw() {
  if (!id_.empty()) api_.drop("/api/v1/artifacts/" + id_);
  id_.clear();
}

}  // namespace

// A server of before takes a large file in one piece too.
Result<std::string> send_artifact(ApiClient& api, const LocalArtifact& local, const Json& request,
                                  Console& console) {
  if (local.file->size_bytes() < kResumableFromBytes) {
    return WholeUpload(api, local, request, console).run();
  }
  struct stat facts {};
  if (::stat(local.file->path().c_str(), &facts) != 0) {
    return io_error("stat", local.path, errno);
  }
  // Bytes of a stream that are the same are the same upload.
  const bool has_time = !local.spooled.valid();
  const ResumableFile file{
      .path = local.file->path(),
      .sha256 = local.sha256,
      .size_bytes = local.file->size_bytes(),
      .modified_ns = has_time ? facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec : 0,
      .check_unchanged = [&local] { return local.file->check_unchanged(); }};
  const auto id = KVCS_TRY(send_resumable(api.settings(), file, request, console));
  if (id) return *id;
  return WholeUpload(api, local, request, console).run();
}

}  // namespace kvcs::cli

// `kvcs upload`: hashes a .kv file, asks the server for a place, sends the bytes there and
// confirms; what breaks is repeated, and what does not end is withdrawn.
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <vector>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/entropy.h"
#include "base/file.h"
#include "base/id.h"
#include "cli/api_client.h"
#include "cli/commands.h"
#include "cli/interrupt.h"
#include "cli/own_calls.h"
#include "cli/progress.h"
#include "cli/resumable_upload.h"
#include "kvfile/kvfile.h"

namespace kvcs::cli {
namespace {

constexpr int kLookUpsMax = 3;  // For a URL that is nice to have.
constexpr size_t kHashStepBytes = 1 << 20;
// The server's limit of an artifact's metadata (64 KiB), less room for the other members. A sidecar
// that is larger, because of its token ids, is not sent.
constexpr size_t kSidecarMaxBytes = 60 << 10;

// The file and what is said about it. `about` is the sidecar, or what the header alone says.
struct LocalFile {
  std::unique_ptr<kvfile::KvFile> file;
  kvfile::Sidecar about;
  std::string sidecar_json;  // "" without sidecar.
  std::string sha256;
};

// The digest is needed before the first byte is sent: the URL is signed over it.
Result<std::string> hash_file(const kvfile::KvFile& file, Console& console) {
  Progress progress(console, "Hashing", file.size_bytes());
  Sha256 hash;
  std::vector<char> buffer(kHashStepBytes);
  for (uint64_t at = 0; at < file.size_bytes();) {
    const size_t n = std::min<uint64_t>(buffer.size(), file.size_bytes() - at);
    KVCS_TRY(file.read(at, buffer.data(), n));
    hash.update(buffer.data(), n);
    at += n;
    progress.update(at);
  }
  return hash.finish_hex();
}

// A sidecar that contradicts its file is refused here and not stored.
Result<LocalFile> read_local(const std::string& path, Console& console) {
  LocalFile local;
  local.file = KVCS_TRY(kvfile::KvFile::open(path));
  auto sidecar = KVCS_TRY(kvfile::read_sidecar(path));
  if (sidecar) {
    KVCS_TRY(kvfile::check_sidecar(*sidecar, local.file->header()));
    local.sidecar_json = kvfile::dump_sidecar(*sidecar);
  }
  local.about = sidecar ? *sidecar : kvfile::describe_header(local.file->header());
  local.sha256 = KVCS_TRY(hash_file(*local.file, console));
  return local;
}

// The members that the kvcdn command line sends, by its names: `checksum` is the SHA-256.
Json upload_request(const LocalFile& local, const std::string& name,
                    const std::string& visibility) {
  Json metadata{{"name", name},
                {"sha256", local.sha256},
                {"num_layers", local.about.num_layers},
                {"quantized", local.about.quantized}};
  if (local.about.storage_dtype) metadata["storage_dtype"] = *local.about.storage_dtype;
  if (!local.sidecar_json.empty() && local.sidecar_json.size() <= kSidecarMaxBytes) {
    const auto sidecar = parse_json(local.sidecar_json);
    if (sidecar.ok()) {
      // Compact, it may still be over: the limit is the server's.
      if (dump_json(*sidecar).size() <= kSidecarMaxBytes) metadata["sidecar"] = *sidecar;
    }
  }
  return {{"model_name", local.about.model_name},
          {"name", name},
          {"dtype", local.about.dtype},
          {"num_tokens", local.about.num_tokens},
          {"visibility", visibility},
          {"size_bytes", local.file->size_bytes()},
          {"checksum", local.sha256},
          {"metadata", std::move(metadata)}};
}

// In one piece: place, bytes, confirmation, each repeated as repeat.h says. What was
// announced and did not end is withdrawn, because it holds room of the quota.
class WholeUpload final {
 public:
  WholeUpload(ApiClient& api, const LocalFile& local, const Json& request, Console& console)
      : api_(api),
        local_(local),
        request_(request),
        console_(console),
        repeat_(repeat_hooks(console)) {}

  Result<std::string> run() {
    const Interrupts interrupts;
    const Status sent = send();
    if (sent.ok()) return id_;
    withdraw();
    if (interrupted()) console_.note("Interrupted; the server keeps nothing of it.");
    return sent;
  }

 private:
  Status send();
  Status announce(const std::string& key);
  Status put();
  Status confirm();
  void withdraw();

  ApiClient& api_;
  const LocalFile& local_;
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

// Stores that others run say it in words alone.
bool is_expired(const Status& sent) {
  return sent.reason().empty() ? sent.message().find("expired") != std::string::npos
                               : sent.reason() == "url_expired";
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
  request.size_bytes = local_.file->size_bytes();
  request.deadline_ms = 0;
  request.sent = [&](uint64_t sent) { progress.update(sent); };
  const Status sent = api_.fetch(request).status();
  if (!is_expired(sent)) return sent;
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

// A server of before takes a large file in one piece too.
Result<std::string> send(ApiClient& api, const LocalFile& local, const Json& request,
                         Console& console) {
  if (local.file->size_bytes() < kResumableFromBytes) {
    return WholeUpload(api, local, request, console).run();
  }
  struct stat facts {};
  if (::stat(local.file->path().c_str(), &facts) != 0) {
    return io_error("stat", local.file->path(), errno);
  }
  const ResumableFile file{
      .path = local.file->path(),
      .sha256 = local.sha256,
      .size_bytes = local.file->size_bytes(),
      .modified_ns = facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec,
      .check_unchanged = [&local] { return local.file->check_unchanged(); }};
  const auto id = KVCS_TRY(send_resumable(api.settings(), file, request, console));
  if (id) return *id;
  return WholeUpload(api, local, request, console).run();
}

// The stored record; {} when the server does not say: the artifact is stored either way.
Json look_up(ApiClient& api, const std::string& id, Console& console) {
  Repeat repeat(repeat_hooks(console), {.attempts_max = kLookUpsMax});
  repeat.note_reached();
  Json stored;
  const auto attempt = [&](bool&) -> Status {
    stored = KVCS_TRY(api.call("GET", "/api/v1/artifacts/" + id + "?shape=single"));
    return ok();
  };
  const Status found = repeat.run("look-up", attempt);
  if (!found.ok()) {
    console.note("It is stored; its URL could not be asked for: " + printable(found.message()));
  }
  return stored.is_object() ? stored : Json::object();
}

// The transfer, then the stored record, which has the public URL if there is one.
Result<Json> upload(const Invocation& in, ApiClient& api, Console& console) {
  const std::string path = in.text("file");
  const LocalFile local = KVCS_TRY(read_local(path, console));
  const std::string name =
      in.optional_text("name").value_or(std::filesystem::path(path).stem().string());
  Json request = upload_request(local, name, in.text("visibility"));
  if (const auto project = in.optional_text("project")) {
    request["project_id"] = KVCS_TRY(find_own_project(api, *project));
  }
  if (const auto words = in.optional_text("description")) request["description"] = *words;
  if (const std::vector<std::string> tags = in.list("tag"); !tags.empty()) request["tags"] = tags;
  const std::string id = KVCS_TRY(send(api, local, request, console));
  const Json stored = look_up(api, id, console);
  const std::string public_url = text_member(stored, "public_url");
  const std::string url =
      public_url.empty() ? api.settings().url + "/api/v1/artifacts/" + id : public_url;
  return Json{{"artifact_id", id},
              {"name", name},
              {"path", path},
              {"size_bytes", local.file->size_bytes()},
              {"sha256", local.sha256},
              {"visibility", in.text("visibility")},
              {"project", stored.value("project", Json())},
              {"url", url}};
}

int run_upload(const Invocation& in, Console& console) {
  ApiClient api(find_api_settings(in));
  const auto done = upload(in, api, console);
  if (!done.ok()) return console.fail(done.status());
  if (console.mode().json) {
    console.print_json(*done);
    return kExitOk;
  }
  const std::string id = (*done)["artifact_id"], url = (*done)["url"];
  if (console.mode().quiet) {
    console.print(id);
    return kExitOk;
  }
  console.print("Uploaded " + printable(in.text("file")) + " (" +
                format_bytes((*done)["size_bytes"].get<uint64_t>()) + ")");
  console.print("  id       " + printable(id));
  // A server of before does not tell the project.
  if ((*done)["project"].is_string()) console.print("  project  " + shown(*done, "project"));
  console.print("  url      " + printable(url, kShownWhole));
  return kExitOk;
}

}  // namespace

std::vector<Command> upload_commands() {
  return {{.name = "upload",
           .summary = "Store a .kv file on the server and print its id and URL.",
           .options = {{.name = "FILE", .help = "The .kv file.", .required = true},
                       {.name = "--name", .help = "Its name; else that of the file."},
                       {.name = "--description", .help = "What it is about."},
                       {.name = "--tag",
                        .kind = ValueKind::kList,
                        .help = "A word to find it by; may be repeated."},
                       {.name = "--visibility",
                        .help = "Who may download it.",
                        .fallback = "private",
                        .choices = {"private", "public"}},
                       {.name = "--project,--project-id",
                        .help = "Into this project (slug, name or id) instead of the active one; "
                                "a key of the organization needs it, and its id.",
                        .value_name = "PROJECT",
                        .never_empty = true}},
           .examples = {{"kvcs upload context.kv --name demo", "Private, for the organization."},
                        {"kvcs upload context.kv --tag law --tag de", "Found by these words."},
                        {"kvcs upload context.kv --visibility public --json", "For scripts."}},
           .run = run_upload,
           .details =
               "Model, dtype and tokens come from the sidecar FILE.json, else from the "
               "file's header. A broken transfer is repeated; a file of 64 MiB and more goes "
               "in parts, and the same command goes on where an interrupted one stopped. "
               "Server and key: "
               "KVCS_API_URL and KVCS_API_KEY (or KVCDN_…), `kvcs api-key set`, or a daemon "
               "on this machine."}};
}

}  // namespace kvcs::cli

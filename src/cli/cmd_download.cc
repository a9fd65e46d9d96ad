// `kvcs download`: an artifact, of the own organization or behind a link, or tokens and layers of
// one, into a part file that a later run goes on with; it gets its name when the digest is right.
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "cli/api_client.h"
#include "cli/cat.h"
#include "cli/commands.h"
#include "cli/hash_behind.h"
#include "cli/interrupt.h"
#include "cli/kept_transfers.h"
#include "cli/progress.h"
#include "cli/range_reader.h"
#include "cli/wanted_artifact.h"
#include "kvfile/tools/slice.h"
#include "kvfile/tools/verify.h"

namespace kvcs::cli {
namespace {

// The disk begins to write after so many bytes, so that the last sync finds little to do.
constexpr uint64_t kWritebackStepBytes = 8 << 20;
constexpr std::string_view kRangeRefused = "range_refused";
constexpr std::string_view kStdout = "-";

// What is to be fetched, and the paths that it goes to: `part` is the file that grows, `target` its
// final name.
struct Wanted : WantedArtifact {
  std::string target, part;
};

// --output may be a folder, as for cp; then the file has its own name there. A link to a file stays
// a link, and the file at its end is the target.
std::string target_path(const Invocation& in, const Wanted& wanted) {
  namespace fs = std::filesystem;
  const std::string output = in.text("output");
  if (output.empty()) return wanted.file_name;
  std::error_code failed;
  if (fs::is_directory(output, failed)) return output + "/" + wanted.file_name;
  if (!fs::is_symlink(output, failed) || !fs::is_regular_file(output, failed)) return output;
  const fs::path end = fs::canonical(output, failed);
  return failed ? output : end.string();
}

// One name per artifact and slice, so that a later run finds what an earlier one left.
void choose_paths(const Invocation& in, Wanted& wanted) {
  wanted.target = target_path(in, wanted);
  const std::filesystem::path path(wanted.target);
  const std::string& whose = wanted.id.empty() ? wanted.etag : wanted.id;
  const std::string mark = wanted.slice ? "-" + wanted.etag.substr(0, 8) : "";
  wanted.part = (path.parent_path() /
                 ("." + path.filename().string() + "." + whose.substr(0, 8) + mark + ".part"))
                    .string();
}

// The file that grows. What is published is what lies on the disk, whatever was received, and its
// digest is taken of that.
struct Part {
  Descriptor file;
  std::unique_ptr<HashBehind> hash = {};
  uint64_t have = 0, writeback_from = 0;
  bool began_anew = false;
};

void remove_part(const Wanted& wanted, Part& part) {
  (void)::unlink(wanted.part.c_str());
  forget_download(wanted.part);
  part.have = 0;
}

// The failure of a call. Which disk is full is told, because it is the user's own.
Status file_error(std::string_view what, const std::string& path, int error_number) {
  if (error_number != ENOSPC && error_number != EDQUOT) return io_error(what, path, error_number);
  return unavailable("The disk of " + printable(folder_of(path), kShownText) +
                     " is full; free space and try again.")
      .with_reason("disk_full");
}

// Nothing of what is there is the beginning of what is wanted.
Status empty_part(const Wanted& wanted, Part& part) {
  if (::ftruncate(part.file.get(), 0) != 0) return io_error("truncate", wanted.part, errno);
  part.hash = std::make_unique<HashBehind>(part.file.get(), wanted.part);
  part.have = part.writeback_from = 0;
  return ok();
}

// The part, for this process alone: two that write into one file make neither of them. The lock
// stays with the file, so that whoever got it behind another's rename holds the published one, and
// takes the name again. A file system without locks (some NFS) has none to wait for; digest_of()
// finds what another has written in between.
Result<Descriptor> take_part(const Wanted& wanted) {
  constexpr int kTriesMax = 100;
  for (int i = 0; i < kTriesMax; i++) {
    Descriptor file(
        ::open(wanted.part.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0666));
    if (!file.valid()) return file_error("create", wanted.part, errno);
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      return conflict("Another kvcs is downloading into " + printable(wanted.part, kShownText) +
                      ". Wait for it, or name another file with --output.");
    }
    struct stat held {
    }, named{};
    if (::fstat(file.get(), &held) != 0) return io_error("stat", wanted.part, errno);
    const bool is_there = ::stat(wanted.part.c_str(), &named) == 0;
    if (is_there && held.st_ino == named.st_ino && held.st_dev == named.st_dev) return file;
  }
  return conflict("The part " + printable(wanted.part, kShownText) +
                  " is renamed again and again.");
}

Result<uint64_t> length_of(const Wanted& wanted, const Part& part) {
  struct stat facts {};
  if (::fstat(part.file.get(), &facts) != 0) return io_error("stat", wanted.part, errno);
  return static_cast<uint64_t>(facts.st_size);
}

// Takes over what an earlier run left, so that the transfer goes on behind it. A part that is
// longer than the artifact cannot be its beginning and is emptied.
Status take_over(const Wanted& wanted, Part& part) {
  const uint64_t there = KVCS_TRY(length_of(wanted, part));
  if (there > wanted.size_bytes) return empty_part(wanted, part);
  part.hash = std::make_unique<HashBehind>(part.file.get(), wanted.part);
  part.have = part.writeback_from = there;
  part.hash->note_written(there);
  return ok();
}

// The digest of the whole file. Whoever else writes into it appends, too: behind what was read
// already, or to where our bytes were to be.
Result<std::string> digest_of(const Wanted& wanted, Part& part, Console& console) {
  Progress progress(console, "Checking", wanted.size_bytes);
  std::string digest =
      KVCS_TRY(part.hash->finish([&progress](uint64_t hashed) { progress.update(hashed); }));
  const uint64_t there = KVCS_TRY(length_of(wanted, part));
  if (there == wanted.size_bytes) return digest;
  remove_part(wanted, part);
  return upstream_failed("Another program has changed " + printable(wanted.part, kShownText) +
                         ": it has " + std::to_string(there) + " bytes in place of " +
                         std::to_string(wanted.size_bytes) + ". Nothing was kept.");
}

// The file is open for appending, so a write always goes to its end.
Status append(const Wanted& wanted, Part& part, std::string_view bytes) {
  const char* data = bytes.data();
  for (size_t left = bytes.size(); left > 0;) {
    const ssize_t n = ::write(part.file.get(), data, left);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error("write", wanted.part, errno);
    part.have += static_cast<uint64_t>(n);
    data += n;
    left -= static_cast<size_t>(n);
  }
  part.hash->note_written(part.have);
  if (part.have - part.writeback_from < kWritebackStepBytes) return ok();
  // Only advice: where a file system cannot do it, the last sync does all.
  (void)::sync_file_range(part.file.get(), static_cast<off_t>(part.writeback_from),
                          static_cast<off_t>(part.have - part.writeback_from),
                          SYNC_FILE_RANGE_WRITE);
  part.writeback_from = part.have;
  return ok();
}

// A server that sends the whole where the rest was asked for (200), or has nothing behind the
// offset (416), has another object there, or resumes nothing: once the part begins anew.
Status begin_anew(const Wanted& wanted, Part& part) {
  if (part.began_anew) return invalid("The server does not resume downloads of this artifact.");
  part.began_anew = true;
  return empty_part(wanted, part);
}

// The same by several connections, where nothing is counted by requests: of an own artifact, whole.
Status receive_ranges(const ApiClient& api, const Wanted& wanted, Part& part, Progress& progress) {
  const auto take = [&](std::string_view bytes) -> Status {
    KVCS_TRY(append(wanted, part, bytes));
    progress.update(part.have);
    return ok();
  };
  return read_ranges(api.settings(),
                     {wanted.url, wanted.etag, wanted.authorization, part.have, wanted.size_bytes},
                     take);
}

// One attempt: from what the part has towards all of it.
Status receive(ApiClient& api, const Wanted& wanted, Part& part, Progress& progress) {
  bool is_first = true;
  const auto take = [&](const http::FetchAnswer& head, std::string_view bytes) -> Status {
    if (std::exchange(is_first, false) && part.have > 0 && head.status != 206) {
      KVCS_TRY(begin_anew(wanted, part));
    }
    if (bytes.size() > wanted.size_bytes - part.have) {
      return upstream_failed("The server sends too many bytes.");
    }
    KVCS_TRY(append(wanted, part, bytes));
    progress.update(part.have);
    return ok();
  };
  const Status got =
      api.get_bytes(wanted.url, {part.have}, wanted.etag, wanted.authorization, take);
  if (got.reason() == kRangeRefused && part.have > 0) {
    KVCS_TRY(begin_anew(wanted, part));
    return upstream_failed("The server has no bytes behind the part.");
  }
  KVCS_TRY(Status(got));
  return part.have == wanted.size_bytes ? ok() : upstream_failed("The transfer broke off.");
}

// What has come is kept, in a file that is hidden: whoever does not know it would begin anew.
std::string kept_words(const Wanted& wanted, const Part& part) {
  return format_bytes(part.have) + " of " + format_bytes(wanted.size_bytes) + " are kept in " +
         printable(wanted.part, kShownText) + "; the same command goes on there.";
}

Status name_taken(const std::string& path) {
  return conflict(printable(path) + " exists; --force replaces it.");
}

// Without --force the name must be free at the moment of the rename, not only when the command
// began: RENAME_NOREPLACE decides both in one step.
Status publish(const Wanted& wanted, const Part& part, bool force) {
  if (::fsync(part.file.get()) != 0) return file_error("fsync", wanted.part, errno);
  const unsigned flags = force ? 0 : RENAME_NOREPLACE;
  if (::renameat2(AT_FDCWD, wanted.part.c_str(), AT_FDCWD, wanted.target.c_str(), flags) == 0) {
    return ok();
  }
  // A file system that does not know the flag (ZFS before 2.2, NFS) takes a second name instead,
  // and one that has no second names either (FAT) a look before the rename.
  if (!force && (errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP)) {
    if (::link(wanted.part.c_str(), wanted.target.c_str()) == 0) {
      ::unlink(wanted.part.c_str());
      return ok();
    }
    const bool has_links = errno != EPERM && errno != ENOSYS && errno != EOPNOTSUPP;
    if (!has_links && ::access(wanted.target.c_str(), F_OK) == 0) errno = EEXIST;
    if (!has_links && errno != EEXIST &&
        ::rename(wanted.part.c_str(), wanted.target.c_str()) == 0) {
      return ok();
    }
  }
  if (errno == EEXIST) return name_taken(wanted.target);
  return file_error("rename", wanted.target, errno);
}

// Whether the bytes are the artifact's, by its SHA-256. Nobody knows the digest of a slice, so a
// slice must be a sound .kv file instead. A part that is wrong is deleted: going on with it would
// fail again and again.
Status check_bytes(const Wanted& wanted, Part& part, const std::string& actual) {
  if (!wanted.slice) {
    if (actual == wanted.sha256) return ok();
    remove_part(wanted, part);
    return upstream_failed("The bytes received are not the artifact's: SHA-256 " + actual +
                           " instead of " + wanted.sha256 + ". Nothing was kept.");
  }
  const auto report = KVCS_TRY(kvfile::verify({.path = wanted.part}));
  if (report.verdict == kvfile::Verdict::kVerified) return ok();
  remove_part(wanted, part);
  return upstream_failed("The slice received is no sound .kv file: " + report.why +
                         ". Nothing was kept.");
}

// Several connections for what is large, unless the server sends no ranges.
Status receive_all(ApiClient& api, const Wanted& wanted, Part& part, Progress& progress) {
  const bool is_whole = !wanted.id.empty() && !wanted.slice && !wanted.etag.empty();
  if (!is_whole || wanted.size_bytes - part.have < kRangesFromBytes) {
    return receive(api, wanted, part, progress);
  }
  const Status got = receive_ranges(api, wanted, part, progress);
  return got.reason() == kNoRanges ? receive(api, wanted, part, progress) : got;
}

// Repeated as repeat.h says. The URL is signed for a short time, so it is asked for again before
// each further attempt, and when its time has ended before the last range was asked for.
Status transfer(ApiClient& api, const Invocation& in, Wanted& wanted, Part& part, Repeat& repeat,
                Console& console) {
  Progress progress(console, "Downloading", wanted.size_bytes);
  bool is_first = true;
  const auto attempt = [&](bool& moved) -> Status {
    for (;;) {
      if (!std::exchange(is_first, false)) KVCS_TRY(renew_url(in, api, wanted));
      const uint64_t before = part.have;
      Status got = receive_all(api, wanted, part, progress);
      moved |= part.have > before;
      if (part.have == before || !is_expired_url(got)) return got;
    }
  };
  return part.have == wanted.size_bytes ? ok() : repeat.run("transfer", attempt);
}

// The target is looked for first, so that a name that is taken does not cost a transfer.
// Neither the file nor its sidecar, whose bytes the uploader chose, replaces anything unasked, and
// a device, a pipe or a socket is replaced by nothing.
Status check_free(const Wanted& wanted, bool force) {
  std::error_code ignored;
  const auto there = std::filesystem::status(wanted.target, ignored).type();
  using Type = std::filesystem::file_type;
  if (there != Type::not_found && there != Type::regular && there != Type::none) {
    return conflict(printable(wanted.target) +
                    " is no file that could be replaced. `--output -` writes to standard output, "
                    "which may lead there.");
  }
  const bool has_sidecar = !wanted.sidecar_json.empty();
  for (const char* const ending : {"", ".json"}) {
    if (force || (*ending != '\0' && !has_sidecar)) continue;
    if (!std::filesystem::exists(wanted.target + ending, ignored)) continue;
    return name_taken(wanted.target + ending);
  }
  return ok();
}

// All bytes into the part; then it is checked and gets its name.
Status complete(ApiClient& api, const Invocation& in, Wanted& wanted, Part& part, Repeat& repeat,
                Console& console) {
  KVCS_TRY(take_over(wanted, part));
  KVCS_TRY(transfer(api, in, wanted, part, repeat, console));
  const std::string digest = KVCS_TRY(digest_of(wanted, part, console));
  KVCS_TRY(check_bytes(wanted, part, digest));
  return publish(wanted, part, in.flag("force"));
}

Status fetch(ApiClient& api, const Invocation& in, Wanted& wanted, Repeat& repeat,
             Console& console) {
  KVCS_TRY(check_free(wanted, in.flag("force")));
  const Interrupts interrupts;
  Part part{KVCS_TRY(take_part(wanted))};
  note_download(wanted.part, wanted.target, wanted.size_bytes);
  const Status done = complete(api, in, wanted, part, repeat, console);
  if (done.ok()) {
    forget_download(wanted.part);
    return ok();
  }
  if (part.have == 0) remove_part(wanted, part);
  const std::string kept = part.have > 0 ? " " + kept_words(wanted, part) : "";
  // The process ends with this function, so it is said here.
  if (interrupted()) console.fail(interruption("Interrupted." + kept));
  if (interrupted() || kept.empty()) return done;
  const char* const stop = done.message().ends_with('.') ? "" : ".";
  return Status(done.code(), done.message() + stop + kept).with_reason(done.reason());
}

// Writes the sidecar that the uploader sent along beside the file; of a slice the part of it that
// describes the slice. Artifacts without one get none.
Status restore_sidecar(const Wanted& wanted) {
  if (wanted.sidecar_json.empty()) return ok();
  const auto sidecar = kvfile::parse_sidecar(wanted.sidecar_json);
  KVCS_TRY(sidecar.status());
  if (!wanted.slice) return kvfile::write_sidecar(wanted.target, *sidecar);
  const auto file = KVCS_TRY(kvfile::KvFile::open(wanted.target));
  return kvfile::write_sidecar(wanted.target,
                               kvfile::slice_sidecar(*sidecar, file->header(), *wanted.slice));
}

// A range that reaches beyond the end was cut there, and the user is told.
void note_shortened(const Wanted& wanted, Console& console) {
  if (!wanted.slice) return;
  const auto file = kvfile::KvFile::open(wanted.target);
  const std::string words =
      file.ok() ? kvfile::shortened(*wanted.slice, (*file)->header()) : std::string();
  if (!words.empty()) console.note("The artifact's " + words + ".");
}

// To standard output: a slice is checked as a file, and so must be one.
int run_to_stdout(const Invocation& in, Console& console) {
  if (in.optional_text("tokens") || in.optional_text("layers")) {
    return console.fail(
        invalid("--output -: a slice is checked as a file, before it is given away; name one."));
  }
  return cat(in, console);
}

// A sidecar that cannot be written is only noted: the artifact itself is there and checked.
int run_download(const Invocation& in, Console& console) {
  if (in.text("output") == kStdout) return run_to_stdout(in, console);
  ApiClient api(settings_for(in));
  if (!api.settings().fault.ok()) return console.fail(api.settings().fault);
  Repeat repeat(repeat_hooks(console));
  auto found = find_wanted(in, api, repeat, console, Cut::kAsAsked);
  if (!found.ok()) return console.fail(found.status());
  Wanted wanted{std::move(*found), {}, {}};
  choose_paths(in, wanted);
  const Status done = fetch(api, in, wanted, repeat, console);
  if (!done.ok()) return console.fail(done);
  note_shortened(wanted, console);
  const Status sidecar = restore_sidecar(wanted);
  if (!sidecar.ok()) {
    console.note("The sidecar was not written: " + printable(sidecar.message()));
  }
  if (console.mode().json) {
    Json json{{"path", wanted.target}, {"size_bytes", wanted.size_bytes}};
    if (!wanted.id.empty()) json["artifact_id"] = wanted.id;
    if (!wanted.slice) json["sha256"] = wanted.sha256;
    console.print_json(json);
  } else {
    console.print(console.mode().quiet
                      ? wanted.target
                      : "Downloaded " + printable(wanted.target) + " (" +
                            format_bytes(wanted.size_bytes) +
                            (wanted.slice ? ", a slice)" : ", SHA-256 " + wanted.sha256 + ")"));
  }
  return kExitOk;
}

}  // namespace

std::vector<Command> download_commands() {
  std::vector<Option> options = wanted_options();
  options.push_back({.name = "--tokens",
                     .help = "Only from token a up to, not including, b.",
                     .value_name = "a:b"});
  options.push_back({.name = "--layers", .help = "Only these layers.", .value_name = "x:y"});
  options.push_back({.name = "-o,--output",
                     .help = "Where to; else into this folder, by its own name; \"-\": standard "
                             "output.",
                     .value_name = "PATH"});
  options.push_back({.name = "--force", .kind = ValueKind::kFlag, .help = "Replace a file."});
  return {{.name = "download",
           .summary = "Fetch an artifact, check its digest, then put it in place.",
           .options = std::move(options),
           .examples = {{"kvcs download 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f -o context.kv",
                         "A broken download goes on where it stopped."},
                        {"kvcs download 3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f --tokens 0:1024 "
                         "-o prefix.kv",
                         "The server cuts; only the first 1024 tokens travel."},
                        {"kvcs download https://kvcs.example.com/share/TOKEN -o shared.kv",
                         "A share link, or a public URL; no key is needed, and none is sent."}},
           .run = run_download,
           .details =
               "Its own name is made safe for a file, and has \".kv\" behind it. Only a file is "
               "ever replaced, and only with --force; what a link leads to is replaced there."}};
}

}  // namespace kvcs::cli

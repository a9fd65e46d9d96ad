// Makes reports about .kv bytes on a thread of its own, and keeps them by digest.
#include "artifacts/inspector.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>

#include "artifacts/recent_values.h"
#include "artifacts/slice_cache.h"
#include "base/bytes.h"
#include "base/mutex.h"
#include "base/start_thread.h"
#include "base/wait.h"
#include "kvfile/format/parallel.h"
#include "kvfile/tools/figures.h"

namespace kvcs {
namespace {

constexpr int kWaitMaxMs = 1000;  // Of one wait; a loop waits on.
constexpr int kBusyRetryAfterS = 2;
constexpr size_t kKeptReports = 64;
constexpr uint64_t kKeptBytes = 4 << 20;
// Of what the file says about itself.
constexpr size_t kMetadataMembers = 64, kMetadataBytes = 200;
constexpr size_t kLayersShown = 1024;  // A report of more would be megabytes.
constexpr size_t kPreviewIds = 64, kPreviewTextBytes = 400;

Status not_inspectable(std::string_view why) {
  return invalid("The bytes of this artifact cannot be inspected: " + std::string(why) + ".")
      .with_reason("not_inspectable");
}

// No more than so many bytes, cut between characters.
std::string cut(std::string_view text, size_t max_bytes) {
  if (text.size() <= max_bytes) return std::string(text);
  size_t end = max_bytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) end--;
  return std::string(text.substr(0, end));
}

Json metadata_json(const kvfile::KvHeader& header) {
  Json all = Json::object();
  for (const auto& [name, value] : header.metadata) {
    if (all.size() == kMetadataMembers) break;
    if (name.size() <= kMetadataBytes) all[name] = cut(value, kMetadataBytes);
  }
  return all;
}

// The first token ids of the file's own tensor, and the beginning of the text that it names.
Result<Json> tokens_json(const kvfile::KvFile& file) {
  const kvfile::KvHeader& header = file.header();
  Json tokens{{"count", nullptr}, {"preview", Json::array()}, {"text", nullptr}};
  if (const std::string* const prompt = kvfile::recorded_prompt(header, {})) {
    tokens["text"] = cut(*prompt, kPreviewTextBytes);
  }
  const kvfile::Tensor* const tensor = header.find("tokens");
  if (tensor == nullptr) return tokens;
  tokens["count"] = header.tokens;
  std::string bytes(4 * std::min<uint64_t>(kPreviewIds, header.tokens), '\0');
  KVCS_TRY(file.read(*tensor, 0, bytes.data(), bytes.size()));
  for (size_t at = 0; at < bytes.size(); at += 4) {
    tokens["preview"].push_back(load_u32le(bytes.data() + at));
  }
  return tokens;
}

Json part_json(const kvfile::PartStats& stats) {
  if (stats.values == 0) return nullptr;
  Json part = kvfile::stats_json(stats);
  part["values"] = stats.values;
  part["zero_share"] = static_cast<double>(stats.zeros) / static_cast<double>(stats.values);
  return part;
}

Result<Json> make_report(const BlobReader& reader, const InspectLimits& limits,
                         const std::atomic<bool>& is_stopping) {
  const int64_t ends_ms = steady_ms() + limits.time_max_ms;
  auto opened = kvfile::KvFile::from_bytes(blob_source(reader), reader.size_bytes());
  if (opened.code() == Code::kInvalid) return not_inspectable(opened.status().message());
  const auto file = KVCS_TRY(std::move(opened));
  const kvfile::KvHeader& header = file->header();
  const auto is_over = [&] { return is_stopping || steady_ms() > ends_ms; };
  auto sampled = kvfile::sample_stats(*file, {.values_max = limits.values_max, .stops = is_over});
  if (sampled.code() == Code::kInvalid) return not_inspectable(sampled.status().message());
  const kvfile::StatsSample sample = KVCS_TRY(std::move(sampled));
  Json report = kvfile::geometry_json(header);
  report["quantized"] = header.quantized();
  report["header_bytes"] = header.data_start;
  report["tensors"] = header.tensors.size();
  report["metadata"] = metadata_json(header);
  report["tokens_preview"] = KVCS_TRY(tokens_json(*file));
  report["read"] = {{"values", sample.values},
                    {"values_read", sample.values_read},
                    {"is_sample", !sample.is_whole()}};
  Json rows = kvfile::layers_json(header, {});
  if (rows.size() > kLayersShown) rows.erase(rows.begin() + kLayersShown, rows.end());
  for (size_t layer = 0; layer < rows.size(); layer++) {
    rows[layer]["keys"] = part_json(sample.layers[layer].keys);
    rows[layer]["values"] = part_json(sample.layers[layer].values);
  }
  report["per_layer"] = std::move(rows);
  return report;
}

}  // namespace

// One report. Owners: the requests that wait for it, and the queue or the thread that makes it,
// since a request whose client has gone waits no longer.
struct ArtifactInspector::Job {
  std::string organization_id, sha256;
  std::shared_ptr<const BlobReader> reader;
  Report made;
  kvfile::FirstFault fault;  // Of the thread, also for want of memory.
  std::atomic<bool> is_done{false};
  Event done;
  size_t requests = 1;  // That wait for it; guarded by Impl::mutex.
};

struct ArtifactInspector::Impl {
  explicit Impl(InspectLimits wanted) : limits(wanted) {}

  const InspectLimits limits;
  RecentValues<Json> reports{kKeptReports, kKeptBytes};
  std::atomic<bool> is_stopping{false};  // Changes under the mutex only.
  Mutex mutex;
  CondVar wake;
  std::deque<std::shared_ptr<Job>> jobs KVCS_GUARDED_BY(mutex);
  // By organization.
  std::map<std::string, std::shared_ptr<Job>, std::less<>> under_way KVCS_GUARDED_BY(mutex);
  std::vector<Thread> threads KVCS_GUARDED_BY(mutex);  // One, from the first report on.

  std::shared_ptr<Job> next() {
    MutexLock lock(mutex);
    while (jobs.empty() && !is_stopping) wake.wait(mutex);
    if (is_stopping) return nullptr;
    std::shared_ptr<Job> job = std::move(jobs.front());
    jobs.pop_front();
    return job;
  }
  // Whoever has got a report may ask for the next one: its place is free before.
  void work() {
    while (const std::shared_ptr<Job> job = next()) {
      (void)job->fault.run([&] { return make(*job); });
      job->reader.reset();
      {
        MutexLock lock(mutex);
        under_way.erase(job->organization_id);
      }
      job->is_done.store(true, std::memory_order_release);
      job->done.signal();
    }
  }
  Status make(Job& job) {
    Json report = KVCS_TRY(make_report(*job.reader, limits, is_stopping));
    const uint64_t size_bytes = dump_json(report).size();
    job.made = std::make_shared<const Json>(std::move(report));
    reports.keep(job.sha256, job.made, size_bytes);
    return ok();
  }
  // The job that the request waits for: this one, or one of the same bytes that is under way, and
  // then this one's reader is closed.
  Result<std::shared_ptr<Job>> enqueue(std::shared_ptr<Job> job) {
    MutexLock lock(mutex);
    const auto running = under_way.find(job->organization_id);
    if (running != under_way.end()) {
      const std::shared_ptr<Job>& other = running->second;
      if (other->sha256 != job->sha256) {
        return rate_limited(
                   "Another artifact of this organization is being inspected, and one is at a "
                   "time. Ask again when that has ended.",
                   kBusyRetryAfterS)
            .with_reason("inspect_running");
      }
      if (other->requests >= limits.requests_max) {
        return rate_limited(std::to_string(other->requests) +
                                " requests wait for this report, and no more may. Ask again when "
                                "it is made.",
                            kBusyRetryAfterS)
            .with_reason("inspect_running");
      }
      other->requests++;
      return other;
    }
    if (jobs.size() >= limits.waiting_max) {
      return unavailable("Too many artifacts wait to be inspected. Ask again later.")
          .with_retry_after_s(kBusyRetryAfterS)
          .with_reason("inspect_busy");
    }
    if (threads.empty()) {
      threads.reserve(1);
      threads.push_back(KVCS_TRY(start_thread("inspect", [this] { work(); })));
    }
    under_way.emplace(job->organization_id, job);
    jobs.push_back(job);
    wake.notify_one();
    return job;
  }
  // What nobody waits for any more is not begun.
  void abandon(const std::shared_ptr<Job>& job) {
    MutexLock lock(mutex);
    if (--job->requests > 0) return;
    if (std::erase(jobs, job) > 0) under_way.erase(job->organization_id);
  }
};

ArtifactInspector::ArtifactInspector(InspectLimits limits) : impl_(new Impl(limits)) {}

ArtifactInspector::~ArtifactInspector() {
  std::vector<Thread> threads;
  {
    MutexLock lock(impl_->mutex);
    impl_->is_stopping = true;
    threads = std::move(impl_->threads);
  }
  impl_->wake.notify_all();
}

Result<ArtifactInspector::Report> ArtifactInspector::inspect(
    const Artifact& artifact, std::shared_ptr<const BlobReader> reader) {
  if (const Report known = impl_->reports.find(artifact.sha256)) return known;
  auto wanted = std::make_shared<Job>();
  wanted->organization_id = artifact.organization_id;
  wanted->sha256 = artifact.sha256;
  wanted->reader = std::move(reader);
  const std::shared_ptr<Job> job = KVCS_TRY(impl_->enqueue(std::move(wanted)));
  while (!job->is_done.load(std::memory_order_acquire)) {
    const uint64_t seen = job->done.count();
    if (job->is_done.load(std::memory_order_acquire)) break;
    if (wait_for_event(job->done, seen, kWaitMaxMs) == Waiter::Woken::kClientGone) {
      impl_->abandon(job);
      return client_gone();
    }
  }
  KVCS_TRY(job->fault.take());
  return job->made;
}

}  // namespace kvcs

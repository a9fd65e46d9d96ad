// Reads and writes clock.json.
#include "app/clock_file.h"

#include <optional>

#include "base/boot_id.h"
#include "base/file.h"
#include "base/log.h"

namespace kvcs {
namespace {

constexpr size_t kFileMaxBytes = 4096;
constexpr int64_t kToldBehindMs = 60'000;

Result<KeptTimes> read_times(const std::string& path) {
  return parse_kept_times(KVCS_TRY(read_small_file(path, kFileMaxBytes)));
}

}  // namespace

std::string clock_file_path(const std::string& data_dir) {
  return data_dir + "/clock.json";
}

std::unique_ptr<KeptClock> open_kept_clock(const std::string& data_dir, const Clock& wall) {
  const std::string path = clock_file_path(data_dir);
  Result<KeptTimes> before = read_times(path);
  if (!before.ok() && before.code() != Code::kNotFound) {
    log::warn("clock.file_unreadable", {{"path", path}, {"error", before.status().to_string()}});
  }
  auto clock = std::make_unique<KeptClock>(wall, boot_id(),
                                           before.ok() ? std::optional(*before) : std::nullopt);
  const int64_t latest_ms = clock->latest().unix_ms();
  if (latest_ms - wall.unix_ms() > kToldBehindMs) {
    log::warn("clock.behind",
              {{"clock", format_iso8601_s(wall.unix_ms())},
               {"latest", format_iso8601_s(latest_ms)},
               {"message",
                "The clock is behind the latest time that this daemon has seen, which "
                "keys and links still end by. Set it right; if the later time was the "
                "wrong one, stop the daemon and remove " +
                    path + "."}});
  }
  return clock;
}

Status keep_clock(const std::string& data_dir, KeptClock& clock) {
  return write_private_file(clock_file_path(data_dir), to_json(clock.look()));
}

}  // namespace kvcs

// The file clock.json of the data directory: what the daemon's next life must know of the time, so
// that a clock which is wrong at a start neither revives a credential nor ends what is kept for a
// while. Functions without state. Removed while the daemon is stopped, the clock is believed anew.
#pragma once
#include <memory>
#include <string>

#include "base/kept_clock.h"
#include "base/status.h"

namespace kvcs {

std::string clock_file_path(const std::string& data_dir);
// A file that cannot be read is told in the log, and the clock is believed: it holds no data.
std::unique_ptr<KeptClock> open_kept_clock(const std::string& data_dir, const Clock& wall);
// Looks at the clock and writes the file. To be called each minute, and at the end.
Status keep_clock(const std::string& data_dir, KeptClock& clock);

}  // namespace kvcs

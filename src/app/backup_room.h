// Whether the disk has room for a backup. A daemon whose key-value store stops for want of space
// has paid too much for a copy of it. Functions without state. Internal to backup.cc.
#pragma once
#include "base/status.h"

namespace kvcs {

struct Config;

// Before a copy: what it will write, as the stores are now, must leave kv.free_reserve_bytes free
// where the stores lie on the same disk. Unavailable with reason disk_full and the figures.
Status check_room_for_backup(const Config& config);
// Meanwhile: that much is still free. Costs one look at the file system.
Status check_reserve_is_left(const Config& config);

}  // namespace kvcs

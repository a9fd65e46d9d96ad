// Which boot of the machine this is: what a process wrote to files is there for the next one of the
// same boot, synced or not. Thread-safe.
#pragma once
#include <string>

namespace kvcs {

// The kernel's identifier; "" where it has none.
std::string boot_id();
// Tests that cut the power begin another boot. Before other threads ask.
void set_boot_id(std::string id);

}  // namespace kvcs

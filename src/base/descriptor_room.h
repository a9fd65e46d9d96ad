// The descriptors that the stores keep for themselves. A store that cannot open a file stops its
// writes, so what a caller opens (a connection, a file to send or receive, a connection to another
// server) stays outside of the last descriptors of the process; only the stores go further.
//
// The kernel gives the lowest free number: the number of a new descriptor tells how many are open
// at least, without a count. Functions; any thread.
#pragma once
#include <cstdint>

#include "base/status.h"

namespace kvcs {

// What the process may open (RLIMIT_NOFILE).
uint64_t descriptor_limit();
// Raises it to what the system allows the process, as far as is of use: the lower number that a
// shell or a supervisor gives by default is for programs that use select(2). At the start only.
void raise_descriptor_limit();
// How many of `limit` are the stores' own: a quarter, 64 at least and 1024 at most.
uint64_t store_descriptors(uint64_t limit);
// Whether a caller may keep this descriptor, which it has just been given.
bool leaves_room(int descriptor);
// Unavailable, for a caller that may not, or got none.
Status no_descriptors_left();

}  // namespace kvcs

// Which allocations of a daemon with alloc_fault.cc fail: a structure in a file that the test and
// the daemon map together.
#pragma once

namespace kvcs::test {

struct AllocPlan {
  int armed = 0;            // 0: nothing is counted, and nothing fails.
  int first = 0, last = 0;  // The numbers of the allocations that fail, from 1; both included.
  int seen = 0;             // Allocations counted so far.
  int failed = 0;           // Allocations that failed.
};

}  // namespace kvcs::test

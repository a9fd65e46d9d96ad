// What the library of disk_fault.c is to do: a structure in a file that the test and the daemon map
// together, so that the test can change its mind while the daemon runs. C and C++.
#pragma once

enum {
  FAULT_WRITE = 1,   /* write, pwrite */
  FAULT_SYNC = 2,    /* fdatasync, fsync */
  FAULT_OPEN = 4,    /* open for writing */
  FAULT_RESERVE = 8, /* fallocate, ftruncate */
  FAULT_RENAME = 16,
  FAULT_UNLINK = 32
};

/* In the place of an errno: the call does not fail but waits until the plan is another one. */
enum { FAULT_HANG = -1 };

struct fault_plan {
  int calls;        /* The kinds of calls that are counted, and fail; 0: none. */
  int error;        /* The errno of a call that fails, or FAULT_HANG. */
  int first, last;  /* The numbers of the calls that fail, from 1; both included. */
  int seen;         /* Calls counted so far. */
  int failed;       /* Calls that failed. */
  char below[1024]; /* Only files whose path begins so. */
};

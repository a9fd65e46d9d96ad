// What the hello servers share: the answer that each of them gives, and how many threads they
// start. A server prints its port and serves until it is killed. In C, as one of the libraries is.
#pragma once
#include <stdio.h>
#include <unistd.h>

#define HELLO_BODY "{\"message\":\"Hello, World!\"}"
#define HELLO_TYPE "application/json"

static inline int hello_threads(void) {
  const long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? (int)online : 1;
}

static inline void hello_ready(int port) {
  printf("%d\n", port);
  fflush(stdout);
}

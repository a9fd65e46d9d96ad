/* A library to preload (LD_PRELOAD) into the daemon: calls that write below a folder fail by the
   plan in the file that DISK_FAULT_PLAN names. Everything else goes to the C library as it came. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fault_plan.h"

#define FILES_MAX 65536

static struct fault_plan* plan;
static char is_below[FILES_MAX]; /* By descriptor. */

__attribute__((constructor)) static void map_plan(void) {
  const char* path = getenv("DISK_FAULT_PLAN");
  if (path == NULL) return;
  int (*real_open)(const char*, int, ...) = dlsym(RTLD_NEXT, "open");
  const int file = real_open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void* mapped = mmap(NULL, sizeof(struct fault_plan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (mapped != MAP_FAILED) plan = mapped;
}

static int is_planned_path(const char* path) {
  return plan != NULL && strncmp(path, plan->below, strlen(plan->below)) == 0;
}

/* Whether this call, one of the kind `call` on a file that is meant, fails; sets errno. */
static int fails(int call) {
  if ((__atomic_load_n(&plan->calls, __ATOMIC_ACQUIRE) & call) == 0) return 0;
  const int number = __atomic_add_fetch(&plan->seen, 1, __ATOMIC_ACQ_REL);
  if (number < __atomic_load_n(&plan->first, __ATOMIC_ACQUIRE)) return 0;
  if (number > __atomic_load_n(&plan->last, __ATOMIC_ACQUIRE)) return 0;
  __atomic_add_fetch(&plan->failed, 1, __ATOMIC_ACQ_REL);
  if (plan->error == FAULT_HANG) {
    while (__atomic_load_n(&plan->calls, __ATOMIC_ACQUIRE) & call) poll(NULL, 0, 2);
    return 0;
  }
  errno = plan->error;
  return 1;
}

static int file_fails(int file, int call) {
  return plan != NULL && file >= 0 && file < FILES_MAX && is_below[file] && fails(call);
}

static int open_noted(const char* name, const char* path, int flags, mode_t mode) {
  int (*real)(const char*, int, ...) = dlsym(RTLD_NEXT, name);
  const int meant = is_planned_path(path);
  if (meant && (flags & O_ACCMODE) != O_RDONLY && fails(FAULT_OPEN)) return -1;
  const int file = real(path, flags, mode);
  if (file >= 0 && file < FILES_MAX) is_below[file] = (char)meant;
  return file;
}

int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return open_noted("open", path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = va_arg(arguments, mode_t);
  va_end(arguments);
  return open_noted("open64", path, flags, mode);
}

int close(int file) {
  static int (*real)(int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "close");
  if (file >= 0 && file < FILES_MAX) is_below[file] = 0;
  return real(file);
}

ssize_t write(int file, const void* bytes, size_t size) {
  static ssize_t (*real)(int, const void*, size_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "write");
  return file_fails(file, FAULT_WRITE) ? -1 : real(file, bytes, size);
}

ssize_t pwrite(int file, const void* bytes, size_t size, off_t at) {
  static ssize_t (*real)(int, const void*, size_t, off_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "pwrite");
  return file_fails(file, FAULT_WRITE) ? -1 : real(file, bytes, size, at);
}

ssize_t pwrite64(int file, const void* bytes, size_t size, off64_t at) {
  return pwrite(file, bytes, size, at);
}

int fdatasync(int file) {
  static int (*real)(int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "fdatasync");
  return file_fails(file, FAULT_SYNC) ? -1 : real(file);
}

int fsync(int file) {
  static int (*real)(int);
  if (real == NULL) real = dlsym(RTLD_NEXT, "fsync");
  return file_fails(file, FAULT_SYNC) ? -1 : real(file);
}

int fallocate(int file, int mode, off_t at, off_t size) {
  static int (*real)(int, int, off_t, off_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "fallocate");
  return file_fails(file, FAULT_RESERVE) ? -1 : real(file, mode, at, size);
}

int ftruncate(int file, off_t size) {
  static int (*real)(int, off_t);
  if (real == NULL) real = dlsym(RTLD_NEXT, "ftruncate");
  return file_fails(file, FAULT_RESERVE) ? -1 : real(file, size);
}

int ftruncate64(int file, off64_t size) {
  return ftruncate(file, size);
}

int rename(const char* from, const char* to) {
  static int (*real)(const char*, const char*);
  if (real == NULL) real = dlsym(RTLD_NEXT, "rename");
  return is_planned_path(to) && fails(FAULT_RENAME) ? -1 : real(from, to);
}

int unlink(const char* path) {
  static int (*real)(const char*);
  if (real == NULL) real = dlsym(RTLD_NEXT, "unlink");
  return is_planned_path(path) && fails(FAULT_UNLINK) ? -1 : real(path);
}

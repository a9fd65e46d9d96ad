// The count of locks that the calling thread holds: the one thread-local variable behind mutex.h,
// touched by these three functions only.
#include "base/mutex.h"

namespace kvcs {
namespace {

constinit thread_local int t_locks_held = 0;

}  // namespace

__attribute__((noinline)) int locks_held() {
  return t_locks_held;
}
__attribute__((noinline)) void count_locked() {
  ++t_locks_held;
}
__attribute__((noinline)) void count_unlocked() {
  --t_locks_held;
}

}  // namespace kvcs

// Fibers over Boost.Context: a stack with a guard page each, switched by a dozen instructions, and
// what the sanitizers must be told so that they follow the switches.
#include "base/fiber.h"

#include <boost/context/fiber.hpp>
#include <boost/context/protected_fixedsize_stack.hpp>

#include <exception>
#include <new>

#include "base/mutex.h"
#include "base/status.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif
#if defined(KVCS_TSAN_FIBERS)
#include <sanitizer/tsan_interface.h>
#endif

namespace kvcs {
namespace {

namespace context = boost::context;

#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStackBytes = 4 << 20;  // Its frames are several times larger.
#else
constexpr size_t kStackBytes = 1 << 20;
#endif

// Tells the sanitizers who runs on which stack. Empty in a release. ThreadSanitizer keeps a list of
// open calls for each fiber: the switch must not be inside a call that it sees begin and not end.
// Therefore this file is compiled without it (Makefile), which defines KVCS_TSAN_FIBERS.
class Switches final {
 public:
  void stack(const void* low, size_t size_bytes) {
    low_ = low;
    size_bytes_ = size_bytes;
#if defined(__SANITIZE_ADDRESS__)
    // The last calls of the fiber that used this stack before may have left their marks.
    __asan_unpoison_memory_region(low, size_bytes);
#endif
  }
#if defined(__SANITIZE_ADDRESS__)
  void before_entering() {
    __sanitizer_start_switch_fiber(&outer_fake_, low_, size_bytes_);
  }
  void after_leaving() {
    __sanitizer_finish_switch_fiber(outer_fake_, nullptr, nullptr);
  }
  void entered() {
    __sanitizer_finish_switch_fiber(inner_fake_, &outer_low_, &outer_bytes_);
  }
  void before_leaving(bool for_good) {
    __sanitizer_start_switch_fiber(for_good ? nullptr : &inner_fake_, outer_low_, outer_bytes_);
  }
#elif defined(KVCS_TSAN_FIBERS)
  Switches() : inner_(__tsan_create_fiber(0)) {}
  ~Switches() {
    __tsan_destroy_fiber(inner_);
  }
  Switches(const Switches&) = delete;
  Switches& operator=(const Switches&) = delete;
  void before_entering() {
    outer_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(inner_, 0);
  }
  void after_leaving() {}
  void entered() {}
  void before_leaving(bool) {
    __tsan_switch_to_fiber(outer_, 0);
  }
#else
  void before_entering() {}
  void after_leaving() {}
  void entered() {}
  void before_leaving(bool) {}
#endif

 private:
  const void* low_ = nullptr;
  size_t size_bytes_ = 0;
#if defined(__SANITIZE_ADDRESS__)
  void *outer_fake_ = nullptr, *inner_fake_ = nullptr;
  const void* outer_low_ = nullptr;
  size_t outer_bytes_ = 0;
#elif defined(KVCS_TSAN_FIBERS)
  void *inner_ = nullptr, *outer_ = nullptr;
#endif
};

}  // namespace

// Two contexts that point at each other: `inside` is the suspended body while the fiber rests,
// `outside` the thread that resumed it while the body runs. Each switch leaves through one and
// comes back as the other, which may be another thread's by then.
struct Fiber::Impl {
  explicit Impl(std::function<void()> body_in) : body(std::move(body_in)) {
    stack = allocator.allocate();
    switches.stack(static_cast<char*>(stack.sp) - stack.size, stack.size);
  }
  ~Impl() {
    // The context, once it is begun, frees the stack at its end.
    if (!begun) allocator.deallocate(stack);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void begin() {
    begun = true;
    const context::preallocated place(stack.sp, stack.size, stack);
    inside = context::fiber(std::allocator_arg, place, allocator, [this](context::fiber&& caller) {
      outside = std::move(caller);
      switches.entered();
      body();
      ended = true;
      switches.before_leaving(true);
      return std::move(outside);
    });
  }

  const std::function<void()> body;
  context::protected_fixedsize_stack allocator{kStackBytes};
  context::stack_context stack;
  Switches switches;
  context::fiber inside, outside;
  bool begun = false, ended = false;
};

Fiber::Fiber(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Fiber::~Fiber() {
  KVCS_ASSERT(!impl_->begun || impl_->ended);
}

std::unique_ptr<Fiber> Fiber::create(std::function<void()> body) {
  try {
    return std::unique_ptr<Fiber>(new Fiber(std::make_unique<Impl>(std::move(body))));
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

void Fiber::resume() {
  KVCS_ASSERT(!impl_->ended);
  if (!impl_->begun) impl_->begin();
  impl_->switches.before_entering();
  impl_->inside = std::move(impl_->inside).resume();
  impl_->switches.after_leaving();
}

// The assertions hold the rules of fiber.h. Without them a broken rule would show far from here: as
// a mutex that another thread unlocks, or as the exception of another request.
void Fiber::suspend() {
  const bool holds_no_lock = locks_held() == 0;
  KVCS_ASSERT(holds_no_lock);
  const bool is_not_unwinding = std::uncaught_exceptions() == 0;
  KVCS_ASSERT(is_not_unwinding);
  const bool is_not_in_catch = std::current_exception() == nullptr;
  KVCS_ASSERT(is_not_in_catch);
  impl_->switches.before_leaving(false);
  impl_->outside = std::move(impl_->outside).resume();
  impl_->switches.entered();
}

bool Fiber::ended() const {
  return impl_->ended;
}

}  // namespace kvcs

// A named thread, joined by its destructor. The body must end when its owner asks it to.
#pragma once
#include <pthread.h>

#include <functional>
#include <string>
#include <thread>

namespace kvcs {

class Thread final {
 public:
  Thread() = default;
  Thread(const char* name, std::function<void()> body)
      : thread_([name = std::string(name).substr(0, 15), body = std::move(body)] {
          pthread_setname_np(pthread_self(), name.c_str());
          body();
        }) {}
  Thread(Thread&&) noexcept = default;
  Thread& operator=(Thread&&) = delete;
  ~Thread() { join(); }
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::thread thread_;
};

}  // namespace kvcs

// A child process that is expected to abort on a failed assertion. For the thread of the test case;
// the child is a copy of this one thread.
#pragma once
#include <functional>
#include <string>

namespace kvcs::test {

// What `body` wrote to stderr before it aborted, in a child process; "" when it did not abort.
std::string death_of(const std::function<void()>& body);

}  // namespace kvcs::test

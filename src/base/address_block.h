// The unit in which client addresses are counted: an IPv4 address by itself, of IPv6 the /64, since
// one connection to the network owns a whole /64 and can send from each of its addresses. Pure.
#pragma once
#include <string>
#include <string_view>

namespace kvcs {

// "203.0.113.9" for itself and for "::ffff:203.0.113.9"; "2001:db8:1:2::/64" for whatever lies in
// it. What is no address (a test's name) stands for itself.
std::string address_block(std::string_view ip);

}  // namespace kvcs

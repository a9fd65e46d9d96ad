// Whether a name stands for this machine, for settings and addresses that may be of no other. Pure.
#pragma once
#include <string_view>

namespace kvcs {

// "localhost" in any case, 127.0.0.0/8 (RFC 1122 §3.2.1.3) in numbers, "::1" and "[::1]". A name
// that only begins like one of them is another's.
bool is_loopback_host(std::string_view host);
// The same of "host", "host:port" and "[::1]:port". What holds a user name is no such authority.
bool is_loopback_authority(std::string_view authority);
// Of an http or https URL, whatever its path.
bool is_loopback_url(std::string_view url);

}  // namespace kvcs

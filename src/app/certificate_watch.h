// Tells of a TLS certificate that ends soon, while there is time to renew it: a renewal that
// stopped working is else noticed by the first client that is refused. Functions of what the server
// has loaded; any thread, once the server is built.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

namespace kvcs {

struct Parts;

inline constexpr int64_t kCertificateWarningDays = 21;

// A sentence for people when the certificate ends within kCertificateWarningDays or has ended.
std::optional<std::string> certificate_warning(const Parts& parts);
// The same as a line in the log and as the alert tls.expiring.
void tell_of_certificate(Parts& parts);

}  // namespace kvcs

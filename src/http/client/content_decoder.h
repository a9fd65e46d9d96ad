// Answers of other servers without their content codings, whatever the request accepted: without
// an Accept-Encoding any coding is allowed (RFC 9110 §12.5.3), and some servers use one in spite of
// "identity".
#pragma once
#include <memory>

#include "base/status.h"
#include "http/client/upstream.h"

namespace kvcs::http {

// The response itself when it has no coding. Else one that reads from it and decodes as the bytes
// come (gzip, x-gzip, deflate, br, zstd, and one upon the other), and whose headers() have neither
// content-encoding nor content-length. Its read() fails as that of the response does, and with
// Upstream, reason "bad_coding", where the coding is broken or cut or a few bytes stand for far
// more text than answers have. Upstream, "bad_coding": a coding that is not known.
Result<std::unique_ptr<UpstreamResponse>> decode_content(
    std::unique_ptr<UpstreamResponse> response);

}  // namespace kvcs::http

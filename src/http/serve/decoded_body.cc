// Reads an encoded request body and counts its text.
#include "http/serve/decoded_body.h"

#include <string>

namespace kvcs::http {

Result<size_t> DecodedBody::read(std::span<char> out) {
  if (out.empty()) return body_.read(out);
  const size_t n =
      KVCS_TRY(decoders_.read([this](std::span<char> room) { return body_.read(room); }, out));
  given_bytes_ += n;
  if (given_bytes_ > max_bytes_) {
    return too_large("The decoded request body is over the limit of " + std::to_string(max_bytes_) +
                     " bytes.");
  }
  return n;
}

}  // namespace kvcs::http

// Passwords as argon2id (RFC 9106): 64 MiB of memory and two passes, libsodium's "interactive". One
// call takes a tenth of a second of a processor, so that requests leave it to other threads. Pure
// functions.
#pragma once
#include <optional>
#include <string>

#include "base/secret.h"

namespace kvcs {

// Text that holds salt and parameters; "" when there is no memory for it.
std::string hash_password(const Secret& password);
// Whether the hash, which hash_password() gave, is of this password; its own parameters count.
// Nothing when there is no memory to tell.
std::optional<bool> password_fits(const Secret& password, const std::string& hash);

}  // namespace kvcs

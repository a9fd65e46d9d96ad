// Who sent a webhook: Stripe signs the bytes of the body and the time with a secret that only it
// and the operator know (header Stripe-Signature, scheme v1). A pure function.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/secret.h"
#include "base/status.h"

namespace kvcs::portal {

inline constexpr int64_t kSignatureToleranceS = 300;

// Ok when one of the header's signatures was made with one of the secrets, not longer ago than the
// tolerance. Invalid with reason webhook_signature_invalid otherwise.
Status check_webhook_signature(std::string_view header, std::string_view body,
                               const std::vector<Secret>& secrets, int64_t now_s);

}  // namespace kvcs::portal

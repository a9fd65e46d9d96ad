// Starts libcurl at the first call, where later calls do nothing, and knows its codes.
#include "http/client/curl_common.h"

#include <curl/curl.h>

#include "base/status.h"

namespace kvcs::http {

void init_curl_once() {
  static const CURLcode outcome = curl_global_init(CURL_GLOBAL_DEFAULT);
  KVCS_ASSERT(outcome == CURLE_OK);
}

bool is_tls_failure(int code) {
  switch (code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
      return true;
    default:
      return false;
  }
}

}  // namespace kvcs::http

// Starts libcurl at the first call; later calls do nothing.
#include "http/client/curl_start.h"

#include <curl/curl.h>

#include "base/status.h"

namespace kvcs::http {

void init_curl_once() {
  static const CURLcode outcome = curl_global_init(CURL_GLOBAL_DEFAULT);
  KVCS_ASSERT(outcome == CURLE_OK);
}

}  // namespace kvcs::http

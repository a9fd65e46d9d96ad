// Compares the end of the certificate with the clock.
#include "app/certificate_watch.h"

#include "app/parts.h"
#include "base/clock.h"
#include "base/counted.h"
#include "base/entropy.h"
#include "base/log.h"
#include "http/serve/server.h"
#include "kv/kv.h"
#include "ledger/alerts.h"

namespace kvcs {

std::optional<std::string> certificate_warning(const Parts& parts) {
  const int64_t end_s = parts.server ? parts.server->certificate_expires_s() : 0;
  if (end_s == 0) return std::nullopt;
  const int64_t left_s = end_s - parts.clock().unix_ms() / 1000;
  if (left_s > kCertificateWarningDays * 86'400) return std::nullopt;
  const std::string when = format_iso8601_s(end_s * 1000);
  const std::string renew = " Renew " + parts.config.http.server.tls.certificate_path +
                            " and send SIGHUP, which makes the daemon read it again.";
  if (left_s <= 0) return "The TLS certificate ended at " + when + ": clients refuse it." + renew;
  return "The TLS certificate ends at " + when + ", in " + counted(left_s / 86'400, "day") + "." +
         renew;
}

void tell_of_certificate(Parts& parts) {
  const std::optional<std::string> message = certificate_warning(parts);
  if (!message) return;
  log::warn("tls.expiring", {{"message", *message}});
  raise_alert(*parts.kv, {"tls.expiring", "certificate", *message}, parts.clock(), *parts.entropy);
}

}  // namespace kvcs

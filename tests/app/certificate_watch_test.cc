// Goal: a certificate that ends soon is told by the log, an alert, /health and a metric while there
// is time to renew it, and a fresh one is not. Method: the whole daemon with certificates made here
// and a clock that is set.
#include "app/certificate_watch.h"

#include "ledger/ledger.h"
#include "support/certificate.h"
#include "support/raw_client.h"
#include "support/test_app.h"

using namespace kvcs;
using namespace kvcs::test;

TEST_CASE("certificate: one that ends soon is told", "[integration][app]") {
  const TempDir dir;
  const http::TlsConfig paths{dir.file("cert.pem"), dir.file("key.pem")};
  for (const auto& [days, is_told] : {std::pair(5L, true), std::pair(40L, false)}) {
    INFO(days);
    make_certificate(paths, "soon", days * 86'400 + 3600);
    TestApp app([&](Config& config) {
      config.http.server.tls = paths;
      config.ops.listen = "127.0.0.1:0";
    });
    const int ops = app.app().ops_port();
    const RawResponse health = fetch(ops, "GET", "/health");
    CHECK(json_text(health.body, "status") == (is_told ? "degraded" : "healthy"));
    const std::string metrics = fetch(ops, "GET", "/metrics").body;
    CHECK(metrics.find("\nkvcs_tls_certificate_expires_timestamp_seconds 1") != std::string::npos);
    Ledger& ledger = *app.parts().ledger;
    REQUIRE(ledger.drain().ok());
    const auto alerts = ledger.query({.table = "alert_log", .equals = {{"event", "tls.expiring"}}});
    REQUIRE(alerts.ok());
    CHECK(alerts->rows.size() == (is_told ? 1 : 0));
  }
}

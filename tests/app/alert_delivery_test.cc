// Goal: what goes wrong reaches the people that are to know: a failed job, a full disk, a provider
// that is down and a backup that failed come to a webhook, signed, and by mail. Method: the whole
// daemon with its jobs, a webhook and a mail server on loopback.
#include <nlohmann/json.hpp>

#include <map>

#include "base/bytes.h"
#include "base/crypto.h"
#include "support/loopback_server.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// Takes what is POSTed to it and checks its signature.
class Webhook final {
 public:
  static constexpr const char* kSecret = "webhook-secret-1";
  std::string url() const { return server_.url("/hook"); }
  // Event and subject of what came, "bad signature" in place of what was not signed.
  std::map<std::string, std::string> received() const {
    const MutexLock lock(mutex_);
    return received_;
  }

 private:
  void serve(LoopbackPeer& peer) {
    while (const auto request = peer.read_request()) {
      const auto header = [&](const std::string& name) {
        const size_t at = lower_ascii(request->head).find("\r\n" + name + ": ");
        if (at == std::string::npos) return std::string();
        const size_t begin = at + name.size() + 4;
        return request->head.substr(begin, request->head.find('\r', begin) - begin);
      };
      const std::string signed_text = header("x-kvcs-timestamp") + "." + request->body;
      const bool right =
          header("x-kvcs-signature") == "sha256=" + to_hex(hmac_sha256(kSecret, signed_text));
      {
        const MutexLock lock(mutex_);
        received_[json_text(request->body, "event")] =
            right ? json_text(request->body, "subject") : "bad signature";
      }
      if (!peer.answer("ok")) return;
    }
  }

  mutable Mutex mutex_;
  std::map<std::string, std::string> received_ KVCS_GUARDED_BY(mutex_);
  LoopbackServer server_{[this](LoopbackPeer& peer) { serve(peer); }};
};

// A mail server of few words. What it was told, line by line, and the mails.
class MailServer final {
 public:
  explicit MailServer(std::string certificate = {}, std::string key = {})
      : server_([this](LoopbackPeer& peer) { serve(peer); }, std::move(certificate),
                std::move(key)) {}
  int port() const { return server_.port(); }
  std::string dialogue() const {
    const MutexLock lock(mutex_);
    return dialogue_;
  }
  std::vector<std::string> mails() const {
    const MutexLock lock(mutex_);
    return mails_;
  }
  void refuse(bool refusing) { refusing_ = refusing; }
  static std::string login() { return to_base64(std::string("\0kvcs\0smtp-secret-1", 19)); }

 private:
  std::string answer_to(const std::string& line) {
    if (line.starts_with("EHLO")) return "250-mail.test\r\n250 AUTH PLAIN\r\n";
    if (line == "AUTH PLAIN") return "334 \r\n";
    if (line == login()) return "235 Welcome.\r\n";
    if (line.starts_with("RCPT") && refusing_) return "550 Nobody of that name.\r\n";
    if (line == "DATA") return "354 Go on.\r\n";
    return line == "QUIT" ? "221 Bye.\r\n" : "250 Ok.\r\n";
  }
  void serve(LoopbackPeer& peer) {
    peer.send("220 mail.test\r\n");
    while (const auto line = peer.read_until("\r\n")) {
      {
        const MutexLock lock(mutex_);
        dialogue_ += *line + "\n";
      }
      if (!peer.send(answer_to(*line))) return;
      if (*line != "DATA") continue;
      const auto mail = peer.read_until("\r\n.\r\n");
      if (!mail || !peer.send("250 Taken.\r\n")) return;
      const MutexLock lock(mutex_);
      mails_.push_back(*mail);
    }
  }

  mutable Mutex mutex_;
  std::string dialogue_ KVCS_GUARDED_BY(mutex_);
  std::vector<std::string> mails_ KVCS_GUARDED_BY(mutex_);
  std::atomic<bool> refusing_ = false;
  LoopbackServer server_;
};

void run_job(const TestApp& app, const std::string& job) {
  const auto runs = [&] {
    const Json page = parse_json(app.as_owner("GET", "/admin/job-runs?job=" + job).body).value();
    return page.at("job_runs").size();
  };
  const size_t before = runs();
  // The schedule may have it running at that moment.
  REQUIRE(comes_true(
      [&] { return app.as_owner("POST", "/admin/jobs/" + job + "/run").status == 202; }));
  REQUIRE(comes_true([&] { return runs() > before; }));
}

// Raises disk.low.
constexpr uint64_t kMoreThanAnyDisk = uint64_t{1} << 60;

}  // namespace

TEST_CASE("alert delivery: each event reaches the webhook once, signed", "[e2e][app][alerts]") {
  Webhook webhook;
  LoopbackServer down([](LoopbackPeer& peer) {
    while (peer.read_request() && peer.answer("{}", "503 Down")) {
    }
  });
  AppOptions options;
  options.kv_faults = [](std::string_view op, std::string_view key) {
    return op == "write" && key == "system:token_health" ? unavailable("No room.") : ok();
  };
  TestApp app(
      [&](Config& config) {
        config.alerts.webhook_url = webhook.url();
        config.alerts.webhook_secret = Secret(Webhook::kSecret);
        config.alerts.allow_private_addresses = true;
        config.blobs.free_reserve_bytes = kMoreThanAnyDisk;
        config.backup.directory = "/dev/null/backups";
      },
      options);
  const std::string base = "http://127.0.0.1:" + std::to_string(down.port());
  CHECK(app.as_owner("PUT", "/admin/providers/feeble",
                     R"({"base_url":")" + base +
                         R"(","auth_type":"bearer","allow_private_addresses":true,)"
                         R"("canary":{"path":"/ping","expect":[200]}})")
            .status == 200);
  CHECK(app.as_owner("PUT", "/admin/tenants/acme", "{}").status == 200);
  CHECK(app.as_owner("PUT", "/admin/tenants/acme/providers/feeble/accounts/main",
                     R"({"access_token":"feeble-token-1"})")
            .status == 201);
  // What comes twice is one incident; a run that fails in the same words is not even told again.
  for (const char* job : {"token-health", "token-health", "system-health", "system-health",
                          "backup", "provider-health", "provider-health"}) {
    run_job(app, job);
  }
  const std::map<std::string, std::string> expected = {{"job.failed", "token-health"},
                                                       {"disk.low", "data_dir"},
                                                       {"backup.failed", "backup"},
                                                       {"provider.down", "feeble"}};
  CHECK(comes_true([&] {
    run_job(app, "alert-delivery");
    return webhook.received().size() >= expected.size();
  }));
  CHECK(webhook.received() == expected);
  const RawResponse log = app.as_owner("GET", "/admin/alerts?limit=100");
  size_t delivered = 0;
  for (size_t at = 0; (at = log.body.find("\"delivered\"", at)) != std::string::npos; ++at) {
    ++delivered;
  }
  INFO(log.body);
  CHECK(delivered == expected.size());
  CHECK(log.body.find("\"suppressed\"") != std::string::npos);
  const std::string row = "\"subject\":\"token-health\",\"channel\"";
  const size_t told = log.body.find(row);
  CHECK(told != std::string::npos);
  CHECK(log.body.find(row, told + 1) == std::string::npos);
}

TEST_CASE("alert delivery: mail goes out, and what a server refuses is tried again",
          "[e2e][app][alerts]") {
  MailServer server;
  ManualClock clock(1'769'903'000'000);
  AppOptions options;
  options.clock = &clock;
  TestApp app(
      [&](Config& config) {
        config.alerts.smtp_url = "smtp://127.0.0.1:" + std::to_string(server.port());
        config.alerts.smtp_from = "kvcs@example.com";
        config.alerts.smtp_to = "ada@example.com,bob@example.com";
        config.blobs.free_reserve_bytes = kMoreThanAnyDisk;
      },
      options);
  server.refuse(true);
  run_job(app, "system-health");
  run_job(app, "alert-delivery");
  const RawResponse refused = app.as_owner("GET", "/admin/alerts");
  INFO(refused.body);
  CHECK(refused.body.find("\"status\":\"pending\",\"attempts\":1") != std::string::npos);
  CHECK(refused.body.find("did not take the mail") != std::string::npos);
  CHECK(server.mails().empty());
  server.refuse(false);
  run_job(app, "alert-delivery");  // Not yet due.
  CHECK(server.mails().empty());
  clock.advance_ms(31'000);
  run_job(app, "alert-delivery");
  REQUIRE(server.mails().size() == 1);
  const std::string mail = server.mails()[0];
  INFO(mail);
  CHECK(mail.find("To: <ada@example.com>, <bob@example.com>") != std::string::npos);
  CHECK(mail.find(to_base64("[kvcs] disk.low data_dir")) != std::string::npos);
  const std::string dialogue = server.dialogue();
  INFO(dialogue);
  CHECK(dialogue.find("MAIL FROM:<kvcs@example.com>") != std::string::npos);
  CHECK(dialogue.find("RCPT TO:<ada@example.com>\nRCPT TO:<bob@example.com>\nDATA") !=
        std::string::npos);
  CHECK(dialogue.find("\nAUTH") == std::string::npos);
  CHECK(app.as_owner("GET", "/admin/alerts").body.find("\"status\":\"delivered\"") !=
        std::string::npos);
}

TEST_CASE("alert delivery: a login goes over TLS alone", "[e2e][app][alerts]") {
  TempDir files;
  make_self_signed(files.file("cert.pem"), files.file("key.pem"));
  MailServer safe(files.file("cert.pem"), files.file("key.pem")), plain;
  for (const bool with_tls : {true, false}) {
    INFO(with_tls);
    TestApp app([&](Config& config) {
      config.alerts.smtp_url = with_tls ? "smtps://localhost:" + std::to_string(safe.port())
                                        : "smtp://localhost:" + std::to_string(plain.port());
      config.alerts.smtp_from = "kvcs@example.com";
      config.alerts.smtp_to = "ada@example.com";
      config.alerts.smtp_user = "kvcs";
      config.alerts.smtp_password = Secret("smtp-secret-1");
      config.upstream.ca_file = files.file("cert.pem");
      config.blobs.free_reserve_bytes = kMoreThanAnyDisk;
    });
    run_job(app, "system-health");
    run_job(app, "alert-delivery");
    const RawResponse log = app.as_owner("GET", "/admin/alerts");
    INFO(log.body);
    CHECK(log.body.find("smtp-secret-1") == std::string::npos);
    CHECK((log.body.find("\"status\":\"delivered\"") != std::string::npos) == with_tls);
  }
  CHECK(safe.mails().size() == 1);
  CHECK(safe.dialogue().find("AUTH PLAIN\n" + MailServer::login()) != std::string::npos);
  CHECK(plain.mails().empty());
  CHECK(plain.dialogue().find("\nAUTH") == std::string::npos);
}

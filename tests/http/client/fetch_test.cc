// Goal: the command line's client sends what it is told, takes the way that it is told, gives a
// credential to nobody else, and says what went wrong and what to do. Method: servers on loopback
// that answer, redirect, break off or speak TLS as the test says.
#include "http/client/fetch.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/mutex.h"
#include "support/certificate.h"
#include "support/loopback_server.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::http;
using kvcs::test::LoopbackPeer;
using kvcs::test::LoopbackServer;
using kvcs::test::TempDir;

namespace {

constexpr size_t kBodyMaxBytes = 1 << 20;

// Answers what the function says to each request, and keeps the requests.
struct Scripted {
  using Answer = std::function<std::string(const LoopbackPeer::Request&)>;
  explicit Scripted(Answer answer_in, std::string certificate = {}, std::string key = {})
      : answer(std::move(answer_in)),
        server(
            [this](LoopbackPeer& peer) {
              while (const auto request = peer.read_request()) {
                {
                  MutexLock lock(mutex);
                  heads.push_back(lower_ascii(request->head) + "\r\n");
                  bodies.push_back(request->body);
                }
                if (!peer.send(answer(*request))) return;
              }
            },
            std::move(certificate), std::move(key)) {}
  std::vector<std::string> all_heads() {
    MutexLock lock(mutex);
    return heads;
  }
  std::string head() { return all_heads().back(); }
  std::string body() {
    MutexLock lock(mutex);
    return bodies.back();
  }

  Mutex mutex;
  std::vector<std::string> heads KVCS_GUARDED_BY(mutex), bodies KVCS_GUARDED_BY(mutex);
  const Answer answer;
  LoopbackServer server;
};

std::string reply(const std::string& status, const std::string& body = "",
                  const std::string& headers = "") {
  return "HTTP/1.1 " + status + "\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

FetchRequest get(const std::string& url) {
  FetchRequest request;
  request.url = url;
  return request;
}

Status failure_of(Fetcher& fetcher, const FetchRequest& request) {
  return fetcher.ask(request, kBodyMaxBytes).status();
}

// A certificate and its key, in files.
struct Certificate {
  explicit Certificate(const char* name, long valid_s = 3600) {
    TlsConfig paths;
    paths.certificate_path = file;
    paths.key_path = key;
    test::make_certificate(paths, name, valid_s);
  }
  TempDir folder;
  std::string file = folder.file("cert.pem"), key = folder.file("key.pem");
};

FetchPolicy trusting(const std::string& ca_file) {
  FetchPolicy policy;
  policy.way.ca_file = ca_file;
  return policy;
}

}  // namespace

TEST_CASE("fetch: what is sent is what was asked for", "[contract][http][fetch]") {
  Scripted scripted([](const auto&) { return reply("200 OK", "x", "ETag: \"a\"\r\n"); });
  Fetcher fetcher({});
  FetchRequest request;
  request.method = "POST";
  request.url = scripted.server.url("/a/../b%20c?q=1");
  request.headers = {{"content-type", "application/json"}, {"x-empty", ""}, {"host", "evil"}};
  request.body = "{}";
  const Result<FetchAnswer> answer = fetcher.ask(request, kBodyMaxBytes);
  REQUIRE(answer.ok());
  CHECK(answer->status == 200);
  CHECK(answer->body == "x");
  CHECK(answer->header("etag").value_or("") == "\"a\"");
  CHECK(scripted.head().starts_with("post /a/../b%20c?q=1 http/1.1\r\n"));
  CHECK(scripted.head().find("\r\ncontent-type: application/json\r\n") != std::string::npos);
  CHECK(scripted.head().find("\r\nx-empty:\r\n") != std::string::npos);
  CHECK(scripted.head().find("\r\nuser-agent: kvcs\r\n") != std::string::npos);
  CHECK(scripted.head().find("evil") == std::string::npos);
  CHECK(scripted.body() == "{}");
  // Nothing of libcurl's own.
  for (const char* method : {"GET", "POST", "PUT", "PATCH", "DELETE"}) {
    INFO(method);
    FetchRequest plain = get(scripted.server.url());
    plain.method = method;
    REQUIRE(fetcher.ask(plain, kBodyMaxBytes).ok());
    CHECK(scripted.head().starts_with(lower_ascii(method) + " / http/1.1\r\n"));
    for (const char* never : {"content-type", "accept", "expect", "transfer-encoding"}) {
      CHECK(scripted.head().find(std::string("\r\n") + never + ":") == std::string::npos);
    }
  }
}

TEST_CASE("fetch: bytes of a file, from an offset on", "[unit][http][fetch]") {
  Scripted scripted([](const auto&) { return reply("201 Created"); });
  const TempDir folder;
  std::string bytes(3 << 20, 'a');
  for (size_t i = 0; i < bytes.size(); i += 100) bytes[i] = static_cast<char>('b' + i % 23);
  std::ofstream(folder.file("file"), std::ios::binary) << bytes;
  const Descriptor file(::open(folder.file("file").c_str(), O_RDONLY | O_CLOEXEC));
  Fetcher fetcher({});
  FetchRequest request = get(scripted.server.url());
  request.method = "PATCH";
  request.descriptor = file.get();
  request.offset = 1000;
  request.size_bytes = bytes.size() - 2000;
  uint64_t last = 0;
  request.sent = [&](uint64_t sent) { last = sent; };
  REQUIRE(fetcher.ask(request, kBodyMaxBytes).ok());
  CHECK(scripted.body() == bytes.substr(1000, bytes.size() - 2000));
  CHECK(last == bytes.size() - 2000);
  // A file that is shorter than was said.
  request.size_bytes = bytes.size();
  CHECK(failure_of(fetcher, request).code() == Code::kInternal);
}

TEST_CASE("fetch: connections are kept, and what must not be sent twice has its own",
          "[unit][http][fetch]") {
  Scripted scripted([](const auto&) { return reply("200 OK"); });
  Fetcher fetcher({});
  FetchRequest post = get(scripted.server.url());
  post.method = "POST";
  REQUIRE(fetcher.ask(get(scripted.server.url()), kBodyMaxBytes).ok());
  REQUIRE(fetcher.ask(get(scripted.server.url()), kBodyMaxBytes).ok());
  post.is_repeatable = true;
  REQUIRE(fetcher.ask(post, kBodyMaxBytes).ok());
  CHECK(scripted.server.accepted_count() == 1);
  post.is_repeatable = false;
  REQUIRE(fetcher.ask(post, kBodyMaxBytes).ok());
  CHECK(scripted.server.accepted_count() == 2);
}

TEST_CASE("fetch: a body is taken as it comes, a refusal whole, and neither without end",
          "[unit][http][fetch]") {
  Scripted scripted([](const LoopbackPeer::Request& request) {
    return request.line().find("/no") != std::string::npos
               ? reply("403 No", std::string(100 << 10, 'n'))
               : reply("206 Part", std::string(100 << 10, 'y'));
  });
  Fetcher fetcher({});
  std::string taken;
  int status = 0;
  const auto take = [&](const FetchAnswer& head, std::string_view bytes) {
    status = head.status;
    taken += bytes;
    return ok();
  };
  CHECK(fetcher.receive(get(scripted.server.url("/yes")), take).value().body.empty());
  CHECK(status == 206);
  CHECK(taken == std::string(100 << 10, 'y'));
  taken.clear();
  const FetchAnswer refused = fetcher.receive(get(scripted.server.url("/no")), take).value();
  CHECK(refused.status == 403);
  CHECK(refused.body.size() == 64 << 10);
  CHECK(taken.empty());
  CHECK(fetcher.ask(get(scripted.server.url("/yes")), 1000).code() == Code::kTooLarge);
  const auto fails = [](const FetchAnswer&, std::string_view) { return conflict("Enough."); };
  CHECK(fetcher.receive(get(scripted.server.url("/yes")), fails).status().message() == "Enough.");
}

TEST_CASE("fetch: a redirect keeps method and body, and a credential stays with its origin",
          "[contract][http][fetch]") {
  Scripted there([](const auto&) { return reply("200 OK", "there"); });
  std::string code = "307", location;
  Scripted here([&](const LoopbackPeer::Request& request) {
    if (request.line().find("/end") != std::string::npos) return reply("200 OK", "here");
    return reply(code + " Moved", "", "Location: " + location + "\r\n");
  });
  Fetcher fetcher({});
  FetchRequest put = get(here.server.url("/begin"));
  put.method = "PUT";
  put.body = "bytes";
  for (const char* one : {"301", "302", "307", "308"}) {
    INFO(one);
    code = one;
    location = "/end?x=1";
    CHECK(fetcher.ask(put, kBodyMaxBytes).value().body == "here");
    CHECK(here.head().starts_with("put /end?x=1 http/1.1\r\n"));
    CHECK(here.body() == "bytes");
    location = there.server.url("/far");
    CHECK(fetcher.ask(put, kBodyMaxBytes).value().body == "there");
    CHECK(there.head().starts_with("put /far http/1.1\r\n"));
  }
  // 303 means a GET, which a PUT is not.
  code = "303";
  CHECK(fetcher.ask(put, kBodyMaxBytes).value().status == 303);
  code = "307";
  put.headers = {{"Authorization", "Bearer kv_1"}};
  const size_t before = there.all_heads().size();
  const FetchAnswer stays = fetcher.ask(put, kBodyMaxBytes).value();
  CHECK(stays.status == 307);
  CHECK(stays.moved_to == there.server.url("/far"));
  CHECK(there.all_heads().size() == before);
  location = "/end";
  CHECK(fetcher.ask(put, kBodyMaxBytes).value().body == "here");
  CHECK(here.head().find("authorization: bearer kv_1\r\n") != std::string::npos);
  location = "/begin";
  CHECK(failure_of(fetcher, put).message().find("redirects more than 5 times") !=
        std::string::npos);
  location = "ftp://elsewhere/";
  CHECK(fetcher.ask(put, kBodyMaxBytes).value().status == 307);
}

TEST_CASE("fetch: nobody is led from https to http", "[contract][http][fetch]") {
  const Certificate certificate("localhost");
  Scripted plain([](const auto&) { return reply("200 OK", "plain"); });
  Scripted secure(
      [&](const auto&) {
        return reply("302 Found", "", "Location: " + plain.server.url() + "\r\n");
      },
      certificate.file, certificate.key);
  Fetcher fetcher(trusting(certificate.file));
  const FetchAnswer answer = fetcher.ask(get(secure.server.url()), kBodyMaxBytes).value();
  CHECK(answer.status == 302);
  CHECK(answer.moved_to == plain.server.url());
  CHECK(plain.all_heads().empty());
}

TEST_CASE("fetch: why a server is not trusted, and the way out", "[contract][http][fetch]") {
  const Certificate right("localhost"), other("kvcs.example.com"), old("localhost", -10);
  const auto serve = [](const Certificate& one) {
    return std::make_unique<LoopbackServer>(test::answer_always("tls"), one.file, one.key);
  };
  const auto words = [](const FetchPolicy& policy, const std::string& url) {
    Fetcher fetcher(policy);
    const Status failed = failure_of(fetcher, get(url));
    CHECK(failed.reason() == "tls_failed");
    return failed.message();
  };
  const auto has = [](const std::string& text, const char* part) {
    INFO(text);
    CHECK(text.find(part) != std::string::npos);
  };
  const auto server = serve(right);
  Fetcher trusted(trusting(right.file));
  CHECK(trusted.ask(get(server->url()), kBodyMaxBytes).value().body == "tls");
  // By the way of this server alone.
  FetchPolicy by_origin;
  by_origin.ways_of[origin_of(server->url())].ca_file = right.file;
  CHECK(Fetcher(by_origin).ask(get(server->url()), kBodyMaxBytes).ok());
  has(words({}, server->url()), "an authority that is not trusted here");
  has(words({}, server->url()), "--cacert FILE, or SSL_CERT_FILE=FILE");
  has(words(trusting(other.file), server->url()), "an authority that is not trusted here");
  has(words(trusting(other.file), serve(other)->url()), "is for another name");
  has(words(trusting(old.file), serve(old)->url()), "has expired");
  has(words(trusting("/nowhere.pem"), server->url()), "/nowhere.pem must hold certificates in PEM");
  const LoopbackServer plain([](LoopbackPeer& peer) {
    (void)peer.send("HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n");
    (void)peer.wait_closed();
  });
  has(words({}, "https://127.0.0.1:" + std::to_string(plain.port()) + "/"), "does not speak TLS");
}

TEST_CASE("fetch: a proxy is taken where it is named, and never to this machine",
          "[contract][http][fetch]") {
  Scripted proxy([](const LoopbackPeer::Request& request) {
    return request.line().starts_with("CONNECT") ? reply("407 Who", "")
                                                 : reply("200 OK", "by proxy");
  });
  Scripted own([](const auto&) { return reply("200 OK", "directly"); });
  FetchPolicy policy;
  policy.way.http_proxy = policy.way.https_proxy =
      "http://ada:secret@127.0.0.1:" + std::to_string(proxy.server.port());
  Fetcher fetcher(policy);
  CHECK(fetcher.ask(get("http://kvcs.example.com/x"), kBodyMaxBytes).value().body == "by proxy");
  CHECK(proxy.head().starts_with("get http://kvcs.example.com/x http/1.1\r\n"));
  CHECK(proxy.head().find("proxy-authorization: basic ") != std::string::npos);
  CHECK(fetcher.ask(get(own.server.url()), kBodyMaxBytes).value().body == "directly");
  const Status refused = failure_of(fetcher, get("https://kvcs.example.com/"));
  CHECK(refused.message().find("***@127.0.0.1:") != std::string::npos);
  CHECK(refused.message().find("answered 407. It wants a name and a password") !=
        std::string::npos);
  CHECK(refused.message().find("secret") == std::string::npos);
  policy.way.no_proxy = "other,.invalid";
  const size_t before = proxy.all_heads().size();
  Fetcher around(policy);
  CHECK(failure_of(around, get("http://no-such-host.invalid/")).reason() == "dns_failed");
  CHECK(proxy.all_heads().size() == before);
  policy.way = {};
  policy.way.http_proxy = "http://127.0.0.1:1";
  Fetcher away(policy);
  const Status gone = failure_of(away, get("http://kvcs.example.com/"));
  CHECK(gone.message() ==
        "http://kvcs.example.com cannot be reached: the proxy http://127.0.0.1:1 refused the "
        "connection.");
  CHECK(gone.reason() == "proxy_failed");
}

TEST_CASE("fetch: what breaks has its reason", "[contract][http][fetch]") {
  Fetcher fetcher({});
  const auto reason = [&](const LoopbackServer::Behaviour& behaviour, FetchRequest request = {}) {
    const LoopbackServer server(behaviour);
    request.url = server.url();
    const Status failed = failure_of(fetcher, request);
    CHECK(failed.message().starts_with(origin_of(request.url) + " "));
    return failed.reason();
  };
  CHECK(failure_of(fetcher, get("http://127.0.0.1:1/")).reason() == "connect_failed");
  CHECK(failure_of(fetcher, get("http://no-such-host.invalid/")).reason() == "dns_failed");
  CHECK(failure_of(fetcher, get("ftp://h/")).code() == Code::kInvalid);
  CHECK(failure_of(fetcher, get("http://u:p@h/")).code() == Code::kInvalid);
  CHECK(reason([](LoopbackPeer& peer) { (void)peer.read_request(); }) == "truncated");
  CHECK(reason([](LoopbackPeer& peer) {
          (void)peer.read_request();
          peer.reset();
        }) == "truncated");
  CHECK(reason([](LoopbackPeer& peer) {
          (void)peer.read_request();
          (void)peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
        }) == "truncated");
  CHECK(reason([](LoopbackPeer& peer) {
          (void)peer.read_request();
          (void)peer.send("220 mail.example.com\r\n");
        }) == "not_http");
  FetchRequest late;
  late.deadline_ms = 50;
  const auto waits = [](LoopbackPeer& peer) {
    (void)peer.read_request();
    (void)peer.wait_closed();
  };
  CHECK(reason(waits, late) == "deadline");
  // An answer that came before the body was sent is an answer.
  const LoopbackServer refuses([](LoopbackPeer& peer) {
    (void)peer.read_until("\r\n\r\n");
    (void)peer.send("HTTP/1.1 403 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nNo");
    (void)peer.wait_closed();
  });
  FetchRequest large = get(refuses.url());
  large.method = "PUT";
  large.body = std::string(8 << 20, 'x');
  const Result<FetchAnswer> refused = fetcher.ask(large, kBodyMaxBytes);
  REQUIRE(refused.ok());
  CHECK(refused->status == 403);
  CHECK(refused->body == "No");
}

TEST_CASE("fetch: who stops it is obeyed, unless the request must go on", "[unit][http][fetch]") {
  Scripted scripted([](const auto&) { return reply("200 OK"); });
  FetchPolicy policy;
  policy.stopped = [] { return true; };
  Fetcher fetcher(policy);
  FetchRequest request = get(scripted.server.url());
  CHECK(failure_of(fetcher, request).reason() == "stopped");
  request.ignores_stop = true;
  CHECK(fetcher.ask(request, kBodyMaxBytes).ok());
}

TEST_CASE("fetch: origins, and URLs without a password", "[unit][http][fetch]") {
  CHECK(origin_of("https://Example.com:443/a?b") == "https://example.com");
  CHECK(origin_of("http://example.com:8080") == "http://example.com:8080");
  CHECK(origin_of("example.com").empty());
  CHECK(without_password("http://ada:s%40cret@h/x") == "http://***@h/x");
  CHECK(without_password("http://ada:p/w@rd@h:1") == "http://***@h:1");
  CHECK(without_password("ada:secret@h") == "***@h");
  CHECK(without_password("http://h/x") == "http://h/x");
}

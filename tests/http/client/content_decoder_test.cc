// Goal: answers come without their content codings, event by event as their bytes come, and what is
// unknown, cut, broken or a bomb is a failure that says so. Method: texts encoded here by zlib and
// zstd, or beforehand by another program (brotli), given in pieces by a scripted server.
#include "http/client/content_decoder.h"

#include <catch2/catch.hpp>
#include <zlib.h>
#include <zstd.h>

#include <string>
#include <vector>

#include "base/bytes.h"
#include "support/scripted_upstream.h"

namespace kvcs::http {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr int kGzip = 16 + MAX_WBITS, kZlib = MAX_WBITS, kBare = -MAX_WBITS;

// One piece per text, flushed behind each as a server does that streams; the last one ends.
std::vector<std::string> deflated(const std::vector<std::string>& texts, int format) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 6, Z_DEFLATED, format, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::vector<std::string> pieces;
  for (size_t i = 0; i < texts.size(); i++) {
    std::string piece(texts[i].size() + 1000, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(texts[i].data()));
    stream.avail_in = static_cast<uInt>(texts[i].size());
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    deflate(&stream, i + 1 == texts.size() ? Z_FINISH : Z_SYNC_FLUSH);
    piece.resize(piece.size() - stream.avail_out);
    pieces.push_back(std::move(piece));
  }
  deflateEnd(&stream);
  return pieces;
}

std::vector<std::string> zstd(const std::vector<std::string>& texts, int window_log = 20) {
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log);
  std::vector<std::string> pieces;
  for (size_t i = 0; i < texts.size(); i++) {
    std::string piece(ZSTD_compressBound(texts[i].size()) + 100, '\0');
    ZSTD_inBuffer in = {texts[i].data(), texts[i].size(), 0};
    ZSTD_outBuffer out = {piece.data(), piece.size(), 0};
    ZSTD_compressStream2(context, &out, &in, i + 1 == texts.size() ? ZSTD_e_end : ZSTD_e_flush);
    piece.resize(out.pos);
    pieces.push_back(std::move(piece));
  }
  ZSTD_freeCCtx(context);
  return pieces;
}

std::string unhex(std::string_view hex) {
  return from_hex(hex).value();
}

const std::vector<std::string> kEvents = {"data: one\n\n", "data: two\n\n", "data: [DONE]\n\n"};
// Made by Node's zlib.createBrotliCompress(), flushed behind each event.
const std::vector<std::string> kBrotliEvents = {unhex("0b0580646174613a206f6e650a0a"),
                                                unhex("5000805f5ae18dee4e11a24a04600b"),
                                                unhex("6800805f5261ab2b09504493504935f8310003")};

std::string joined(const std::vector<std::string>& parts) {
  std::string all;
  for (const std::string& part : parts) all += part;
  return all;
}

struct Decoded {
  explicit Decoded(std::vector<std::string> chunks, const Headers& headers,
                   test::ScriptedAnswer::End end = {}) {
    test::ScriptedAnswer answer;
    answer.headers = headers;
    answer.chunks = std::move(chunks);
    answer.end = end;
    upstream.push(std::move(answer));
    UpstreamRequest request;
    request.url = "https://provider.example/";
    auto opened = decode_content(upstream.open(request).value());
    if (opened.ok())
      response = std::move(opened).value();
    else
      failed = std::move(opened).status();
  }
  Decoded(std::vector<std::string> chunks, std::string coding)
      : Decoded(std::move(chunks), Headers{{"content-encoding", std::move(coding)}}) {}

  Result<std::string> all(size_t max_bytes = 1 << 20) {
    return response ? response->read_all(max_bytes) : Result<std::string>(failed);
  }

  test::ScriptedUpstream upstream;
  std::unique_ptr<UpstreamResponse> response;
  Status failed;
};

void check_bad_coding(Decoded&& decoded, std::string_view words, size_t max_bytes = 1 << 20) {
  const Status failed = decoded.all(max_bytes).status();
  INFO(failed.to_string());
  CHECK(failed.code() == Code::kUpstream);
  CHECK(failed.reason() == "bad_coding");
  CHECK(failed.message().find(words) != std::string::npos);
  CHECK_FALSE(surely_not_sent(failed));
  if (!decoded.response) return;
  char more[1];
  CHECK(decoded.response->read(more).status().reason() == "bad_coding");
}

struct Coded {
  const char* coding;
  std::vector<std::string> pieces;
};

std::vector<Coded> coded_events() {
  return {{"gzip", deflated(kEvents, kGzip)},
          {"x-gzip", deflated(kEvents, kGzip)},
          {"GZip", deflated(kEvents, kGzip)},
          {"deflate", deflated(kEvents, kZlib)},
          {"deflate", deflated(kEvents, kBare)},
          {"br", kBrotliEvents},
          {"zstd", zstd(kEvents)}};
}

}  // namespace

TEST_CASE("content decoder: each event is there as soon as its bytes are", "[unit][http]") {
  for (const auto& [coding, pieces] : coded_events()) {
    INFO(coding);
    Decoded decoded(pieces, coding);
    REQUIRE(decoded.response);
    char out[100];
    for (const std::string& event : kEvents) {
      const auto n = decoded.response->read(out);
      REQUIRE(n.ok());
      CHECK(std::string_view(out, *n) == event);
    }
    CHECK(decoded.response->read(out).value() == 0);
    CHECK(decoded.response->read(out).value() == 0);
  }
}

TEST_CASE("content decoder: pieces and rooms of any size give the same text", "[unit][http]") {
  for (const auto& [coding, pieces] : coded_events()) {
    INFO(coding);
    std::vector<std::string> bytes;
    for (const char c : joined(pieces)) bytes.emplace_back(1, c);
    Decoded decoded(bytes, coding);
    std::string text;
    for (char out[1];;) {
      const auto n = decoded.response->read(out);
      REQUIRE(n.ok());
      if (*n == 0) break;
      text += out[0];
    }
    CHECK(text == joined(kEvents));
    // All at once into a small room: what is left in the decoder is asked for before the server.
    Decoded whole({joined(pieces)}, coding);
    text.clear();
    for (char out[3];;) {
      const auto n = whole.response->read(out);
      REQUIRE(n.ok());
      if (*n == 0) break;
      text.append(out, *n);
    }
    CHECK(text == joined(kEvents));
  }
}

TEST_CASE("content decoder: headers tell of the text, not of its coding", "[unit][http]") {
  const std::string gzip = joined(deflated({"hi"}, kGzip));
  Decoded decoded({gzip}, Headers{{"content-type", "text/plain"},
                                  {"content-encoding", "gzip"},
                                  {"content-length", std::to_string(gzip.size())},
                                  {"x-request-id", "r"}});
  CHECK(decoded.response->headers() ==
        Headers{{"content-type", "text/plain"}, {"x-request-id", "r"}});
  CHECK(decoded.all().value() == "hi");

  for (const char* none : {"identity", "Identity", "", " , "}) {
    INFO(none);
    CHECK(Decoded({"hi"}, none).all().value() == "hi");
  }
  Decoded plain({"hi"}, Headers{{"content-length", "2"}});
  CHECK(plain.response->header("content-length") == "2");
  CHECK(plain.all().value() == "hi");
}

TEST_CASE("content decoder: codings one upon the other are undone from the last", "[unit][http]") {
  const std::string stacked =
      unhex("0b0d801f8b08000000000000032b2e494cce4e4d01006d42494b0700000003");
  CHECK(Decoded({stacked}, "gzip, br").all().value() == "stacked");
  CHECK(Decoded({stacked}, Headers{{"content-encoding", "gzip"}, {"content-encoding", "br"}})
            .all()
            .value() == "stacked");
  CHECK(Decoded({stacked}, "gzip, identity, br").all().value() == "stacked");
  check_bad_coding(Decoded({stacked}, "br, gzip"), "gzip coding of the body is broken");
  check_bad_coding(Decoded({"x"}, "gzip, gzip, gzip, gzip"), "more than 3");
}

TEST_CASE("content decoder: an unknown coding is a failure that names it", "[unit][http]") {
  for (const char* coding : {"compress", "gzip, snappy", "aws-chunked", "gzip;q=1"}) {
    INFO(coding);
    check_bad_coding(Decoded({"x"}, coding), "is none of gzip, deflate, br, zstd");
  }
}

TEST_CASE("content decoder: a cut or broken body fails behind what was whole", "[fault][http]") {
  for (const auto& [coding, pieces] : coded_events()) {
    INFO(coding);
    const std::string all = joined(pieces);
    check_bad_coding(Decoded({all.substr(0, all.size() - 1)}, coding), "ends early");
    check_bad_coding(Decoded({all.substr(0, all.size() / 2)}, coding), "ends early");
    std::vector<std::string> behind = pieces;
    behind[1] = std::string(40, '\xff');
    Decoded broken(behind, coding);
    char out[100];
    const auto first = broken.response->read(out);
    REQUIRE(first.ok());
    CHECK(std::string_view(out, *first) == kEvents[0]);
    check_bad_coding(std::move(broken), "is broken");
  }
  check_bad_coding(Decoded({"{\"plain\":true}"}, "gzip"), "is broken");
  std::string checksum = joined(deflated({"text"}, kGzip));
  checksum[checksum.size() - 6] ^= 1;
  check_bad_coding(Decoded({checksum}, "gzip"), "is broken");
}

TEST_CASE("content decoder: failures of the exchange pass as they are", "[fault][http]") {
  Decoded decoded({deflated(kEvents, kGzip)[0]}, Headers{{"content-encoding", "gzip"}},
                  test::ScriptedAnswer::End::kTruncated);
  const auto all = decoded.all();
  CHECK(all.status().reason() == "truncated");
  CHECK_FALSE(decoded.response->client_left());
  decoded.response->note_client_left();
  CHECK(decoded.response->client_left());
}

TEST_CASE("content decoder: bodies of no byte, of several parts, and with padding behind",
          "[unit][http]") {
  CHECK(Decoded({}, "gzip").all().value().empty());  // As of an answer to HEAD.
  const std::string gzip = joined(deflated({"one "}, kGzip)), frame = joined(zstd({"one "}));
  CHECK(Decoded({gzip + gzip, gzip}, "gzip").all().value() == "one one one ");
  CHECK(Decoded({frame + frame, frame}, "zstd").all().value() == "one one one ");
  CHECK(Decoded({gzip + std::string(1000, '\0')}, "gzip").all().value() == "one ");
  check_bad_coding(Decoded(std::vector<std::string>(5, gzip + std::string(20'000, '\0')), "gzip"),
                   "has bytes behind its end");
}

TEST_CASE("content decoder: a bomb does not go off", "[fault][http]") {
  const std::string zeros(64 << 20, '\0');
  const std::vector<Coded> bombs = {{"gzip", deflated({zeros}, kGzip)},
                                    {"zstd", zstd({zeros})},
                                    {"gzip, gzip", deflated(deflated({zeros}, kGzip), kGzip)}};
  for (const auto& [coding, pieces] : bombs) {
    INFO(coding);
    check_bad_coding(Decoded(pieces, coding), "more than 400 times", size_t{1} << 30);
    CHECK(Decoded(pieces, coding).all(1000).code() == Code::kTooLarge);  // The caller's limit.
  }
  // A short text may be all zeros.
  const std::string short_text(1 << 20, '\0');
  CHECK(Decoded(deflated({short_text}, kGzip), "gzip").all().value() == short_text);
  // RFC 9659: 8 MiB of history are the most that an answer may ask for.
  check_bad_coding(Decoded(zstd({"window", ""}, 24), "zstd"), "is broken");
  CHECK(Decoded(zstd({"window", ""}, 23), "zstd").all().value() == "window");
}

}  // namespace kvcs::http

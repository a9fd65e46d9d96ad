// Goal: digests do not depend on how the bytes arrive. Method: NIST's vectors, and lengths around
// every internal step, whole, byte by byte and through the pipe.
#include <catch2/catch.hpp>

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/hash_pipe.h"
#include "support/wait.h"

namespace kvcs {
namespace {

std::string noise(size_t size_bytes) {
  std::string bytes(size_bytes, '\0');
  uint64_t state = 1;
  for (char& byte : bytes) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    byte = static_cast<char>(state >> 56);
  }
  return bytes;
}

std::string piped(const std::string& bytes, size_t buffer_bytes, bool threaded) {
  HashThreads threads(1);
  HashPipe pipe(buffer_bytes, threads);
  if (threaded) CHECK(pipe.start());
  for (size_t at = 0; at < bytes.size(); at += buffer_bytes) {
    const size_t n = std::min(buffer_bytes, bytes.size() - at);
    char* const buffer = pipe.acquire();
    std::memcpy(buffer, bytes.data() + at, n);
    pipe.submit(n);
    CHECK(std::memcmp(buffer, bytes.data() + at, n) == 0);  // Still the owner's to read.
  }
  return pipe.finish_hex();
}

}  // namespace

TEST_CASE("sha256: NIST's vectors", "[unit]") {
  CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex(std::string(1'000'000, 'a')) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// RFC 4231 §4.2, 4.3, 4.4, 4.7 and 4.8; then keys around the size of a block, by which they are
// padded or hashed (made with Python's hmac).
TEST_CASE("hmac: the RFC's vectors, and keys around the size of a block", "[unit]") {
  const auto hmac = [](const std::string& key, std::string_view data) {
    return to_hex(hmac_sha256(key, data));
  };
  CHECK(hmac(std::string(20, '\x0b'), "Hi There") ==
        "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hmac("Jefe", "what do ya want for nothing?") ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hmac(std::string(20, '\xaa'), std::string(50, '\xdd')) ==
        "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  CHECK(hmac(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First") ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  CHECK(hmac(std::string(131, '\xaa'),
             "This is a test using a larger than block-size key and a larger than block-size data. "
             "The key needs to be hashed before being used by the HMAC algorithm.") ==
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
  CHECK(hmac(std::string(0, 'k'), "text") ==
        "0611b704abab473f956257a09cc2fc2c867211d077bdffc5a91bd8a5047826ff");
  CHECK(hmac(std::string(63, 'k'), "text") ==
        "c90d83e78c64ee16fe2eefa3e8a834d79d1d3d0ea483f8d9908323b714c7f134");
  CHECK(hmac(std::string(64, 'k'), "text") ==
        "0414bb1d8c0c4556cdb2028727b16610ae377b1a194b6db1f853d4297f2329bc");
  CHECK(hmac(std::string(65, 'k'), "text") ==
        "5b69580123e3d7e788b7e8352ac37a3247b911c5ec0837147b74109a6382d3f5");
}

TEST_CASE("sha256: whole, by bytes and through the pipe are one", "[unit]") {
  const std::string all = noise(10'000);
  for (const size_t size : {1, 63, 64, 1023, 1024, 1025, 2047, 2048, 3071, 3073, 4097, 10'000}) {
    const std::string bytes = all.substr(0, size);
    Sha256 single;
    for (const char& byte : bytes) single.update(&byte, 1);
    const std::string digest = single.finish_hex();
    INFO(size);
    CHECK(sha256_hex(bytes) == digest);
    CHECK(piped(bytes, 1000, false) == digest);
    CHECK(piped(bytes, 1000, true) == digest);
    CHECK(piped(bytes, 7, true) == digest);  // Many turns of the ring.
  }
}

TEST_CASE("hash pipe: one that is dropped ends its thread", "[unit]") {
  HashThreads threads(1);
  HashPipe pipe(16, threads);
  CHECK(pipe.start());
  for (int i = 0; i < 3; i++) {
    std::memset(pipe.acquire(), i, 16);
    pipe.submit(16);
  }
}

TEST_CASE("hash pipe: a thread is given up while nothing comes, and taken again", "[unit]") {
  HashThreads threads(1);
  HashPipe first(1000, threads), second(1000, threads);
  const std::string bytes = noise(1000);
  const auto put = [&](HashPipe& pipe) {
    std::memcpy(pipe.acquire(), bytes.data(), bytes.size());
    pipe.submit(bytes.size());
  };
  Sha256 expected;
  for (int round = 0; round < 3; round++) {
    CHECK(first.start());
    CHECK(first.start());  // It has one already.
    CHECK_FALSE(second.start());
    for (int i = 0; i < 20; i++) put(first);
    CHECK(first.has_thread());  // Its owner may still read the last buffer, however late.
    first.rest();
    CHECK(test::comes_true([&] { return !first.has_thread(); }));
    CHECK(test::comes_true([&] { return second.start(); }));
    second.rest();
    CHECK(test::comes_true([&] { return !second.has_thread(); }));
    first.update(bytes);
    put(first);  // Without a thread: at once.
    first.rest();
    for (int i = 0; i < 22; i++) expected.update(bytes.data(), bytes.size());
    CHECK(test::comes_true([&] { return threads.take(); }));
    threads.give();
  }
  CHECK(first.finish_hex() == expected.finish_hex());
}

}  // namespace kvcs

// Goal: what callers open stays outside of the descriptors that the stores keep for themselves.
// Method: this process's own limit is lowered to a few beyond what is open, and each way in is
// asked until it refuses.
#include "base/descriptor_room.h"

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>

#include <vector>

#include "base/crypto.h"
#include "base/file.h"
#include "blob/blob.h"
#include "http/client/upstream_clients.h"
#include "support/loopback_server.h"
#include "support/temp_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr rlim_t kStores = 64, kCallers = 10;

Descriptor open_any() {
  return Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

// Leaves kCallers descriptors to callers and kStores to the stores, beside what is open.
class FewDescriptors final {
 public:
  FewDescriptors() : lowest_free_(open_any().get()) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit lower{static_cast<rlim_t>(lowest_free_) + kStores + kCallers, before_.rlim_max};
    REQUIRE(store_descriptors(lower.rlim_cur) == kStores);
    ::setrlimit(RLIMIT_NOFILE, &lower);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  int lowest_free() const { return lowest_free_; }

 private:
  rlimit before_{};
  int lowest_free_;
};

void check_refused(const Status& refused) {
  CHECK(refused.code() == Code::kUnavailable);
  CHECK(refused.reason() == "descriptors_short");
  CHECK(refused.retry_after_s() == 1);
  CHECK(refused.message().find("the last 64 are for the stores") != std::string::npos);
}

}  // namespace

TEST_CASE("descriptors: the stores have a quarter, within bounds", "[unit][base]") {
  CHECK(store_descriptors(128) == 64);
  CHECK(store_descriptors(512) == 128);
  CHECK(store_descriptors(65'536) == 1024);
  const FewDescriptors few;
  CHECK(leaves_room(few.lowest_free() + static_cast<int>(kCallers) - 1));
  CHECK_FALSE(leaves_room(few.lowest_free() + static_cast<int>(kCallers)));
}

TEST_CASE("descriptors: blobs that are read or written leave those of the stores", "[unit][blob]") {
  TempDir folder;
  const auto blobs = open_file_blobs({folder.file("blobs"), 0}).value();
  auto written = blobs->begin_write(sha256_hex("abc"), 3).value();
  REQUIRE(written->append("abc").ok());
  REQUIRE(written->finish().ok());
  written.reset();

  const FewDescriptors few;
  std::vector<std::unique_ptr<BlobReader>> readers;
  Status refused;
  while (refused.ok() && readers.size() < 100) {
    auto reader = blobs->open(sha256_hex("abc"));
    refused = reader.status();
    if (reader.ok()) readers.push_back(std::move(reader).value());
  }
  CHECK(readers.size() > 0);
  CHECK(readers.size() <= kCallers);
  check_refused(refused);
  check_refused(blobs->begin_write(sha256_hex("def"), 3).status());
  std::vector<Descriptor> stores;
  for (rlim_t i = 0; i < kStores; i++) {
    stores.push_back(open_any());
    CHECK(stores.back().valid());
  }
  CHECK_FALSE(open_any().valid());
  check_refused(blobs->open(sha256_hex("abc")).status());
  stores.clear();
  readers.clear();
  CHECK(blobs->open(sha256_hex("abc")).ok());
}

TEST_CASE("descriptors: connections to other servers leave those of the stores",
          "[unit][http][upstream]") {
  LoopbackServer server(answer_always("ok"));
  for (const char* engine : {"plain", "curl"}) {
    INFO(engine);
    http::TestClient client(engine);
    const FewDescriptors few;
    std::vector<Descriptor> callers;
    while (callers.empty() || leaves_room(callers.back().get())) callers.push_back(open_any());
    const auto refused = client.open(http::request_to(server.url()));
    CHECK(refused.code() == Code::kUnavailable);
    CHECK(refused.status().reason() == "upstream_busy");
    CHECK(http::surely_not_sent(refused.status()));
  }
}

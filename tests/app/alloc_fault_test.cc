// Goal: a request for which memory does not last ends alone: it is answered 503, or its stream
// breaks, what it held is given back, what it may have cost is charged, and the daemon goes on.
// Method: the real daemon with an allocator of ours (preload/alloc_fault.cc) that fails the n-th
// allocation made for a request, for some n, and for each n of every request ([every-n]); and the
// real one with less address space than its connections would take.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdlib>
#include <functional>

#include "support/env.h"
#include "support/fault_house.h"
#include "support/preload/alloc_plan.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

// The sanitizers bring an allocator of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

const std::string kOpen = "http:\n  access_log: true\nadmin:\n  requests_per_minute: 1000000\n";

std::string starved_binary() {
  return kvcs_binary() + "_starved";
}

// A house whose daemon has the failing allocator.
class StarvedHouse final {
 public:
  StarvedHouse()
      : binary_("KVCS_BINARY", starved_binary()),
        plan_path_("ALLOC_FAULT_PLAN", dir_.file("alloc_plan")),
        plan_(map(dir_.file("alloc_plan"))),
        house_("/nothing/", kOpen) {
    house_.provider().answer_json(
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
        "\"content\":\"Hi\"},\"finish_reason\":\"stop\"}]," +
        kUsage + "}");
  }
  ~StarvedHouse() { ::munmap(plan_, sizeof(AllocPlan)); }
  StarvedHouse(const StarvedHouse&) = delete;
  StarvedHouse& operator=(const StarvedHouse&) = delete;

  FaultHouse& operator*() { return house_; }
  FaultHouse* operator->() { return &house_; }
  // `ask` while the allocations `first` to `last` fail; its answer, and how many were seen.
  RawResponse while_failing(int first, int last, const std::function<RawResponse()>& ask) {
    plan_->first = first;
    plan_->last = last;
    __atomic_store_n(&plan_->seen, 0, __ATOMIC_RELEASE);
    __atomic_store_n(&plan_->armed, 1, __ATOMIC_RELEASE);
    RawResponse answer = ask();
    __atomic_store_n(&plan_->armed, 0, __ATOMIC_RELEASE);
    return answer;
  }
  int seen() const { return __atomic_load_n(&plan_->seen, __ATOMIC_ACQUIRE); }

 private:
  static AllocPlan* map(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    REQUIRE(file >= 0);
    REQUIRE(::ftruncate(file, sizeof(AllocPlan)) == 0);
    void* mapped = ::mmap(nullptr, sizeof(AllocPlan), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    ::close(file);
    REQUIRE(mapped != MAP_FAILED);
    return static_cast<AllocPlan*>(mapped);
  }

  TempDir dir_;
  Env binary_, plan_path_;
  AllocPlan* plan_;
  FaultHouse house_;
};

std::string member(const std::string& json, const std::string& name) {
  const size_t at = json.find("\"" + name + "\":");
  if (at == std::string::npos) return "";
  const size_t begin = at + name.size() + 3;
  return json.substr(begin, json.find_first_of(",}", begin) - begin);
}

// What no request may leave behind, once those that wait have ended.
bool is_at_rest(FaultHouse& house) {
  const std::string page = fetch(house.port(), "GET", "/metrics").body;
  for (const char* gauge : {"kvcs_ai_open_streams 0\n", "kvcs_ai_open_reservations 0\n",
                            "kvcs_ai_unwritten_charges 0\n", "kvcs_http_parked_requests 0\n"}) {
    if (!has(page, gauge)) return false;
  }
  return true;
}

// The sum of the rows is what the counter says.
void check_money(FaultHouse& house) {
  const std::string rows = house.admin("GET", "/admin/usage?group_by=organization").body;
  const std::string id = house.organization();
  const std::string counter = house.admin("GET", "/admin/organizations/" + id + "/usage").body;
  INFO(rows << counter);
  CHECK(member(rows, "cost_usd") == member(counter, "current_usage_usd"));
}

struct Work {
  const char* name;
  std::function<RawResponse()> ask;
};

std::vector<Work> works(FaultHouse& house) {
  const std::string upload =
      R"({"name":"a","dtype":"F16","size_bytes":3000,"sha256":")" + std::string(64, 'a') + "\"}";
  return {{"unknown path", [&] { return fetch(house.port(), "GET", "/no/such/path/at/all"); }},
          {"chat", [&] { return house.chat(); }},
          {"stream", [&] { return house.ask("/v1/chat/completions", kHelloStream); }},
          {"announcement",
           [&, upload] { return house.project("POST", "/api/v1/artifacts/upload-url", upload); }},
          {"list", [&] { return house.project("GET", "/api/v1/artifacts"); }}};
}

void fail_each(StarvedHouse& starved, const Work& work, int step) {
  FaultHouse& house = *starved;
  (void)work.ask();
  const int good = starved.while_failing(0, 0, work.ask).status;
  const int count = starved.seen();
  CHECK(count > 3);
  for (int n = 1; n <= count; n += step) {
    for (const int last : {n, 1 << 30}) {
      INFO(work.name << ": allocation " << n << (last == n ? "" : " and all after it"));
      const RawResponse answer = starved.while_failing(n, last, work.ask);
      INFO(answer.head << answer.body);
      CHECK((answer.status == good || answer.status == 503));
      CHECK((answer.complete || has(answer.head, "transfer-encoding: chunked")));
      const RawResponse next = work.ask();
      INFO(next.head << next.body);
      // A daemon that is gone answers none of the rest either.
      REQUIRE(house.lives());
      CHECK(next.status == good);
      CHECK(next.complete);
      CHECK(comes_true([&] { return is_at_rest(house); }));
    }
  }
}

}  // namespace

TEST_CASE("memory: an allocation that fails ends its request alone", "[fault][memory]") {
  StarvedHouse starved;
  for (const Work& work : works(*starved)) fail_each(starved, work, 13);
  check_money(*starved);
  CHECK(starved->stop() == 0);
}

TEST_CASE("memory: where connections would take more than there is, each is answered all the same",
          "[fault][memory]") {
  FaultHouse house("/nothing/", kOpen);
  const std::string status =
      read_small_file("/proc/" + std::to_string(house.daemon().pid()) + "/status", 1 << 16)
          .value_or("");
  const size_t at = status.find("VmSize:");
  REQUIRE(at != std::string::npos);
  // A request that waits for its body has a stack of a mebibyte: this is room for some of them.
  const rlim_t room = (std::strtoull(status.c_str() + at + 7, nullptr, 10) + (40 << 10)) << 10;
  const rlimit limit = {room, room};
  REQUIRE(::prlimit(house.daemon().pid(), RLIMIT_AS, &limit, nullptr) == 0);
  std::vector<RawClient> clients;
  for (int i = 0; i < 300; i++) {
    clients.emplace_back(house.port());
    REQUIRE(
        clients.back().send("POST /api/v1/telemetry HTTP/1.1\r\nhost: a\r\ncontent-length: 200\r\n"
                            "connection: close\r\n\r\n"));
  }
  int served = 0, refused = 0;
  for (RawClient& client : clients) {
    (void)client.send(std::string(200, 'x'));
    const RawResponse answer = client.read_response();
    INFO(answer.head << answer.body);
    CHECK(answer.complete);
    (answer.status == 503 ? refused : served)++;
    CHECK((answer.status == 503 || answer.status == 400));
  }
  CHECK(served > 0);
  CHECK(refused > 0);
  CHECK(house.lives());
  CHECK(house.chat().status == 200);
  CHECK(house.stop() == 0);
}

TEST_CASE("memory: each allocation of every request fails in turn, once and for good",
          "[e2e][every-n][slow][memory]") {
  StarvedHouse starved;
  for (const Work& work : works(*starved)) fail_each(starved, work, 1);
  check_money(*starved);
  CHECK(starved->stop() == 0);
}

#endif

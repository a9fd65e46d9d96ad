// Goal: each number on /metrics is that of the part which its name says. Method: one part at a time
// is brought into a state that no other part is in, and the page is read through the front door.
#include <future>
#include <thread>

#include "base/bytes.h"
#include "db/db.h"
#include "support/test_app.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// The value of a series on the page; -1 when it is not there.
double number(const std::string& page, const std::string& series) {
  const std::string line = "\n" + series + " ";
  const size_t at = page.find(line);
  return at == std::string::npos ? -1 : std::atof(page.c_str() + at + line.size());
}

std::string page_of(const TestApp& app) {
  return app.call("GET", "/metrics").body;
}

}  // namespace

TEST_CASE("gauges: an idle connection holds no worker, and a request holds one", "[unit][app]") {
  TestApp app;
  RawClient idle(app.port());
  REQUIRE(idle.request("GET", "/livez").status == 200);
  wait_until(
      [&] {
        const std::string page = page_of(app);
        return number(page, "kvcs_http_connections") == 2 &&
               number(page, "kvcs_http_busy_workers") == 1 &&
               number(page, "kvcs_http_parked_requests") == 0;
      },
      "two connections are open and one worker is busy");
}

TEST_CASE("gauges: a buffered write is followed by a sync of the store", "[unit][app]") {
  TestApp app;
  KvBatch batch;
  batch.put(KvFamily::kSystem, "gauges", "1");
  REQUIRE(app.parts().kv->write(batch, KvDurability::kBuffered).ok());
  wait_until([&] { return number(page_of(app), "kvcs_kv_syncs_total") > 0; },
             "the write is on disk");
  CHECK(number(page_of(app), "kvcs_ledger_dropped_total") == 0);
}

TEST_CASE("gauges: a write that waits for its database is counted there alone", "[unit][app]") {
  TestApp app;
  const Parts& parts = app.parts();
  for (const bool at_portal : {true, false}) {
    INFO((at_portal ? "portal" : "ledger"));
    DbWriter& writer = at_portal ? *parts.portal_writer : *parts.ledger_writer;
    std::promise<void> begun, may_end;
    std::thread holder([&] {
      (void)writer.run([&](Database&) {
        begun.set_value();
        may_end.get_future().wait();
        return ok();
      });
    });
    begun.get_future().wait();
    std::thread waiter([&] { (void)writer.run([](Database&) { return ok(); }); });
    const auto length = [](const std::string& page, const std::string& database) {
      return number(page, "kvcs_db_writer_queue_length{database=\"" + database + "\"}");
    };
    const bool told = comes_true([&] {
      const std::string page = page_of(app);
      return (length(page, "portal") > 0) == at_portal && (length(page, "ledger") > 0) != at_portal;
    });
    may_end.set_value();
    holder.join();
    waiter.join();
    CHECK(told);
  }
}

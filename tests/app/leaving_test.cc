// Goal: an owner gives an organization up, everybody is refused from then on, a week later it is
// gone, and until then it can be taken back whole; and people delete their accounts without leaving
// an organization to nobody. Method: a whole daemon over HTTP with a clock set by hand.
#include <nlohmann/json.hpp>

#include <atomic>

#include "app/owner_deletion.h"
#include "base/mutex.h"
#include "identity/identity.h"
#include "identity/orgs.h"
#include "support/json_answer.h"
#include "support/people.h"
#include "support/wait.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

const std::string kItIsMe = std::string(R"({"current_password":")") + kGoodPassword + "\"}";

constexpr int64_t kDayMs = 86'400'000;

struct House {
  ManualClock clock{1'800'000'000'000};
  TestApp app{AppOptions{.clock = &clock, .kv_faults = {}}};
  Browser owner = set_up(app);
  std::string org = app.credential("organization_id");
  std::string path = "/api/v1/organizations/" + org;

  int key_status() const { return app.as(app.credential("api_key"), "GET", "/api/v1/me").status; }
  std::string give_up() {
    const RawResponse answer = owner.send("DELETE", path);
    INFO(answer.body);
    REQUIRE(answer.status == 202);
    return json_text(answer.body, "deletion_at");
  }
  // What the job does each minute.
  void run_job() {
    const auto ran = app.parts().deletions->run([] { return false; });
    INFO(ran.status().to_string());
    REQUIRE(ran.ok());
  }
  // The daemon's own job may be at it too, and then one of the two goes on.
  void wait_for_end() {
    wait_until(
        [&] {
          run_job();
          return app.parts().kv->scan(KvFamily::kSystem, "deletion:", "", 1).value().items.empty();
        },
        "no deletion is under way");
  }
  bool is_there() { return app.parts().organizations->find(org).ok(); }
  Json place(Browser& who) const {
    const Json all = json_of(who.send("GET", "/api/v1/organizations"));
    for (const Json& one : all["organizations"]) {
      if (one["organization_id"] == org) return one;
    }
    FAIL("the organization is not in the list");
    return nullptr;
  }
};

std::string person_of(Browser& browser) {
  return json_of(browser.send("GET", "/api/v1/me"))["person_id"].get<std::string>();
}

}  // namespace

TEST_CASE("leaving: an organization is suspended at once, its members see until when",
          "[contract][app][portal]") {
  House f;
  Browser viewer = join(f.app, f.owner, "viewer@example.com", "viewer");
  Browser admin = join(f.app, f.owner, "admin@example.com", "admin");
  const std::string token = json_text(
      f.app.as_owner("POST", "/admin/organizations/" + f.org + "/tokens", R"({"name":"t"})").body,
      "token");
  CHECK(viewer.send("DELETE", f.path).status == 403);
  CHECK(admin.send("DELETE", f.path).status == 403);
  CHECK(f.key_status() == 200);

  const std::string at = f.give_up();
  CHECK(at == format_iso8601_ms(f.clock.unix_ms() + 7 * kDayMs));
  CHECK(f.key_status() == 403);
  CHECK(f.app.as(token, "POST", "/api/v1/default/any", R"({"path":"/"})").status == 403);
  CHECK(f.owner.send("GET", "/api/v1/members").status == 403);
  CHECK(f.owner.send("GET", f.path + "/members").status == 403);
  CHECK(f.owner.send("PATCH", f.path, R"({"name":"n"})").status == 403);
  for (Browser* browser : {&f.owner, &admin, &viewer}) {
    CHECK(f.place(*browser)["deletion_at"] == at);
    CHECK(f.place(*browser)["status"] == "suspended");
    CHECK(json_of(browser->send("GET", f.path))["deletion_at"] == at);
    CHECK(json_of(browser->send("GET", "/api/v1/me"))["organizations"][0]["deletion_at"] == at);
  }
  CHECK(admin.send("POST", f.path + "/restore").status == 403);
  // A repeat changes nothing, and a restart neither.
  f.clock.advance_ms(kDayMs);
  CHECK(f.give_up() == at);
  f.app.restart();
  CHECK(f.key_status() == 403);
  CHECK(f.place(f.owner)["deletion_at"] == at);

  const RawResponse restored = f.owner.send("POST", f.path + "/restore");
  REQUIRE(restored.status == 200);
  CHECK(json_of(restored)["deletion_at"].is_null());
  CHECK(json_of(restored)["status"] == "active");
  CHECK(f.key_status() == 200);
  CHECK_FALSE(f.place(viewer).contains("deletion_at"));
  CHECK(f.owner.send("GET", f.path + "/members").status == 200);
  const RawResponse again = f.owner.send("POST", f.path + "/restore");
  CHECK(again.status == 409);
  CHECK(json_text(again.body, "code") == "deletion_not_planned");
  f.clock.advance_ms(30 * kDayMs);
  f.run_job();
  CHECK(f.is_there());
}

TEST_CASE("leaving: after a week, and not by a clock that leaps, all of it goes",
          "[contract][app][portal]") {
  House f;
  f.give_up();
  f.clock.set_unix_ms(f.clock.unix_ms() + 20 * kDayMs);
  f.run_job();
  CHECK(f.is_there());
  f.clock.set_unix_ms(f.clock.unix_ms() - 20 * kDayMs);
  f.clock.advance_ms(7 * kDayMs - 1000);
  f.run_job();
  CHECK(f.is_there());
  f.app.restart();
  f.clock.advance_ms(2000);
  f.wait_for_end();
  CHECK_FALSE(f.is_there());
  CHECK(f.key_status() == 401);
  for (const KvFamily family : {KvFamily::kConfig, KvFamily::kSystem, KvFamily::kAuth}) {
    const KvPage all = f.app.parts().kv->scan(family, "", "", 1000).value();
    for (const KvItem& item : all.items) {
      INFO(item.key << " " << item.entry.value);
      const bool is_session = item.key.starts_with("session:");
      CHECK((is_session || (item.key + item.entry.value).find(f.org) == std::string::npos));
    }
  }
}

TEST_CASE("leaving: an operator deletes at once, and takes a plan back by resuming",
          "[contract][app][portal]") {
  House f;
  const std::string mine = json_text(
      f.owner.send("POST", "/api/v1/organizations", R"({"name":"Mine"})").body, "organization_id");
  Browser other = join(f.app, f.owner, "other@example.com", "owner");
  // Owner of the organization, and no operator.
  CHECK(other.send("DELETE", f.path + "?force=true").status == 403);
  CHECK(f.is_there());
  CHECK(other.send("DELETE", f.path + "?force=maybe").status == 400);
  CHECK(other.send("DELETE", "/api/v1/organizations/" + mine).status == 404);
  f.give_up();
  REQUIRE(f.app.as_owner("POST", "/admin/organizations/" + f.org + "/resume").status == 200);
  CHECK(f.key_status() == 200);
  f.clock.advance_ms(8 * kDayMs);
  f.run_job();
  CHECK(f.is_there());
  // What an operator suspends meanwhile stays suspended when its owner takes the deletion back.
  f.give_up();
  REQUIRE(f.app.as_owner("POST", "/admin/organizations/" + f.org + "/suspend").status == 200);
  const RawResponse taken_back = f.owner.send("POST", f.path + "/restore");
  CHECK(taken_back.status == 200);
  CHECK(f.key_status() == 403);
  REQUIRE(f.app.as_owner("POST", "/admin/organizations/" + f.org + "/resume").status == 200);
  CHECK(f.key_status() == 200);
  REQUIRE(f.owner.send("DELETE", "/api/v1/organizations/" + mine + "?force=true").status == 204);
  CHECK(f.app.as_owner("GET", "/admin/organizations/" + mine).status == 404);
}

TEST_CASE("leaving: what is paid for an organization elsewhere ends once its going is written down",
          "[fault][app][portal]") {
  House f;
  std::atomic<int> asked = 0;
  std::atomic<bool> is_away = true, is_other = false;  // The daemon's own job asks, too.
  f.app.parts().before_organization_goes = [&](std::string_view id) -> Status {
    asked++;
    if (id != f.org) is_other = true;
    return is_away ? unavailable("The payment provider does not answer.") : ok();
  };
  const auto job_fails = [&] {
    return f.app.parts().deletions->run([] { return false; }).code() == Code::kUnavailable;
  };
  f.give_up();
  CHECK(f.key_status() == 403);
  CHECK(asked > 0);
  // The job asks again until it is ended, and says that it is not.
  CHECK(job_fails());
  is_away = false;
  f.run_job();
  const int until_ended = asked;
  f.run_job();
  CHECK(asked == until_ended);
  // And again before the end: a failure puts it off.
  is_away = true;
  f.clock.advance_ms(8 * kDayMs);
  CHECK(job_fails());
  CHECK(f.is_there());
  is_away = false;
  f.run_job();
  CHECK_FALSE(f.is_there());
  CHECK_FALSE(is_other);
}

TEST_CASE("leaving: what was taken back while its payments were ended goes on living",
          "[fault][app][portal]") {
  House f;
  std::atomic<int> asked = 0;
  std::atomic<bool> comes_back = false;
  Mutex one_at_a_time;  // The daemon's own job asks, too.
  f.app.parts().before_organization_goes = [&](std::string_view id) -> Status {
    const MutexLock lock(one_at_a_time);
    asked++;
    if (!comes_back.exchange(false)) return ok();
    return f.app.parts().organizations->withdraw_deletion(id, {"owner", "test", ""}).status();
  };
  // At its time: an owner is quicker than the payment provider.
  f.give_up();
  comes_back = true;
  f.clock.advance_ms(8 * kDayMs);
  f.run_job();
  wait_until([&] { return !comes_back; }, "the payments were asked for");
  f.wait_for_end();
  CHECK(f.is_there());
  CHECK(f.key_status() == 200);
  // What is given up again may have been paid for again.
  const int before = asked;
  f.give_up();
  CHECK(asked > before);
  // And again, where it is given up twice: a repeat asks at once.
  const int once = asked;
  f.give_up();
  CHECK(asked > once);
  // Who gives it up hears that another owner was quicker.
  comes_back = true;
  CHECK(json_of(f.owner.send("DELETE", f.path))["deletion_at"].is_null());
  CHECK(f.key_status() == 200);
}

TEST_CASE("leaving: an organization whose deletion cannot be written down is paid for still",
          "[fault][app][portal]") {
  std::atomic<bool> is_down = false;
  AppOptions options;
  options.kv_faults = [&](std::string_view op, std::string_view) -> Status {
    const bool writes = op == "write" || op == "cas";
    return is_down && writes ? unavailable("The disk is full.") : ok();
  };
  TestApp app(options);
  Browser owner = set_up(app);
  const std::string org = app.credential("organization_id");
  std::atomic<int> asked = 0;
  app.parts().before_organization_goes = [&](std::string_view) {
    asked++;
    return ok();
  };
  is_down = true;
  CHECK(owner.send("DELETE", "/api/v1/organizations/" + org).status == 503);
  CHECK(app.as_owner("DELETE", "/admin/organizations/" + org + "?force=true").status == 503);
  CHECK(asked == 0);
  is_down = false;
  // One that holds something is refused, and paid for still.
  CHECK(app.as_owner("DELETE", "/admin/organizations/" + org).status == 409);
  CHECK(asked == 0);
  CHECK(app.as_owner("DELETE", "/admin/organizations/" + org + "?force=true").status / 100 == 2);
  CHECK(asked > 0);
}

TEST_CASE("leaving: what a person has under way ends with the organization, the session does not",
          "[unit][app][portal]") {
  House f;
  const std::string token = f.owner.cookie.substr(f.owner.cookie.find('=') + 1);
  const Principal caller = f.app.parts().auth->authenticate(token).value();
  REQUIRE(caller.organization_id == f.org);
  CHECK(f.app.parts().auth->still_admits(caller).ok());
  f.give_up();
  CHECK(f.app.parts().auth->still_admits(caller).reason() == "org_suspended");
  CHECK(f.owner.send("GET", "/api/v1/me").status == 200);
}

TEST_CASE("leaving: a person goes, but not as the last owner of what others are in",
          "[contract][app][portal]") {
  House f;
  Browser other = join(f.app, f.owner, "other@example.com", "member");
  const std::string other_id = person_of(other), owner_id = person_of(f.owner);
  const std::string alone = json_text(
      other.send("POST", "/api/v1/organizations", R"({"name":"Alone"})").body, "organization_id");
  const RawResponse refused = f.owner.send("DELETE", "/api/v1/me", kItIsMe);
  CHECK(refused.status == 409);
  CHECK(refused.body.find("last owner") != std::string::npos);
  CHECK(f.owner.send("GET", "/api/v1/me").status == 200);

  // A second owner who is suspended lets nobody in.
  const std::string second = R"({"role":"owner"})", suspended = R"({"status":"suspended"})";
  Browser third = join(f.app, f.owner, "third@example.com", "member");
  const std::string third_id = person_of(third);
  REQUIRE(f.owner.send("PATCH", "/api/v1/members/" + third_id, second).status == 200);
  REQUIRE(f.owner.send("PATCH", "/admin/people/" + third_id, suspended).status == 200);
  CHECK(f.owner.send("DELETE", "/api/v1/me", kItIsMe).status == 409);
  CHECK_FALSE(f.place(f.owner).contains("deletion_at"));
  REQUIRE(f.owner.send("DELETE", "/api/v1/members/" + third_id).status == 204);

  const RawResponse gone = other.send("DELETE", "/api/v1/me", kItIsMe);
  INFO(gone.body);
  REQUIRE(gone.status == 200);
  REQUIRE(json_of(gone)["organizations"].size() == 1);
  CHECK(json_of(gone)["organizations"][0]["organization_id"] == alone);
  CHECK(gone.header("set-cookie").find("Max-Age=0") != std::string_view::npos);
  CHECK(f.app.call("GET", "/api/v1/me", {{"Cookie", other.cookie}}).status == 401);
  const std::string sign_in =
      std::string(R"({"email":"other@example.com","password":")") + kGoodPassword + "\"}";
  Browser fresh(f.app);
  CHECK(fresh.send("POST", "/auth/login", sign_in).status == 401);
  const Json members = json_of(f.owner.send("GET", "/api/v1/members"))["members"];
  REQUIRE(members.size() == 1);
  CHECK(members[0]["person_id"] == owner_id);
  // Nothing of the person is left when the organization is gone too; the address may come again.
  f.clock.advance_ms(8 * kDayMs);
  f.wait_for_end();
  CHECK(f.app.as_owner("GET", "/admin/organizations/" + alone).status == 404);
  for (const KvFamily family : {KvFamily::kConfig, KvFamily::kSystem}) {
    const KvPage all = f.app.parts().kv->scan(family, "", "", 1000).value();
    for (const KvItem& item : all.items) {
      INFO(item.key << " " << item.entry.value);
      CHECK((item.key + item.entry.value).find(other_id) == std::string::npos);
    }
  }
  join(f.app, f.owner, "other@example.com", "viewer");
}

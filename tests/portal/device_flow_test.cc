// Goal: a device gets in when its person has agreed to it, once, in time, and nobody by guessing.
// Method: the grant with a clock moved by hand.
#include "portal/device_flow.h"

#include <catch2/catch.hpp>

#include <set>

using namespace kvcs;
using namespace kvcs::portal;

namespace {

struct Rig {
  ManualClock clock;
  std::unique_ptr<Entropy> entropy = make_seeded_entropy(3);
  DeviceFlow flow{clock, *entropy, 600, 5};

  Result<StartedDevice> start(const std::string& address = "192.0.2.1") {
    DeviceAsk ask;
    ask.client_id = "cli";
    ask.name = "laptop";
    ask.address = address;
    return flow.start(std::move(ask));
  }
  DeviceState poll(const StartedDevice& device, const std::string& client_id = "cli") {
    return flow.poll(device.device_code.reveal(), client_id).state;
  }
  void pass(int64_t seconds) { clock.advance_ms(seconds * 1000); }
};

}  // namespace

TEST_CASE("device flow: codes are long, and one for people is easy to type", "[unit][portal]") {
  Rig rig;
  std::set<std::string> codes;
  for (int i = 0; i < 15; i++) {
    const StartedDevice device = rig.start().value();
    CHECK(device.device_code.reveal().size() == 43);  // 256 bits.
    CHECK(device.user_code.size() == 9);
    CHECK(device.user_code[4] == '-');
    CHECK(device.user_code.find_first_not_of("BCDFGHJKLMNPQRSTVWXZ-") == std::string::npos);
    CHECK(codes.insert(device.user_code).second);
  }
  CHECK(normal_user_code(" wdjb mjht ") == "WDJBMJHT");
  CHECK(normal_user_code("WDJB-MJHT") == "WDJBMJHT");
  CHECK(shown_user_code("wdjbmjht") == "WDJB-MJHT");
  for (const char* bad : {"", "WDJB", "WDJB-MJHTX", "WDJB-MJHA", "WDJB_MJHT", "01234567"}) {
    CHECK(normal_user_code(bad).empty());
    CHECK(shown_user_code(bad).empty());
  }
}

TEST_CASE("device flow: the device waits, is let in once, and nobody else is", "[unit][portal]") {
  Rig rig;
  const StartedDevice device = rig.start().value();
  const StartedDevice other = rig.start().value();
  rig.pass(5);
  CHECK(rig.poll(device) == DeviceState::kPending);
  CHECK(rig.flow.find(device.user_code)->name == "laptop");
  CHECK(rig.flow.decide("BBBB-BBBB", "ada").reason() == "user_code_unknown");
  CHECK(rig.flow.find("nonsense").status().reason() == "user_code_unknown");
  REQUIRE(rig.flow.decide(device.user_code, "ada", "idp").ok());
  // It has been decided: whoever comes later cannot change it.
  CHECK(rig.flow.decide(device.user_code, "eve").reason() == "user_code_unknown");
  rig.pass(5);
  CHECK(rig.poll(device, "another client") == DeviceState::kUnknown);
  const DeviceAnswer answer = rig.flow.poll(device.device_code.reveal(), "cli");
  CHECK(answer.state == DeviceState::kApproved);
  CHECK(answer.subject == "ada");
  CHECK(answer.session_id == "idp");
  CHECK(answer.ask.name == "laptop");
  CHECK(rig.poll(device) == DeviceState::kUnknown);
  CHECK(rig.poll(other) == DeviceState::kPending);
  REQUIRE(rig.flow.decide(other.user_code, "").ok());
  CHECK(rig.poll(other) == DeviceState::kDenied);
  CHECK(rig.poll(other) == DeviceState::kUnknown);
  CHECK(rig.flow.poll("guess", "cli").state == DeviceState::kUnknown);
}

TEST_CASE("device flow: an approval that led to nothing is there for the next question",
          "[fault][portal]") {
  Rig rig;
  const StartedDevice device = rig.start().value();
  REQUIRE(rig.flow.decide(device.user_code, "ada").ok());
  const std::string code = device.device_code.reveal();
  for (int i = 0; i < 2; i++) {
    CHECK(rig.poll(device) == DeviceState::kApproved);
    const DeviceFlow::Redemption failed(rig.flow, code);
    CHECK(rig.poll(device) == DeviceState::kUnknown);  // Of two at once one has it.
  }
  CHECK(rig.flow.poll(code, "cli").subject == "ada");
  {
    DeviceFlow::Redemption redemption(rig.flow, code);
    redemption.done();
  }
  CHECK(rig.poll(device) == DeviceState::kUnknown);
}

TEST_CASE("device flow: one that asks too often is slowed down, and ends in time",
          "[unit][portal]") {
  Rig rig;
  const StartedDevice device = rig.start().value();
  CHECK(rig.poll(device) == DeviceState::kSlowDown);
  rig.pass(5);  // From now on it must wait for ten.
  CHECK(rig.poll(device) == DeviceState::kSlowDown);
  rig.pass(15);
  CHECK(rig.poll(device) == DeviceState::kPending);
  rig.pass(580);
  CHECK(rig.poll(device) == DeviceState::kExpired);
  CHECK(rig.flow.decide(device.user_code, "ada").reason() == "user_code_unknown");
  rig.pass(700);
  REQUIRE(rig.start().ok());  // What is long over is forgotten.
  CHECK(rig.poll(device) == DeviceState::kUnknown);
}

TEST_CASE("device flow: so many wait and no more, and an address takes its own places alone",
          "[unit][portal]") {
  Rig rig;
  for (size_t i = 0; i < kDeviceFlowsPerBlockMax; i++) REQUIRE(rig.start().ok());
  CHECK(rig.start().status().reason() == "devices_full");
  REQUIRE(rig.start("192.0.2.2").ok());
  rig.pass(600);
  REQUIRE(rig.start().ok());
  int refused = 0;
  for (size_t i = 0; i < kDeviceFlowsMax; i++) {
    const std::string address = "10.1." + std::to_string(i / 250) + "." + std::to_string(i % 250);
    refused += rig.start(address).ok() ? 0 : 1;
  }
  CHECK(refused > 0);
}

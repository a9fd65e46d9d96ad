// Money of random requests to a daemon that is killed again and again: what ARCHITECTURE.md
// promises in its table "Crashes". A request is in the journal before a provider hears of it, and a
// killed process loses nothing that is there, so every request that a provider was asked has its
// row, once, and counters equal rows. Method: as in app/ai_walk_test.cc, but with the real binary,
// which gets SIGKILL when the clients and the providers have made a drawn number of steps, and
// starts again on the same directory, sometimes to be killed while it starts. Each request has a
// key of its own, so that its rows are known whatever its client has seen. Requests, answers and
// numbers of steps follow from the seed; the threads' course does not.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>

#include "base/mutex.h"
#include "base/thread.h"
#include "support/billing_rules.h"
#include "support/chance.h"
#include "support/daemon.h"
#include "support/wait.h"
#include "support/walk_asks.h"
#include "support/walk_house.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

// --- The daemon's lives ---

// Where the daemon listens, for the clients, and the step at which it dies. Thread-safe.
class Gate final {
 public:
  explicit Gate(int clients) : clients_(clients) {}

  // With `steps` 0 this life is the last one.
  void open(int port, pid_t pid, int64_t steps) {
    MutexLock lock(mutex_);
    port_ = port;
    pid_ = pid;
    steps_ = steps;
    changed_.notify_all();
  }
  // The port of the daemon that runs, or of the next one; 0: there is none any more.
  int port() {
    MutexLock lock(mutex_);
    while (port_ == 0 && !is_closed_) changed_.wait(mutex_);
    return port_;
  }
  // Something has happened at a client or a provider.
  void step() {
    MutexLock lock(mutex_);
    made_++;
    if (steps_ == 0 || --steps_ > 0) return;
    ::kill(pid_, SIGKILL);
    port_ = 0;
    changed_.notify_all();
  }
  // A provider pauses at every third step until others have made some, or some milliseconds, so
  // that many streams are open when the daemon dies.
  void step_of_provider() {
    step();
    MutexLock lock(mutex_);
    if (made_ % 3 != 0) return;
    const int64_t until = made_ + 20;
    for (int turns = 0; turns < 10 && made_ < until && port_ != 0; turns++) {
      changed_.wait_for_ms(mutex_, 1);
    }
  }
  void end_client() {
    MutexLock lock(mutex_);
    clients_--;
    changed_.notify_all();
  }
  void close() {
    MutexLock lock(mutex_);
    port_ = 0;
    is_closed_ = true;
    changed_.notify_all();
  }
  // False: no client is left, and the daemon lives.
  bool wait_until_killed() {
    MutexLock lock(mutex_);
    while (port_ != 0 && clients_ > 0) changed_.wait(mutex_);
    steps_ = 0;
    return port_ == 0;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int port_ KVCS_GUARDED_BY(mutex_) = 0;
  pid_t pid_ KVCS_GUARDED_BY(mutex_) = 0;
  int64_t steps_ KVCS_GUARDED_BY(mutex_) = 0, made_ KVCS_GUARDED_BY(mutex_) = 0;
  int clients_ KVCS_GUARDED_BY(mutex_);
  bool is_closed_ KVCS_GUARDED_BY(mutex_) = false;
};

// --- A request ---

// What its client has seen of the answer.
struct Seen {
  int status = 0;  // 0: no head came.
  bool is_stream = false;
  int64_t text_bytes = 0;  // Of a stream.
};

// The providers' texts are made of x, and no name in their answers begins so.
int64_t text_bytes(std::string_view answer) {
  answer = answer.substr(0, answer.find("response.completed"));  // It repeats the text.
  int64_t bytes = 0;
  for (size_t i = 1, run = 0; i < answer.size(); i++) {
    run = answer[i] == 'x' && (run > 0 || answer[i - 1] == '"') ? run + 1 : 0;
    bytes += run > 0 ? 1 : 0;
  }
  return bytes;
}

Seen look_at(const std::string& answer) {
  Seen seen;
  const size_t head = answer.find("\r\n\r\n");
  if (head == answer.npos) return seen;
  seen.status = std::atoi(answer.c_str() + 9);
  seen.is_stream = answer.find("text/event-stream") < head;
  if (seen.is_stream) seen.text_bytes = text_bytes(answer);
  return seen;
}

struct KillWalk {
  KillWalk(uint64_t walk_seed, WalkSize size, int clients)
      : seed(walk_seed),
        gate(clients),
        walk(walk_seed, size, [this] { gate.step_of_provider(); }) {}

  // Connected, unless there is no daemon any more.
  RawClient connect() {
    for (int before = 0;;) {
      const int port = gate.port();
      if (port != 0 && port == before) gate.close();  // Nobody has killed it, and it is gone.
      RawClient client(port);
      if (port == 0 || client.connected()) return client;
      before = port;
    }
  }

  Seen send(RawClient& client, const std::string& key, const Ask& ask) {
    client.send("POST " + ask.path + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
                "Authorization: Bearer " + key +
                "\r\nContent-Length: " + std::to_string(ask.body.size()) + "\r\n\r\n" + ask.body);
    std::string answer;
    if (ask.leave == Leave::kBeforeHead) {
      pollfd entry = {client.socket(), POLLIN, 0};
      (void)comes_true(
          [&] { return walk.provider.has_come(ask.marker) || ::poll(&entry, 1, 0) > 0; });
    } else if (ask.leave != Leave::kAtOnce) {
      for (;;) {
        const std::string more = client.read_some();
        gate.step();
        answer += more;
        if (more.empty() || ask.leave == Leave::kInAnswer) break;
      }
    }
    if (ask.leave != Leave::kNever) client.reset();
    walk.provider.let_go(ask.marker);
    return look_at(answer);
  }

  // Makes requests until each key has made one.
  void be_client() {
    for (size_t number; (number = next++) < walk.keys.size();) {
      RawClient client = connect();
      if (!client.connected()) break;
      Random random(seed * 1'000'003 + number);
      const Ask ask =
          make_ask(random, "walk-" + std::to_string(seed) + "-" + std::to_string(number));
      const Seen came = send(client, walk.keys[number], ask);
      MutexLock lock(mutex);
      seen[walk.key_ids[number]] = {ask.marker, came};
    }
    gate.end_client();
  }

  using SeenBy = std::map<std::string, std::pair<std::string, Seen>>;  // Key → marker, and that.

  const uint64_t seed;
  Gate gate;
  WalkHouse walk;  // Ends first, for its providers make steps.
  std::atomic<size_t> next = 0;
  Mutex mutex;
  SeenBy seen KVCS_GUARDED_BY(mutex);
};

// The real binary on the directory of the house, whose own daemon has stopped.
class Lives final {
 public:
  explicit Lives(KillWalk& kill_walk) : walk_(kill_walk), random_(kill_walk.seed) {
    std::ofstream config(dir_.file("kvcs.yaml"));
    config << "shutdown_grace_s: 5\n"
              "http: {workers_min: 2}\n"
              "kv: {block_cache_bytes: 1048576, write_buffer_bytes: 1048576}\n"
              "admin: {requests_per_minute: 1000000}\n"
              "ai: {aliases: \""
           << WalkHouse::kAliases << "\"}\n";
  }
  // Clients that wait for the next life end, also when a check has failed.
  ~Lives() { walk_.gate.close(); }

  // Lives until all clients are done, and dies up to `kills` times before. Returns how often.
  int run(int kills) {
    for (int killed = 0;; killed++) {
      const std::unique_ptr<Daemon> daemon = start();
      const int port = daemon->wait_until_ready();
      INFO(daemon->log());
      REQUIRE(port > 0);
      // A killed process leaves whole records in the journal, or none.
      CHECK_FALSE(has(daemon->log(), "journal_damaged"));
      walk_.gate.open(port, daemon->pid(), killed < kills ? between(random_, 5, 300) : 0);
      if (!walk_.gate.wait_until_killed()) {
        end(*daemon, port);
        return killed;
      }
      CHECK(daemon->wait() == 128 + SIGKILL);
      if (chance(random_, 40)) die_in_start();
    }
  }

 private:
  std::unique_ptr<Daemon> start() const {
    const std::vector<std::string> arguments = {
        "serve",    "--data-dir",          data_dir(), "--listen", "127.0.0.1:0",
        "--config", dir_.file("kvcs.yaml")};
    return std::make_unique<Daemon>(arguments, dir_.file("log"));
  }
  std::string data_dir() const { return walk_.walk.house.app.data_dir(); }

  // The journal is read before the daemon is ready.
  void die_in_start() {
    const std::unique_ptr<Daemon> daemon = start();
    const auto some_ms = static_cast<int>(between(random_, 1, 200));
    (void)daemon->wait_for_log("\"server.ready\"", some_ms);
    daemon->signal(SIGKILL);
    daemon->wait();
  }

  // Those who left are settled once their providers have been read to the end. The daemon then ends
  // well, or is killed with the last charges on their way.
  void end(Daemon& daemon, int port) {
    const std::string path = "/admin/organizations/" + walk_.walk.house.org + "/usage";
    const std::string key = walk_.walk.house.app.credential("admin_key");
    std::string usage;
    const bool is_settled = comes_true([&] {
      usage = fetch(port, "GET", path, {{"Authorization", "Bearer " + key}}).body;
      return has(usage, "\"reserved_usd\":0.00,") || has(usage, "\"reserved_usd\":0.00}");
    });
    INFO(usage);
    CHECK(is_settled);
    const bool is_killed = chance(random_, 50);
    daemon.signal(is_killed ? SIGKILL : SIGTERM);
    CHECK(daemon.wait() == (is_killed ? 128 + SIGKILL : 0));
  }

  KillWalk& walk_;
  Random random_;
  TempDir dir_;
};

// --- What came of it ---

struct Counts {
  int exact = 0, estimated = 0, recovered = 0, beheld = 0;
  int64_t recovered_nano_usd = 0, billed_nano_usd = 0;  // Of recovered rows, and of their bills.
};

// The rows and the bills of one request.
struct OneRequest {
  std::vector<WalkRow> rows;
  std::map<std::string, Bill> bills;  // By provider; each that has found its row is taken out.
  Seen seen;
};

// A row is what was billed, or not less when it is estimated.
void check_settled(const WalkRow& row, OneRequest& one, Counts& counts) {
  const auto bill = one.bills.find(row.provider);
  if (bill == one.bills.end()) {
    CHECK((row.estimated || row.cost == 0));
    return;
  }
  INFO(bill->second.nano_usd << " " << bill->second.manner << " " << shown(bill->second.used));
  (row.estimated ? counts.estimated : counts.exact)++;
  if (row.estimated) {
    CHECK(row.cost >= bill->second.nano_usd);
  } else {
    CHECK(row.cost == bill->second.nano_usd);
  }
  one.bills.erase(bill);
}

// A try that was open is charged its input and the output that had passed. Its row names the first
// provider that it may have gone to, and it went to one whose bill has no other row.
void check_recovered(const WalkRow& row, OneRequest& one, Counts& counts) {
  counts.recovered++;
  counts.recovered_nano_usd += row.cost;
  CHECK(row.estimated);
  CHECK(row.cost <= row.reserved);
  CHECK(row.output_tokens >= one.seen.text_bytes);
  counts.beheld += one.seen.text_bytes > 0 ? 1 : 0;
  const auto bill = std::find_if(one.bills.begin(), one.bills.end(),
                                 [](const auto& entry) { return entry.second.nano_usd > 0; });
  if (bill == one.bills.end()) return;
  INFO(bill->second.nano_usd << " " << bill->second.manner << " " << shown(bill->second.used));
  counts.billed_nano_usd += bill->second.nano_usd;
  CHECK(bill->second.nano_usd <= row.reserved);
  Use least = bill->second.used;
  least.reasoning = least.spoken = 0;
  least.text = one.seen.text_bytes / 3;  // The providers' tokens have three bytes at most.
  CHECK(row.cost >= std::min(amount_nano_usd(*bill->second.sheet, least), bill->second.nano_usd));
  one.bills.erase(bill);
}

void check_request(OneRequest& one, Counts& counts) {
  CHECK((one.bills.empty() || !one.rows.empty()));
  const auto is_last = [](const WalkRow& row) { return row.id.find('.') == row.id.npos; };
  CHECK(std::count_if(one.rows.begin(), one.rows.end(), is_last) == (one.rows.empty() ? 0 : 1));
  for (const WalkRow& row : one.rows) {
    INFO(row.text);
    if (!row.recovered) check_settled(row, one, counts);
  }
  for (const WalkRow& row : one.rows) {
    INFO(row.text);
    if (!row.recovered) continue;
    // What is not streamed is settled before its client sees the first byte.
    CHECK((one.seen.status == 0 || one.seen.is_stream));
    check_recovered(row, one, counts);
  }
  for (const auto& [provider, bill] : one.bills) {
    INFO(provider << " " << bill.manner << " " << shown(bill.used));
    CHECK(bill.nano_usd == 0);  // A target that refused was passed over.
  }
}

Counts check_requests(const WalkHouse& walk, const std::vector<WalkRow>& rows,
                      const KillWalk::SeenBy& seen_by) {
  std::map<std::string, OneRequest> requests;  // By marker.
  std::map<std::string, std::string> marker_of;
  for (const auto& [key, by] : seen_by) {
    requests[by.first].seen = by.second;
    marker_of[key] = by.first;
  }
  for (const WalkRow& row : rows) requests[marker_of.at(row.key)].rows.push_back(row);
  for (const auto& [name, bill] : walk.provider.bills()) {
    requests.at(name.first).bills[name.second] = bill;
  }
  Counts counts;
  for (auto& [marker, one] : requests) {
    INFO(marker << " saw " << one.seen.status << " and " << one.seen.text_bytes << " bytes");
    check_request(one, counts);
  }
  return counts;
}

std::string told(const Counts& counts) {
  return std::to_string(counts.exact) + " rows exact, " + std::to_string(counts.estimated) +
         " estimated, " + std::to_string(counts.recovered) + " recovered (" +
         std::to_string(counts.beheld) +
         " with output seen): " + std::to_string(counts.recovered_nano_usd) +
         " nano-USD charged, " + std::to_string(counts.billed_nano_usd) + " billed, " +
         std::to_string(counts.recovered_nano_usd - counts.billed_nano_usd) + " more";
}

// Walks once, and checks the books twice: nothing may change when the daemon starts once more.
Counts walk_once(uint64_t seed, int clients, int keys_per_user, int kills) {
  INFO("seed " << seed);
  KillWalk kill_walk(seed, {.keys_per_user = keys_per_user, .budget_times = 4}, clients);
  WalkHouse& walk = kill_walk.walk;
  walk.house.app.stop();
  {
    std::vector<Thread> threads;
    for (int i = 0; i < clients; i++) {
      threads.emplace_back("kill-client", [&] { kill_walk.be_client(); });
    }
    Lives lives(kill_walk);
    const int killed = lives.run(kills);
    CHECK(killed > 0);
  }
  Counts counts;
  for (int start = 0; start < 2; start++) {
    walk.house.app.restart();
    const std::vector<WalkRow> rows = rows_of(walk.house);
    check_counters(walk, rows);
    MutexLock lock(kill_walk.mutex);
    counts = check_requests(walk, rows, kill_walk.seen);
  }
  check_no_alerts(walk);
  CHECK(has(walk.house.admin("GET", "/admin/outbox-dead").body, "\"outbox_dead\":[]"));
  CHECK(walk.house.admin("GET", "/admin/audit/verify").status == 200);
  INFO(told(counts));
  CHECK(counts.exact > 0);
  CHECK(counts.estimated > 0);
  CHECK(counts.recovered > 0);
  return counts;
}

}  // namespace

TEST_CASE("ai walk: killed again and again, the daemon keeps every charge, once",
          "[e2e][ai][walk]") {
  for (uint64_t seed = 1; seed < 4; seed++) walk_once(seed, 10, 20, 4);
}

// `build/release/kvcs_tests "[long-kill-walk]"`, in a minute; says what recovered rows cost beside
// their bills.
TEST_CASE("ai walk: many more lives keep their charges too", "[.][slow][long-kill-walk]") {
  for (uint64_t seed = 4; seed < 24; seed++) WARN(told(walk_once(seed, 24, 50, 10)));
}

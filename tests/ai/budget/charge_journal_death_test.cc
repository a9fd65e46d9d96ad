// Goal: whatever moment ends the process or the power, the journal of charges holds of a request
// its reservation, then its charge as well, then its charge alone, and then nothing; a reservation
// that stood alone after its charge would be charged a second time. Method: a child process works
// on the mapped file one instruction at a time, and after each the parent reads the file as the
// next start would; for power cuts, a disk that forgets what was not synced.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <set>

#include "ai/budget/charge_journal.h"
#include "support/cut_folder.h"

using namespace kvcs;
using namespace kvcs::ai;
using namespace kvcs::test;

namespace {

// Far more than the few thousand that a request takes.
constexpr int kStepsMax = 5'000'000;

// "reservation|charge" of each slot that holds something, and the output where there is any.
std::string words(const ChargeJournal::Left& left) {
  std::string text = left.damaged > 0 ? "DAMAGED " : "";
  for (const auto& one : left.all) {
    text += one.reservation_json + "|" + one.charge_json;
    if (one.output_tokens > 0) text += "+" + std::to_string(one.output_tokens);
    text += " ";
  }
  return text;
}

// The first slot of a journal's file, as another process sees it.
class Slot final {
 public:
  explicit Slot(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    page_ = ::mmap(nullptr, ChargeJournal::kSlotBytes, PROT_READ, MAP_SHARED, fd, 0);
    ::close(fd);
    REQUIRE(page_ != MAP_FAILED);
  }
  ~Slot() { ::munmap(page_, ChargeJournal::kSlotBytes); }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  bool changed() {
    if (std::memcmp(page_, seen_.data(), seen_.size()) == 0) return false;
    std::memcpy(seen_.data(), page_, seen_.size());
    return true;
  }
  // What a start would find, had the process died now.
  std::string found() const {
    TempDir dir;
    REQUIRE(ChargeJournal::write_empty(dir.file("journal")).ok());
    std::fstream(dir.file("journal"), std::ios::binary | std::ios::in | std::ios::out) << seen_;
    return words(ChargeJournal::read(dir.file("journal")).value());
  }

 private:
  void* page_ = nullptr;
  std::string seen_ = std::string(ChargeJournal::kSlotBytes, '\0');
};

// Runs `work` in a child, and `look` here after each instruction of it.
void step_through(const std::function<void()>& work, const std::function<void()>& look) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
    ::raise(SIGSTOP);
    work();
    ::_exit(0);
  }
  int status = 0;
  int steps = 0;
  while (::waitpid(child, &status, 0) == child && WIFSTOPPED(status) && steps < kStepsMax) {
    look();
    steps++;
    if (::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr) != 0) break;
  }
  if (!WIFEXITED(status)) {
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }
  REQUIRE(WIFEXITED(status));
  REQUIRE(WEXITSTATUS(status) == 0);
}

}  // namespace

TEST_CASE("charge journal: killed at any instruction, no charge is lost and none stands twice",
          "[fault][ai][power]") {
  TempDir dir;
  const std::string path = dir.file("journal");
  ChargeJournal journal;
  REQUIRE(journal.open(path).ok());
  Slot slot(path);
  std::vector<std::string> states = {slot.found()};
  // The second has the same slot; its texts are shorter, so that the first one's ends stay behind.
  const std::string long_text(600, 'l'), other(500, 'o');
  const auto end = [&journal](uint32_t taken) { journal.end(std::span(&taken, 1)); };
  const auto work = [&] {
    for (const std::string& text : {long_text, std::string("s"), other}) {
      const Result<uint32_t> taken = journal.begin("{" + text + "}");
      if (!taken.ok() || *taken != 0) ::_exit(3);
      if (!journal.note_charge(0, "{charge of " + text + "}").ok()) ::_exit(4);
      end(0);
    }
    if (*journal.begin("{unsent}") != 0) ::_exit(5);
    journal.end_uncharged(0);
    if (*journal.begin("{stream}") != 0) ::_exit(6);
    for (const int64_t tokens : {255, 256, 70'000}) journal.note_output(0, tokens);
    if (!journal.note_charge(0, "{its charge}").ok()) ::_exit(7);
    end(0);
    if (*journal.begin("{next}") != 0) ::_exit(8);
  };
  step_through(work, [&] {
    if (!slot.changed()) return;
    std::string found = slot.found();
    if (found != states.back()) states.push_back(std::move(found));
  });
  std::vector<std::string> wanted = {""};
  for (const std::string& text : {long_text, std::string("s"), other}) {
    wanted.push_back("{" + text + "}| ");
    wanted.push_back("{" + text + "}|{charge of " + text + "} ");
    wanted.push_back("|{charge of " + text + "} ");
    wanted.emplace_back();
  }
  wanted.emplace_back("{unsent}| ");
  wanted.emplace_back();
  for (const char* output : {"", "+255", "+256", "+70000", "{its charge}+70000"}) {
    wanted.push_back(std::string("{stream}|") + output + " ");
  }
  wanted.emplace_back("|{its charge} ");
  wanted.emplace_back();
  wanted.emplace_back("{next}| ");
  CHECK(states == wanted);
}

TEST_CASE("charge journal: after a power cut each record is whole, and what was synced is there",
          "[fault][ai][power]") {
  CutFolder folder;
  ChargeJournal journal;
  REQUIRE(journal.open(folder.path() + "/journal").ok());
  std::set<std::string> noted, synced;
  const auto check = [&] {
    for (const CutFate& fate : cut_fates()) {
      INFO(fate.name());
      const ChargeJournal::Left left = ChargeJournal::read(folder.cut(fate) + "/journal").value();
      std::set<std::string> found;
      for (const auto& one : left.all) {
        for (const std::string& text : {one.reservation_json, one.charge_json}) {
          CHECK((text.empty() || noted.contains(text)));
          found.insert(text);
        }
      }
      for (const std::string& text : synced) CHECK(found.contains(text));
    }
  };
  const auto text = [](char kind, int number) {
    return std::string(1, kind) + std::to_string(number) + std::string(700, kind);
  };
  for (int i = 0; i < 40; i++) {
    // Of four, one stays open for long, one is charged and stays; two end at once.
    noted.insert({text('r', i), text('c', i)});
    const uint32_t slot = *journal.begin(text('r', i));
    if (i % 4 > 0) REQUIRE(journal.note_charge(slot, text('c', i)).ok());
    if (i % 4 > 1) journal.end(std::span(&slot, 1));
    if (i % 13 != 12) continue;
    REQUIRE(journal.sync().ok());
    for (int held = 0; held <= i; held++) {
      if (held % 4 < 2) synced.insert(text('r', held));
      if (held % 4 == 1) synced.insert(text('c', held));
    }
    check();
  }
  check();
}

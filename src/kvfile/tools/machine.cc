// Facts and limits of the machine that a benchmark runs on, from /proc and by measuring.
#include "kvfile/tools/machine.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <thread>

#include "base/build_info.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/file.h"

namespace kvcs::kvfile {
namespace {

constexpr size_t kMemoryBytes = 64 << 20;  // Far beyond the caches.
constexpr size_t kBlockBytes = 4 << 20;
constexpr size_t kSectorBytes = 4096;

// "model name\t: X" → "X"
std::string line_value(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!std::string_view(line).starts_with(name)) continue;
    const size_t colon = line.find(':');
    if (colon != std::string::npos) return std::string(trim(line.substr(colon + 1)));
  }
  return {};
}

// The kind of file system that a folder is on, by the table of mounts.
std::string filesystem_name(const std::string& folder) {
  // The longest mount point that holds the folder.
  char* const real = ::realpath(folder.c_str(), nullptr);
  const std::string path = real == nullptr ? folder : real;
  std::free(real);
  std::ifstream mounts("/proc/self/mounts");
  std::string best, name = "unknown";
  for (std::string device, point, type, rest; mounts >> device >> point >> type;) {
    std::getline(mounts, rest);
    const bool holds = path == point || point == "/" || path.starts_with(point + "/");
    if (!holds || point.size() < best.size()) continue;
    best = point;
    name = type;
  }
  return name;
}

// Memory for O_DIRECT, which wants buffers aligned to the sectors of the disk.
struct FreeDeleter {
  void operator()(char* block) const { std::free(block); }
};
using AlignedBlock = std::unique_ptr<char, FreeDeleter>;
AlignedBlock aligned_block(size_t size_bytes) {
  return AlignedBlock(static_cast<char*>(std::aligned_alloc(kSectorBytes, size_bytes)));
}

Status read_through(const std::string& path, int flags, char* block) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags));
  if (!file.valid()) return io_error("open", path, errno);
  for (;;) {
    const ssize_t n = ::read(file.get(), block, kBlockBytes);
    if (n < 0) return io_error("read", path, errno);
    if (n == 0) return ok();
  }
}

// Data that is only in the page cache has not met the disk: the sync is part of the time.
Status write_durably(AtomicFile& file, const char* block, uint64_t size_bytes) {
  for (uint64_t at = 0; at < size_bytes; at += kBlockBytes) {
    KVCS_TRY(file.write(at, block, std::min<uint64_t>(kBlockBytes, size_bytes - at)));
  }
  return file.sync();
}

Status nothing() {
  return ok();
}

Result<std::vector<Limit>> measure_disk(const std::string& folder, uint64_t file_bytes,
                                        uint64_t repetitions, std::vector<std::string>& notes) {
  const AlignedBlock block = aligned_block(kBlockBytes);
  std::memset(block.get(), 'w', kBlockBytes);
  std::unique_ptr<AtomicFile> file;
  const auto create = [&]() -> Status {
    file = nullptr;
    file = KVCS_TRY(AtomicFile::create(folder + "/limit"));
    return ok();
  };
  const auto write = [&] { return write_durably(*file, block.get(), file_bytes); };
  const Timing written = KVCS_TRY(time_runs(repetitions, file_bytes, create, write));
  const std::string path = file->open_path();
  // The kernel's read-ahead beats direct reads on some disks, and is beaten on others.
  const auto drop = [&] { return drop_file_cache(path).status(); };
  const auto buffered = [&] { return read_through(path, 0, block.get()); };
  const auto direct = [&] { return read_through(path, O_DIRECT, block.get()); };
  Timing got = KVCS_TRY(time_runs(repetitions, file_bytes, drop, buffered));
  if (direct().ok()) {
    const Timing other = KVCS_TRY(time_runs(repetitions, file_bytes, drop, direct));
    if (other.min_s < got.min_s) got = other;
  } else {
    notes.push_back("disk_read went through the page cache: the filesystem has no direct reads");
  }
  KVCS_TRY(buffered());
  const Timing cached = KVCS_TRY(time_runs(repetitions, file_bytes, nothing, buffered));
  return std::vector<Limit>{{"cache_read", cached}, {"disk_read", got}, {"disk_write", written}};
}

}  // namespace

Result<Timing> time_runs(uint64_t repetitions, uint64_t bytes,
                         const std::function<Status()>& before,
                         const std::function<Status()>& work) {
  const auto clock = make_system_clock();
  std::vector<double> seconds;
  for (uint64_t i = 0; i < std::max<uint64_t>(1, repetitions); i++) {
    KVCS_TRY(before());
    const int64_t start_us = clock->mono_us();
    KVCS_TRY(work());
    // The clock counts microseconds. A run that took less than one counts as one, so that no rate
    // is infinite.
    seconds.push_back(static_cast<double>(std::max<int64_t>(1, clock->mono_us() - start_us)) / 1e6);
  }
  std::sort(seconds.begin(), seconds.end());
  const size_t half = seconds.size() / 2;
  const double median =
      seconds.size() % 2 == 1 ? seconds[half] : (seconds[half - 1] + seconds[half]) / 2;
  return Timing{bytes, seconds.size(), seconds.front(), median};
}

std::vector<Fact> machine_facts(const std::string& folder) {
  struct utsname kernel {};
  ::uname(&kernel);
  const long pages = ::sysconf(_SC_PHYS_PAGES), page_bytes = ::sysconf(_SC_PAGESIZE);
  const std::string model = line_value("/proc/cpuinfo", "model name");
  return {{"cpu", model.empty() ? kernel.machine : model},
          {"cores", std::to_string(std::thread::hardware_concurrency())},
          {"memory_bytes", std::to_string(static_cast<uint64_t>(pages) * page_bytes)},
          {"kernel", std::string(kernel.sysname) + " " + kernel.release},
          {"filesystem", filesystem_name(folder)},
          {"kvcs", version()},
          {"measured_at", format_iso8601_s(make_system_clock()->unix_ms())}};
}

Result<std::vector<Limit>> measure_limits(const std::string& folder, uint64_t file_bytes,
                                          uint64_t repetitions, std::vector<std::string>& notes) {
  std::vector<Limit> limits;
  {
    const std::string from(kMemoryBytes, 'f');
    std::string to(kMemoryBytes, 't');
    const auto copy = [&] {
      std::memcpy(to.data(), from.data(), kMemoryBytes);
      return ok();
    };
    limits.push_back({"memcpy", KVCS_TRY(time_runs(repetitions, kMemoryBytes, nothing, copy))});
    const auto digest = [&] {
      Sha256 hash;
      hash.update(from.data(), from.size());
      return hash.finish_hex().empty() ? internal("no digest") : ok();
    };
    limits.push_back({"sha256", KVCS_TRY(time_runs(repetitions, kMemoryBytes, nothing, digest))});
  }
  for (Limit& limit : KVCS_TRY(measure_disk(folder, file_bytes, repetitions, notes))) {
    limits.push_back(std::move(limit));
  }
  return limits;
}

Result<double> drop_file_cache(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return io_error("open", path, errno);
  // The kernel forgets clean pages only, so the file is synced first.
  if (::fdatasync(file.get()) != 0) return io_error("sync", path, errno);
  const int advised = ::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED);
  if (advised != 0) return io_error("cannot drop the pages of", path, advised);
  struct stat facts {};
  if (::fstat(file.get(), &facts) != 0) return io_error("stat", path, errno);
  if (facts.st_size == 0) return 0.0;
  const auto size_bytes = static_cast<size_t>(facts.st_size);
  void* const map = ::mmap(nullptr, size_bytes, PROT_READ, MAP_SHARED, file.get(), 0);
  if (map == MAP_FAILED) return io_error("map", path, errno);
  // mincore() tells for every page whether it is in memory.
  std::vector<unsigned char> resident((size_bytes + kSectorBytes - 1) / kSectorBytes);
  const int asked = ::mincore(map, size_bytes, resident.data());
  const int error = errno;
  ::munmap(map, size_bytes);
  if (asked != 0) return io_error("mincore", path, error);
  const auto kept = std::count_if(resident.begin(), resident.end(),
                                  [](unsigned char page) { return (page & 1) != 0; });
  return static_cast<double>(kept) / static_cast<double>(resident.size());
}

// Writing 5 to clear_refs sets VmHWM back to the present size (proc(5)).
void reset_peak_memory() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

uint64_t peak_memory_bytes() {
  const std::string text = line_value("/proc/self/status", "VmHWM");  // "1234 kB"
  const Result<uint64_t> kib = parse_u64(text.substr(0, text.find(' ')), "VmHWM");
  return kib.ok() ? *kib * 1024 : 0;
}

}  // namespace kvcs::kvfile

// The system's clocks, and times as text and back. The calendar is std::chrono's and the C
// library's proleptic Gregorian one in UTC; no time zone and no locale is ever asked.
#include "base/clock.h"

#include <algorithm>
#include <chrono>
#include <ctime>

namespace kvcs {
namespace {

class SystemClock final : public Clock {
 public:
  int64_t unix_ms() const override {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  int64_t mono_us() const override {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }
};

// "2026-01-15T10:30:00.123Z", the years 0 to 9999. By hand: every request prints several, and
// strftime, which asks for the locale and the time zone, would cost a microsecond each.
struct TimeText {
  static constexpr size_t kMonth = 7, kDay = 10, kSecond = 19, kAll = 24;
  char text[kAll];

  explicit TimeText(int64_t unix_ms) {
    constexpr int64_t kFirstMs = -62'167'219'200'000, kLastMs = 253'402'300'799'999;
    const std::chrono::sys_time<std::chrono::milliseconds> time(
        std::chrono::milliseconds(std::clamp(unix_ms, kFirstMs, kLastMs)));
    const auto midnight = std::chrono::floor<std::chrono::days>(time);
    const std::chrono::year_month_day date(midnight);
    const std::chrono::hh_mm_ss of_day(time - midnight);
    put(0, 4, static_cast<unsigned>(static_cast<int>(date.year())), '-');
    put(5, 2, static_cast<unsigned>(date.month()), '-');
    put(8, 2, static_cast<unsigned>(date.day()), 'T');
    put(11, 2, static_cast<unsigned>(of_day.hours().count()), ':');
    put(14, 2, static_cast<unsigned>(of_day.minutes().count()), ':');
    put(17, 2, static_cast<unsigned>(of_day.seconds().count()), '.');
    put(20, 3, static_cast<unsigned>(of_day.subseconds().count()), 'Z');
  }
  std::string first(size_t n) const { return {text, n}; }

 private:
  void put(size_t at, size_t digits, unsigned value, char after) {
    text[at + digits] = after;
    for (size_t i = at + digits; i-- > at; value /= 10)
      text[i] = static_cast<char>('0' + value % 10);
  }
};

// Reads exactly `digits` decimal digits at `text[at]`; -1 when they are not there.
int read_digits(std::string_view text, size_t at, size_t digits) {
  if (at + digits > text.size()) return -1;
  int value = 0;
  for (size_t i = at; i < at + digits; i++) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// "Z", "+hh:mm" or "-hh:mm", the whole of `zone`; minutes east of UTC, or nothing.
bool read_zone(std::string_view zone, int& offset_minutes) {
  offset_minutes = 0;
  if (zone == "Z" || zone == "z") return true;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return false;
  const int hours = read_digits(zone, 1, 2);
  const int minutes = read_digits(zone, 4, 2);
  if (hours < 0 || hours > 23 || minutes < 0 || minutes > 59) return false;
  offset_minutes = (hours * 60 + minutes) * (zone[0] == '-' ? -1 : 1);
  return true;
}

}  // namespace

std::unique_ptr<Clock> make_system_clock() {
  return std::make_unique<SystemClock>();
}

ManualClock::ManualClock(int64_t start_unix_ms) : unix_ms_(start_unix_ms) {}
void ManualClock::advance_ms(int64_t ms) {
  unix_ms_ += ms;
  mono_us_ += ms * 1000;
}

std::string format_iso8601_ms(int64_t unix_ms) {
  return TimeText(unix_ms).first(TimeText::kAll);
}
std::string format_iso8601_s(int64_t unix_ms) {
  return TimeText(unix_ms).first(TimeText::kSecond) + 'Z';
}
std::string format_month(int64_t unix_ms) {
  return TimeText(unix_ms).first(TimeText::kMonth);
}
std::string format_day(int64_t unix_ms) {
  return TimeText(unix_ms).first(TimeText::kDay);
}

Result<int64_t> parse_iso8601_ms(std::string_view text) {
  const Status bad = invalid("'" + std::string(text.substr(0, 40)) +
                             "' is not a time; write it like 2026-01-15T10:30:00Z.");
  const int year = read_digits(text, 0, 4), month = read_digits(text, 5, 2),
            day = read_digits(text, 8, 2);
  if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || text[4] != '-' ||
      text[7] != '-') {
    return bad;
  }
  std::tm tm{};
  tm.tm_year = year - 1900;
  tm.tm_mon = month - 1;
  tm.tm_mday = day;
  int64_t ms = 0;
  int offset_minutes = 0;
  if (text.size() > 10) {
    tm.tm_hour = read_digits(text, 11, 2);
    tm.tm_min = read_digits(text, 14, 2);
    tm.tm_sec = read_digits(text, 17, 2);
    if ((text[10] != 'T' && text[10] != 't' && text[10] != ' ') || tm.tm_hour < 0 ||
        tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 || tm.tm_sec > 60 ||
        text[13] != ':' || text[16] != ':') {
      return bad;
    }
    size_t at = 19;
    if (at < text.size() && text[at] == '.') {
      int scale = 100;
      for (at++; at < text.size() && text[at] >= '0' && text[at] <= '9'; at++, scale /= 10) {
        ms += (text[at] - '0') * scale;
      }
    }
    if (!read_zone(text.substr(at), offset_minutes)) return bad;
  }
  // timegm() turns a day that the month does not have into one of the next month.
  const std::tm wanted = tm;
  const int64_t seconds = timegm(&tm);
  if (tm.tm_mday != wanted.tm_mday || tm.tm_mon != wanted.tm_mon) return bad;
  return (seconds - offset_minutes * 60) * 1000 + ms;
}

}  // namespace kvcs

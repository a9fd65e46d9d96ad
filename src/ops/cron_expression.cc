// The parser of five-field cron expressions and the search for the next minute that one of them
// matches. Each field is a bit set of its values, so a minute matches if five bits are set. The
// search goes day by day and then looks the hour and minute up among the bits.
#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <chrono>

#include "base/bytes.h"
#include "ops/cron.h"

namespace kvcs {

namespace {

constexpr int64_t kMinuteMs = 60'000;
constexpr int64_t kDayMs = 86'400'000;
constexpr int64_t kYearsAhead = 8;
constexpr size_t kTextMaxBytes = 200;

struct FieldRule {
  std::string_view name;
  int min, max;
  std::string_view names;  // Three letters each; the first stands for `names_from`.
  int names_from;
};

constexpr std::array<FieldRule, 5> kFields = {{
    {"minute", 0, 59, "", 0},
    {"hour", 0, 23, "", 0},
    {"day-of-month", 1, 31, "", 0},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec", 1},
    {"day-of-week", 0, 7, "sunmontuewedthufrisat", 0},
}};

Status bad_field(const FieldRule& rule, std::string_view text, std::string_view why) {
  return invalid("cron " + std::string(rule.name) + " '" + printable(text, kShownWord) +
                 "': " + std::string(why) + "; it is " + std::to_string(rule.min) + " to " +
                 std::to_string(rule.max) + ", with ',' '-' '/' and '*'");
}

Result<int> parse_number(const FieldRule& rule, std::string_view text, std::string_view field) {
  int value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits = !text.empty() && text[0] != '-' && text[0] != '+';
  if (digits && error == std::errc() && end == text.data() + text.size()) return value;
  const std::string name = lower_ascii(text);
  for (size_t i = 0; name.size() == 3 && i < rule.names.size(); i += 3) {
    if (rule.names.substr(i, 3) == name) return static_cast<int>(i / 3) + rule.names_from;
  }
  return bad_field(rule, field, "'" + printable(text, kShownWord) + "' is not a number of it");
}

// One part of a list: *, a, a-b, and */n, a-b/n. Sets its bits.
Status parse_part(const FieldRule& rule, std::string_view part, std::string_view field,
                  uint64_t& bits) {
  const size_t slash = part.find('/');
  const std::string_view range = part.substr(0, slash);
  const size_t dash = range.find('-');
  int step = 1, from = rule.min, to = rule.max;
  if (range != "*") {
    from = KVCS_TRY(parse_number(rule, range.substr(0, dash), field));
    to = from;
    if (dash != std::string_view::npos) {
      to = KVCS_TRY(parse_number(rule, range.substr(dash + 1), field));
    }
  }
  if (slash != std::string_view::npos) {
    if (range != "*" && dash == std::string_view::npos) {
      return bad_field(rule, field, "a step needs a range before it, as in 5-59/10");
    }
    step = KVCS_TRY(parse_number(rule, part.substr(slash + 1), field));
    if (step < 1 || step > rule.max) return bad_field(rule, field, "the step is out of range");
  }
  if (from < rule.min || to > rule.max) return bad_field(rule, field, "out of range");
  if (from > to) return bad_field(rule, field, "the range ends before it begins");
  for (int value = from; value <= to; value += step) bits |= uint64_t{1} << value;
  return ok();
}

Result<uint64_t> parse_field(const FieldRule& rule, std::string_view field) {
  uint64_t bits = 0;
  for (const auto part : split(field, ',')) KVCS_TRY(parse_part(rule, part, field, bits));
  return bits;
}

// The parts between blanks and tabs.
std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  size_t i = 0;
  while ((i = text.find_first_not_of(" \t", i)) != std::string_view::npos) {
    const size_t end = std::min(text.find_first_of(" \t", i), text.size());
    found.push_back(text.substr(i, end - i));
    i = end;
  }
  return found;
}

int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

// The lowest set bit that is `from` or above; -1 when there is none.
int next_bit(uint64_t bits, int from) {
  const uint64_t rest = from > 63 ? 0 : bits >> from << from;
  return rest == 0 ? -1 : std::countr_zero(rest);
}

// Whether some month is long enough for the first of the days: "30 February" would be searched for
// in vain for kYearsAhead years.
bool has_a_day(uint64_t days, uint64_t months) {
  static constexpr std::array kLengths = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int first = std::countr_zero(days);
  for (int month = 1; month <= 12; ++month) {
    if ((months >> month & 1) != 0 && first <= kLengths[static_cast<size_t>(month - 1)]) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<CronExpression> CronExpression::parse(std::string_view text) {
  const auto fields = words(text);
  if (fields.size() != kFields.size() || text.size() > kTextMaxBytes) {
    return invalid("cron expression '" + printable(text, kShownName) + "' has " +
                   std::to_string(fields.size()) +
                   " fields; it needs five: minute hour day-of-month month day-of-week");
  }
  CronExpression e;
  e.minutes_ = KVCS_TRY(parse_field(kFields[0], fields[0]));
  e.hours_ = KVCS_TRY(parse_field(kFields[1], fields[1]));
  e.days_ = KVCS_TRY(parse_field(kFields[2], fields[2]));
  e.months_ = KVCS_TRY(parse_field(kFields[3], fields[3]));
  e.weekdays_ = KVCS_TRY(parse_field(kFields[4], fields[4]));
  if ((e.weekdays_ >> 7 & 1) != 0) e.weekdays_ |= 1;  // 7 is Sunday too.
  e.any_day_ = fields[2].starts_with('*');
  e.any_weekday_ = fields[4].starts_with('*');
  if (e.any_weekday_ && !has_a_day(e.days_, e.months_)) {
    return invalid("cron expression '" + printable(text, kShownName) +
                   "' matches no day of any year");
  }
  return e;
}

bool CronExpression::matches_day(int64_t days_since_epoch, int day, int month) const {
  if ((months_ >> month & 1) == 0) return false;
  const int64_t weekday = ((days_since_epoch + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday.
  const bool day_fits = (days_ >> day & 1) != 0;
  const bool weekday_fits = (weekdays_ >> weekday & 1) != 0;
  // POSIX crontab: if both fields are restricted, a day that matches either of them runs. An
  // unrestricted field matches every day, so "and" is right as soon as one is unrestricted.
  return any_day_ || any_weekday_ ? day_fits && weekday_fits : day_fits || weekday_fits;
}

int64_t CronExpression::next_after_ms(int64_t unix_ms) const {
  const int64_t first_ms = (floor_div(unix_ms, kMinuteMs) + 1) * kMinuteMs;
  const int64_t first_day = floor_div(first_ms, kDayMs);
  const int minute_of_day = static_cast<int>((first_ms - first_day * kDayMs) / kMinuteMs);
  const int64_t last_day = first_day + kYearsAhead * 366;
  for (int64_t day = first_day; day <= last_day; ++day) {
    const std::chrono::year_month_day date{std::chrono::sys_days(std::chrono::days(day))};
    const int day_of_month = static_cast<int>(static_cast<unsigned>(date.day()));
    const int month = static_cast<int>(static_cast<unsigned>(date.month()));
    if (!matches_day(day, day_of_month, month)) continue;
    const int begin = day == first_day ? minute_of_day : 0;
    int hour = next_bit(hours_, begin / 60);
    int minute = next_bit(minutes_, hour == begin / 60 ? begin % 60 : 0);
    // No matching minute is left in this hour: the first one of the next matching hour.
    if (hour >= 0 && minute < 0) {
      hour = next_bit(hours_, hour + 1);
      minute = next_bit(minutes_, 0);
    }
    if (hour >= 0) return day * kDayMs + (hour * 60 + minute) * kMinuteMs;
  }
  return -1;
}

}  // namespace kvcs

// Prints used, allowed and free of each thing that a plan limits.
#include "cli/plan_use.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/bytes.h"
#include "base/money.h"
#include "cli/admin_calls.h"

namespace kvcs::cli {
namespace {

enum class Unit : uint8_t { kCount, kBytes, kUsd };

struct Resource {
  const char* title;
  const char* member;
  Unit unit = Unit::kCount;
};
constexpr Resource kResources[] = {{"Projects", "projects"},
                                   {"Members", "members"},
                                   {"Artifacts", "artifacts"},
                                   {"Storage", "storage_bytes", Unit::kBytes},
                                   {"AI this month, USD", "ai_usd", Unit::kUsd},
                                   {"Gateway calls this month", "gateway_calls"}};

std::string amount(double value, Unit unit) {
  // To a millionth of a dollar, which is less than a call of a model costs.
  if (unit == Unit::kUsd) return format_usd(std::llround(value * 1e6) * 1000);
  const auto whole = static_cast<uint64_t>(value);
  return unit == Unit::kBytes ? format_bytes(whole) : std::to_string(whole);
}

// Numbers of the server, which are never below zero.
double figure(const Json& use, const char* member) {
  const auto it = use.find(member);
  if (it == use.end() || it->is_null()) return 0;
  // Money is a decimal, which is no number of the parser's.
  return std::max(0.0, std::strtod(dump_json(*it).c_str(), nullptr));
}

std::vector<std::string> row_of(const Resource& resource, const Json& use) {
  const double used = figure(use, "used"), allowed = figure(use, "allowed");
  const auto limit = use.find("allowed");
  if (limit == use.end() || limit->is_null()) {
    return {resource.title, amount(used, resource.unit), std::string(kNoLimit), "-", "-"};
  }
  char percent[32] = "-";
  if (allowed > 0) std::snprintf(percent, sizeof percent, "%.1f %%", 100 * used / allowed);
  return {resource.title, amount(used, resource.unit), amount(allowed, resource.unit),
          amount(std::max(0.0, allowed - used), resource.unit), percent};
}

}  // namespace

void print_plan_use(Console& console, const Json& use) {
  std::vector<std::pair<std::string, std::string>> fields;
  for (const auto& [title, member] :
       {std::pair("Organization", "organization"), {"Plan", "plan"}, {"Month", "month"}}) {
    if (use.contains(member)) fields.emplace_back(title, shown(use, member));
  }
  console.print_fields(fields);
  std::vector<std::vector<std::string>> rows = {
      {"RESOURCE", "USED", "ALLOWED", "FREE", "USED OF IT"}};
  for (const Resource& resource : kResources) {
    const auto it = use.find(resource.member);
    if (it != use.end() && it->is_object()) rows.push_back(row_of(resource, *it));
  }
  console.print_table(rows);
}

}  // namespace kvcs::cli

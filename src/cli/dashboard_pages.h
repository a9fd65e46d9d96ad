// The pages of the dashboard by the words that `kvcs open` takes. Immutable.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace kvcs::cli {

struct DashboardPage {
  std::string_view word;
  std::string_view path;  // Behind '#': "/ai/users".
};
std::span<const DashboardPage> dashboard_pages();
// The path of a word, or of a path without its first slash ("ai/users"); "" when it is none.
std::string_view find_dashboard_page(std::string_view called);
std::string dashboard_words();  // All of them: "overview, artifacts, …".

}  // namespace kvcs::cli

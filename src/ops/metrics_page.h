// What is left out of a page of metrics for those who may not see all of it. A function without
// state.
#pragma once
#include <string>
#include <string_view>

namespace kvcs {

// The page without one label: series that differ by it alone become one, with their sum. For
// counters and histograms; a gauge would need another rule.
std::string without_label(std::string_view page, std::string_view label);

}  // namespace kvcs

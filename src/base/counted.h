// A count with its noun, for people. A pure function.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace kvcs {

std::string counted(uint64_t n, std::string_view noun);  // "1 artifact", "2 artifacts"

}  // namespace kvcs

// Whose the rows of a table are, for the declarations beside each schema. What an owner has goes
// with it; history stays as long as its own limits say.
#pragma once
#include <string_view>

namespace kvcs {

struct TableOwner {
  std::string_view table;
  std::string_view owner;  // "organization", "project", "artifact", "customer", "history", "nobody"
  std::string_view column;  // That holds the owner's id; "" where there is no owner.
};

}  // namespace kvcs

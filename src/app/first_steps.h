// GET /api/v1/first-steps: what somebody new does first, and which of it an organization has done.
// The answer is the daemon's, since no caller sees all that it needs: each step asks the door whose
// work it is. Thread-safe.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "http/route_rows.h"

namespace kvcs {

struct Parts;

class FirstSteps final {
 public:
  // `parts` outlive it; its doors are asked with each request.
  explicit FirstSteps(const Parts& parts) : parts_(parts) {}

  void add_routes(std::vector<http::Row>& table, const http::Access& viewer);
  static std::span<const http::ApiType> types();

  // GET /api/v1/first-steps: {"steps": [{"name", "done"}]}, in the order in which they are taken.
  Result<http::Response> show(http::Request& request);

 private:
  const Parts& parts_;
};

}  // namespace kvcs

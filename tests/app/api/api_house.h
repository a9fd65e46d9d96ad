// A daemon with one of everything, and somebody for each door, so that each path of the API leads
// somewhere.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "support/ai_house.h"
#include "support/fake_stripe.h"

namespace kvcs::test {

// Before the daemon, which pays there, and after it.
struct StripeBeside {
  FakeStripe stripe;
};

class ApiHouse : private StripeBeside, public AiHouse {
  const std::unique_ptr<Json> api_;

 public:
  ApiHouse();
  ~ApiHouse();
  void remake_key();
  std::string path(std::string_view pattern) const;
  const Json& operation(const http::Row& row) const;
  // As who the row is for.
  RawResponse send(const http::Row& row, const std::string& body = {},
                   const std::string& query = {}) const;
  // Members with an example; all that are required have one.
  Json minimal(const Json& schema) const;
  // The rows of the API, without static pages.
  std::vector<std::reference_wrapper<const http::Row>> rows();

  Json& api;                  // What /openapi.json says.
  std::string project_admin;  // A key with the scope admin.
  std::string session;        // Of somebody who may do everything.
  std::map<std::string, std::string> names;

 private:
  // Somebody who owns the organization and the daemon, and somebody else in it.
  void make_person();
};

}  // namespace kvcs::test

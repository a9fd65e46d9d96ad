// A trie over path segments. Literal segments beat parameters. Built once, then immutable and
// shared by all workers.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "http/http.h"

namespace kvcs::http {

class Router final {
 public:
  // Aborts (programmer's error) on two routes with the same method and shape.
  explicit Router(std::vector<Route> routes);
  ~Router();

  struct Match {
    const Route* route = nullptr;        // Null: see the next two.
    bool path_known = false;             // True: 405, else 404.
    std::string allow;                   // For 405 and any OPTIONS: "GET, HEAD, POST"
    Dialect dialect = Dialect::kPortal;  // Of the door that the path leads to, when route is null.
    std::vector<std::pair<std::string_view, std::string>> params;
    // When route is null and the path, as far as it is known, leads to a secret: the pattern as far
    // as that, which may be shown instead. Else "".
    std::string_view secret_pattern;
  };
  // `raw_path` is the path as it was sent. Segments are split before they are decoded, so that an
  // escaped slash never splits one. HEAD falls back to GET.
  Match match(Method method, std::string_view raw_path) const;
  const std::vector<Route>& routes() const { return routes_; }

 private:
  struct Node;
  std::vector<Route> routes_;
  std::unique_ptr<Node> root_;
};

// Whether a pattern has a parameter whose value is a secret: {token}, {user_code}.
bool has_secret(std::string_view pattern);

// A guard that lets in whom `guard` does, and is Invalid for a query that has other parameters than
// these (RouteShape::query), which outlive the guard.
Guard with_known_query(Guard guard, std::string_view parameters);

}  // namespace kvcs::http

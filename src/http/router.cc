// The trie of the route table and the walk of a path through it. Built by one thread, then read by
// all workers without a lock.
#include "http/router.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "base/bytes.h"
#include "http/route_rows.h"

namespace kvcs::http {
namespace {

constexpr size_t kMethods = static_cast<size_t>(Method::kOptions) + 1;
constexpr size_t kSegmentsMax = 32;

// A table that contradicts itself is the programmer's mistake, found at the start of every test.
[[noreturn]] void refuse_table(std::string_view why, const std::string& pattern) {
  std::fprintf(stderr, "route table: %.*s: %s\n", static_cast<int>(why.size()), why.data(),
               pattern.c_str());
  std::abort();
}

bool is_param(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// One path cut at its slashes; empty segments vanish. Only what carries an escape is copied.
struct Segments {
  std::array<std::string_view, kSegmentsMax> at;
  size_t count = 0;
  std::array<std::string, 4> decoded;  // Most paths have none; more than four is refused.
  size_t decoded_count = 0;

  bool cut(std::string_view raw_path) {
    for (size_t from = 0; from < raw_path.size();) {
      const size_t slash = std::min(raw_path.find('/', from), raw_path.size());
      if (slash > from && !add(raw_path.substr(from, slash - from))) return false;
      from = slash + 1;
    }
    return true;
  }
  bool add(std::string_view segment) {
    if (count == kSegmentsMax) return false;
    if (segment.find('%') != segment.npos) {
      auto text = percent_decode(segment, false);
      if (!text.ok() || decoded_count == decoded.size()) return false;
      decoded[decoded_count] = std::move(text).value();
      segment = decoded[decoded_count++];
    }
    at[count++] = segment;
    return true;
  }
};

Status check_query(const Request& request, const std::vector<std::string_view>& known) {
  if (request.query.empty()) return ok();
  std::vector<std::string> seen;
  for (const std::string_view pair : split(request.query, '&')) {
    if (pair.empty()) continue;
    const std::string name = percent_decode(pair.substr(0, pair.find('=')), true).value_or("");
    if (std::find(known.begin(), known.end(), name) != known.end() && !name.empty()) {
      // A handler would look at the first and pass over the others.
      if (std::find(seen.begin(), seen.end(), name) != seen.end()) {
        return invalid("The query parameter '" + name + "' is given twice; give it once.");
      }
      seen.push_back(name);
      continue;
    }
    std::string list;
    for (const std::string_view each : known) {
      if (!each.empty()) (list += list.empty() ? "" : ", ") += each;
    }
    return invalid("The query parameter '" + printable(name, kShownName) + "' is not known here; " +
                   (list.empty() ? "none is." : "known are " + list + "."));
  }
  return ok();
}

}  // namespace

// One position in the trie: what may follow it by name, and what follows it as a parameter. All
// patterns of one shape share the parameter's node, whatever they call it.
struct Router::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> literals;
  std::unique_ptr<Node> param;
  std::array<const Route*, kMethods> routes{};
  bool has_routes = false;
  Dialect dialect = Dialect::kPortal;  // Of the first route at or below.
  std::string secret_pattern;          // As far as here, where the last segment is a secret.

  // Depth first, the literal branch before the parameter's. The first node with any route wins,
  // whatever the method, so that a known path never falls through to a wider pattern. A first
  // segment that the table names is never taken as a parameter: "/v1/images/x" is not an artifact
  // of an organization "v1".
  const Node* find(const Segments& segments, size_t depth) const {
    if (depth == segments.count) return has_routes ? this : nullptr;
    const auto literal = literals.find(segments.at[depth]);
    if (literal != literals.end()) {
      const Node* node = literal->second->find(segments, depth + 1);
      if (node != nullptr || depth == 0) return node;
    }
    return param ? param->find(segments, depth + 1) : nullptr;
  }
  // The deepest door that an unknown path leads to. A parameter takes any last segment, which says
  // nothing; with more behind it, the path was meant for its door.
  Dialect nearest_dialect(const Segments& segments, size_t depth) const {
    if (depth == segments.count) return dialect;
    const auto literal = literals.find(segments.at[depth]);
    if (literal != literals.end()) return literal->second->nearest_dialect(segments, depth + 1);
    const bool through = param && depth + 1 < segments.count;
    return through ? param->nearest_dialect(segments, depth + 1) : dialect;
  }
  // Where the path comes to a secret, whatever follows. `is_whole` is false when a segment was left
  // out that cannot be read, behind the others.
  std::string_view find_secret(const Segments& segments, bool is_whole) const {
    const Node* node = this;
    for (size_t depth = 0; depth < segments.count; depth++) {
      const auto literal = node->literals.find(segments.at[depth]);
      node = literal != node->literals.end() ? literal->second.get() : node->param.get();
      if (node == nullptr) return {};
      if (!node->secret_pattern.empty()) return node->secret_pattern;
    }
    return !is_whole && node->param ? std::string_view(node->param->secret_pattern)
                                    : std::string_view();
  }
  // The value of an Allow header (RFC 9110 §10.2.1). HEAD is possible wherever GET is.
  std::string allow() const {
    std::string text;
    const auto add = [&](Method method) {
      if (!text.empty()) text += ", ";
      text += method_name(method);
    };
    for (size_t i = 0; i < kMethods; i++) {
      const auto method = static_cast<Method>(i);
      if (routes[i]) add(method);
      if (method == Method::kGet && routes[i] && !routes[static_cast<size_t>(Method::kHead)]) {
        add(Method::kHead);
      }
    }
    return text;
  }
};

Router::Router(std::vector<Route> routes)
    : routes_(std::move(routes)), root_(std::make_unique<Node>()) {
  for (const Route& route : routes_) {
    if (route.pattern.empty() || route.pattern.front() != '/') {
      refuse_table("a pattern must start with '/'", route.pattern);
    }
    if (!route.guard || !route.handler) {
      refuse_table("a route needs a guard and a handler", route.pattern);
    }
    Node* node = root_.get();
    const std::string_view pattern = route.pattern;
    for (const std::string_view segment : split(pattern.substr(1), '/')) {
      if (segment.empty()) {
        if (route.pattern != "/") refuse_table("a pattern has an empty segment", route.pattern);
        continue;
      }
      auto& child = is_param(segment) ? node->param : node->literals[std::string(segment)];
      if (!child) {
        child = std::make_unique<Node>();
        child->dialect = route.dialect;
      }
      if (is_param(segment) && has_secret(segment)) {
        const auto end = static_cast<size_t>(segment.data() + segment.size() - pattern.data());
        child->secret_pattern = pattern.substr(0, end);
      }
      node = child.get();
    }
    const Route*& slot = node->routes[static_cast<size_t>(route.method)];
    if (slot) refuse_table("two routes with one method and shape", route.pattern);
    slot = &route;
    node->has_routes = true;
  }
}

Router::~Router() = default;

Router::Match Router::match(Method method, std::string_view raw_path) const {
  Match match;
  Segments segments;
  if (!segments.cut(raw_path)) {
    match.secret_pattern = root_->find_secret(segments, false);
    return match;
  }
  const Node* node = root_->find(segments, 0);
  if (!node) {
    match.secret_pattern = root_->find_secret(segments, true);
    match.dialect = root_->nearest_dialect(segments, 0);
    return match;
  }
  match.path_known = true;
  if (method == Method::kOptions) match.allow = node->allow();
  match.route = node->routes[static_cast<size_t>(method)];
  if (!match.route && method == Method::kHead) {
    match.route = node->routes[static_cast<size_t>(Method::kGet)];
  }
  if (!match.route) {
    match.secret_pattern = root_->find_secret(segments, true);
    match.allow = node->allow();
    match.dialect = node->dialect;
    return match;
  }
  // The names of the parameters are the pattern's own, so they are read beside the path.
  std::string_view pattern = match.route->pattern;
  for (size_t i = 0; i < segments.count; i++) {
    pattern.remove_prefix(1);
    const std::string_view name = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(name.size());
    if (is_param(name)) {
      match.params.emplace_back(name.substr(1, name.size() - 2), std::string(segments.at[i]));
    }
  }
  return match;
}

bool has_secret(std::string_view pattern) {
  return pattern.find("{token}") != pattern.npos || pattern.find("{user_code}") != pattern.npos;
}

Guard with_known_query(Guard guard, std::string_view parameters) {
  std::vector<std::string_view> known;
  for (const std::string_view each : split(parameters, ' ')) known.push_back(query_name(each));
  return [guard = std::move(guard),
          known = std::move(known)](const Request& request) -> Result<Principal> {
    Principal principal = KVCS_TRY(guard(request));
    KVCS_TRY(check_query(request, known));
    return principal;
  };
}

}  // namespace kvcs::http

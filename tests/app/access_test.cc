// Goal: who may do what with whose things is data, and a change of it a visible diff.
// tests/data/access.tsv has a row for each route and a column for each kind of caller: what that
// caller gets. Method: every row of a running daemon is called as everybody, and the whole table is
// compared; a few rules, written by hand, hold for whatever the table says.
//
// A cell is "ok", or the status of the refusal. Rows whose thing has an owner of its own ("object")
// are called for a thing of our project or user that exists. All others declare a body that is over
// every route's limit: the server looks at that right after the guard and before the handler, so
// 413 says that the guard let the caller through, and no call changes anything.
//
// After an intended change the table is written anew by one command:
//   KVCS_WRITE_ACCESS=1 build/release/kvcs_tests "access: the daemon does what the table says"
#include "identity/access.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>

#include "base/bytes.h"
#include "http/static_files.h"
#include "support/access_house.h"
#include "support/source_dir.h"

using namespace kvcs;
using namespace kvcs::test;

namespace {

constexpr int kLetThrough = 413;

std::string table_path() {
  return source_dir() + "/tests/data/access.tsv";
}

// The rows of the route table that stand in the file: pages have rows by what web/ was built of,
// and are files that everybody may read.
std::vector<http::Row> table_rows(const Parts& parts) {
  std::set<std::string> pages;
  for (const http::Route& page : http::static_routes("")) pages.insert(page.pattern);
  std::vector<http::Row> rows;
  for (const http::Row& row : parts.route_table) {
    if (!pages.contains(row.pattern)) rows.push_back(row);
  }
  std::sort(rows.begin(), rows.end(), [](const http::Row& a, const http::Row& b) {
    return std::tie(a.pattern, a.method) < std::tie(b.pattern, b.method);
  });
  return rows;
}

std::string cell(int status) {
  return status == kLetThrough || status / 100 == 2 ? "ok" : std::to_string(status);
}

// "METHOD PATH WHO WHOSE" and the cells, separated by tabs.
std::string line_of(AccessHouse& house, const http::Row& row) {
  std::string line = std::string(http::method_name(row.method)) + "\t" + row.pattern + "\t" +
                     std::string(row.who) + "\t" + std::string(access::words(row.need.owner));
  for (const AccessHouse::Caller& caller : house.callers) {
    const int status = row.need.owner == http::OwnerFrom::kObject ? house.use_object(row, caller)
                                                                  : house.knock(row, caller);
    line += "\t" + cell(status);
  }
  return line;
}

std::string head_line(const AccessHouse& house) {
  std::string line = "method\tpath\twho\twhose";
  for (const AccessHouse::Caller& caller : house.callers) line += "\t" + caller.name;
  return line;
}

std::vector<std::string> read_lines() {
  std::ifstream file(table_path());
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with('#')) lines.push_back(line);
  }
  return lines;
}

void write_lines(const std::vector<std::string>& lines) {
  std::ofstream file(table_path());
  file
      << "# What each caller gets at each route: \"ok\", or the status of the refusal. Written by\n"
         "# tests/app/access_test.cc, which says how, and compared by it.\n";
  for (const std::string& line : lines) file << line << "\n";
}

// Names the cells that differ, by route and caller.
void compare(const std::string& head, const std::string& expected, const std::string& found) {
  const auto names = split(head, '\t'), wanted = split(expected, '\t'), got = split(found, '\t');
  REQUIRE(wanted.size() == names.size());
  for (size_t i = 2; i < names.size(); i++) {
    INFO(got[0] << " " << got[1] << ": " << names[i] << " is \"" << wanted[i]
                << "\" in tests/data/access.tsv, and \"" << got[i] << "\" here");
    CHECK(wanted[i] == got[i]);
  }
}

}  // namespace

TEST_CASE("access: the daemon does what the table says", "[unit][app][access]") {
  AccessHouse house;
  std::vector<std::string> found = {head_line(house)};
  for (const http::Row& row : table_rows(house.app.parts())) found.push_back(line_of(house, row));
  if (std::getenv("KVCS_WRITE_ACCESS") != nullptr) write_lines(found);
  const std::vector<std::string> expected = read_lines();
  REQUIRE_FALSE(expected.empty());
  REQUIRE(expected[0] == found[0]);
  const auto route_of = [](const std::string& line) {
    return line.substr(0, line.find('\t', line.find('\t') + 1));
  };
  std::map<std::string, std::string> table;
  for (const std::string& line : expected) CHECK(table.emplace(route_of(line), line).second);
  for (const std::string& line : found) {
    INFO(route_of(line) << " is a route, and no row of tests/data/access.tsv");
    const auto row = table.find(route_of(line));
    CHECK(row != table.end());
    if (row == table.end()) continue;
    compare(found[0], row->second, line);
    table.erase(row);
  }
  for (const auto& [route, line] : table) {
    FAIL_CHECK(route << " is a row of tests/data/access.tsv, and no route");
  }
}

// What holds whatever the table says, so that a table that was written anew cannot give away more
// than these rules allow.
TEST_CASE("access: no row of the table lets in who must never come in", "[unit][app][access]") {
  const std::vector<std::string> lines = read_lines();
  REQUIRE(lines.size() > 100);
  const auto names = split(lines[0], '\t');
  size_t cells = 0;
  for (size_t i = 1; i < lines.size(); i++) {
    const auto row = split(lines[i], '\t');
    REQUIRE(row.size() == names.size());
    const std::string_view method = row[0], path = row[1], who = row[2], whose = row[3];
    for (size_t at = 4; at < row.size(); at++) {
      cells++;
      const std::string_view name = names[at];
      INFO(method << " " << path << " as " << name << ": " << row[at]);
      const bool is_let_in = row[at] == "ok";
      if (who == "presigned") CHECK_FALSE(is_let_in);  // Without its signature.
      if (who == "public" || who == "presigned") continue;
      const bool is_dead = name == "none" || name == "garbage" || name.starts_with("revoked_") ||
                           name.starts_with("expired_") || name.starts_with("suspended_");
      if (is_dead) CHECK_FALSE(is_let_in);
      const bool is_other = name.starts_with("other_");
      if (is_other && (whose == "object" || whose.starts_with("path "))) CHECK_FALSE(is_let_in);
      const bool is_artifact_key = name.find("project") != name.npos || name.find("org") == 0;
      if (is_artifact_key && !is_dead) CHECK((!is_let_in || who.starts_with("project key")));
      if (path.starts_with("/admin/")) CHECK((!is_let_in || who.starts_with("admin key")));
      // Without an operator's role people reach their own organization there, as its admins.
      const bool is_own =
          path.starts_with("/admin/") && name.starts_with("person_") && name != "person_operator";
      const bool is_admin = name == "person_admin" || name == "person_owner";
      if (is_own && is_let_in) CHECK((is_admin && whose != "-"));
      const bool reads_only = name.ends_with("_read");
      if (reads_only && is_let_in) {
        const bool asks = path.ends_with("/search") || path.ends_with("/download-url") ||
                          path.ends_with("/verify");
        CHECK((method == "GET" || asks));
      }
    }
    // A thing that a path names has an owner, unless it is the daemon's or a model's, or the path
    // has labels alone, which name nothing. A device that waits is whose it is for.
    const bool has_labels_alone = path.ends_with("/orgs/{org}/projects/{project}/artifacts");
    const bool names_thing = !has_labels_alone && path.find('{') != path.npos &&
                             !path.starts_with("/admin/") && !path.starts_with("/v1/models/") &&
                             !path.starts_with("/connect/") &&
                             (!path.starts_with("/auth/") || path.starts_with("/auth/device/"));
    INFO(method << " " << path);
    if (path.starts_with("/admin/")) continue;
    CHECK((whose == "object" || whose.starts_with("path ") || whose == "signature") == names_thing);
  }
  CHECK(cells > 4500);
}

TEST_CASE("access: a signature is good for one method and one artifact", "[unit][app][access]") {
  AccessHouse house;
  const std::string key = house.bearer("project_write");
  std::string id;
  const std::string put = house.announce(key, id);
  const std::string link =
      house.app.as(key, "POST", "/api/v1/artifacts/" + house.artifact(key) + "/download-url").body;
  const std::string url = json_text(link, "download_url"), get = url.substr(url.find("/blobs/"));
  for (const std::string method : {"PUT", "GET"}) {
    const std::string& right = method == "PUT" ? put : get;
    const std::string& wrong = method == "PUT" ? get : put;
    const std::string other = "/blobs/" + house.artifact(key) + right.substr(right.find('?'));
    std::string forged = right;
    char& letter = forged[forged.find("signature=") + 10];
    letter = letter == 'A' ? 'B' : 'A';
    CHECK(house.knock(method, right, "") == kLetThrough);
    CHECK(house.knock(method, wrong, "") == 403);
    CHECK(house.knock(method, other, "") == 403);
    CHECK(house.knock(method, forged, "") == 403);
  }
}

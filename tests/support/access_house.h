// A daemon with a caller of each kind, for the table of access: keys of every family, scope and
// role, of others, and such that are refused.
#pragma once
#include <string>
#include <vector>

#include "http/route_rows.h"
#include "support/ai_house.h"

namespace kvcs::test {

struct AccessHouse : AiHouse {
  struct Caller {
    std::string name, bearer;
  };
  AccessHouse();

  std::string bearer(const std::string& name) const;
  // The status of a call that no handler sees: 413 when the guard lets the caller through.
  int knock(const http::Row& row, const Caller& caller) const;
  int knock(const std::string& method, const std::string& target, const std::string& bearer) const;
  // The status of a call for the thing that the row is about, which is our project's or user's.
  int use_object(const http::Row& row, const Caller& caller);

  // The signed URL to PUT the bytes to, and the id in it.
  std::string announce(const std::string& key, std::string& id, const std::string& more = "") const;
  // A private artifact whose bytes are there.
  std::string artifact(const std::string& key) const;
  // An unfinished upload that can be resumed.
  std::string upload(const std::string& key) const;
  // The member `name` of what a POST has made.
  std::string made(const std::string& path, const std::string& body, const std::string& name) const;

  std::vector<Caller> callers;  // In the order of the columns.
  std::string project;          // Ours, and its organization is `org`.

 private:
  void add(const std::string& name, const std::string& bearer) {
    callers.push_back({name, bearer});
  }
  // A key of each scope, and those that are refused.
  void add_artifact_keys(const std::string& name, const std::string& keys);
  // One key that has expired and one that was revoked; `more`: further members of their bodies.
  void add_refused(const std::string& name, const std::string& keys, const std::string& member,
                   const std::string& more = "");
  void add_suspended();
  // People with each role in our organization, one of another, one of none, and those whom nobody
  // lets in.
  void add_people(const std::string& foreign);
  std::string session_of(const std::string& name, const std::string& organization,
                         const std::string& role, AdminRole operator_role = AdminRole::kNone);
  // The row's path for the things of this house.
  std::string concrete(const std::string& pattern, bool is_session) const;

  void make_key_of_project();

  std::string artifact_, upload_, request_, key_of_project_;
};

}  // namespace kvcs::test

// The members of an object of JSON, for readers that ask for many names of which most are absent.
// Internal to dialects/. A value that is valid as long as its object.
#pragma once
#include <simdjson.h>

#include <cstdint>
#include <string_view>

namespace kvcs::ai {

// simdjson walks the whole object for each name. Here one walk notes how long the names are that
// the object has; a name of another length is not among them.
class Members final {
 public:
  using Object = simdjson::dom::object;

  Members() = default;  // Has no members.
  // Implicit: an object is asked like its members.
  Members(const Object& object) : object_(object) {
    for (const auto& member : object) lengths_ |= bit_of(member.key.size());
  }

  // False: no name has that length. True says nothing.
  bool may_have(std::string_view name) const { return (lengths_ & bit_of(name.size())) != 0; }
  simdjson::simdjson_result<simdjson::dom::element> operator[](std::string_view name) const {
    if (!may_have(name)) return simdjson::NO_SUCH_FIELD;
    return object_.at_key(name);
  }
  bool empty() const { return lengths_ == 0; }
  // Precondition: not default-constructed.
  Object::iterator begin() const { return object_.begin(); }
  Object::iterator end() const { return object_.end(); }
  const Object& object() const { return object_; }

 private:
  static uint64_t bit_of(size_t length) { return uint64_t{1} << (length % 64); }

  Object object_;
  uint64_t lengths_ = 0;
};

}  // namespace kvcs::ai

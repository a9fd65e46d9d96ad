// The environment of the self-hosted backend of the public key-value cache client (KVCDN_*), read
// beneath kvcs.yaml: a store that moves here starts with the variables that it has, and what the
// file or a KVCS_* variable says wins. A function without state.
#pragma once
#include <string>
#include <vector>

#include "app/config.h"

namespace kvcs {

struct KvcdnEnvironment {
  struct Setting {
    std::string variable;  // "KVCDN_API_PORT"
    std::string path;      // Of the field that it sets: "http.listen"
    std::string text;      // As kvcs.yaml would have it.
  };
  std::vector<Setting> settings;
  std::vector<std::string> faults;
  std::vector<std::string> notes;  // What is set and says nothing here; for the operator.
};
// Variables that are set and empty say nothing.
KvcdnEnvironment read_kvcdn_environment(const Environment& environment);

}  // namespace kvcs

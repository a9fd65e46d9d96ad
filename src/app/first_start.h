// The first start: an owner admin key, organization `default` with project `default` and one
// project key, and <data_dir>/initial-credentials.json, where the operator finds them.
//
// The file is written first, then the records that make its words true, then the mark that it is
// done; each step may be repeated. So a crash between any two leaves either nothing or a file whose
// credentials work after the next start. Later starts never touch the file.
#pragma once
#include <string>

#include "base/clock.h"
#include "base/entropy.h"
#include "base/status.h"
#include "kv/audited_kv.h"

namespace kvcs {

class KeyService;
class OrganizationService;
class ProjectService;

// The services that the first start works with. All outlive the call.
struct FirstStartServices {
  const KvStore& kv;
  AuditedKv& audited;
  OrganizationService& organizations;
  ProjectService& projects;
  KeyService& keys;
  Entropy& entropy;
  const Clock& clock;
};

inline constexpr const char* kInitialKeyName = "initial project key";

std::string initial_credentials_path(const std::string& data_dir);
// True when this was the first start and the file was written or completed.
Result<bool> ensure_first_start(const FirstStartServices& services, const std::string& data_dir,
                                const std::string& url);

}  // namespace kvcs

// Goal: what a person types reaches the daemon and comes back whole. Method: the daemon in this
// process, the commands through their parser, server and key from the environment.
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/crypto.h"
#include "cli/api_client.h"
#include "cli/cli.h"
#include "cli/cli_desk.h"
#include "cli/commands.h"
#include "kvfile/kvfile.h"
#include "support/command.h"
#include "support/env.h"
#include "support/test_app.h"

namespace kvcs {
namespace {

using test::Env;
using test::TempDir;
using test::TestApp;

struct Desk {
  TempDir folder;
  TestApp app;
  Env url{"KVCS_API_URL", "http://127.0.0.1:" + std::to_string(app.port())};
  Env key{"KVCS_API_KEY", app.credential("api_key")};
  Env config{"XDG_CONFIG_HOME", folder.file("config")};
  Env no_data{"KVCS_DATA_DIR", folder.file("none")};
  std::string out, error;

  int run(std::vector<std::string> arguments) {
    out.clear();
    error.clear();
    return cli::run_cli(
        arguments, cli::commands(), [this](std::string_view text) { out += text; },
        [this](std::string_view text) { error += text; });
  }
  Json json() const {
    INFO(out << error);
    auto parsed = parse_json(out);
    REQUIRE(parsed.ok());
    return *parsed;
  }
  std::string read(const std::string& name) const {
    std::ifstream file(folder.file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  // A small but real .kv file with a sidecar.
  std::string make_file(const std::string& name) {
    const auto tensor = [](const char* tensor_name) {
      kvfile::Tensor t;
      t.name = tensor_name;
      t.shape = {1, 1, 4, 8};
      return t;
    };
    auto header = kvfile::make_header({tensor("k_0"), tensor("v_0")}, {});
    REQUIRE(header.ok());
    const std::string path = folder.file(name);
    std::ofstream file(path, std::ios::binary);
    file << kvfile::dump_header(*header) << std::string(128, '\1');
    file.close();
    kvfile::Sidecar about = kvfile::describe_header(*header);
    about.model_name = "tiny";
    about.prompt = "a context";
    about.nbytes = std::filesystem::file_size(path);
    REQUIRE(kvfile::write_sidecar(path, about).ok());
    return path;
  }
};

}  // namespace

TEST_CASE("upload, list, download and delete bring the same bytes back", "[cli][transfer][unit]") {
  Desk d;
  const std::string path = d.make_file("context.kv");
  REQUIRE(d.run({"upload", path, "--name", "demo", "--json"}) == 0);
  const std::string id = d.json()["artifact_id"];
  CHECK(d.json()["sha256"] == sha256_hex(d.read("context.kv")));
  CHECK(d.run({"list"}) == 0);
  CHECK(d.out.find("demo") != std::string::npos);
  CHECK(d.run({"list", "--format", "ids"}) == 0);
  CHECK(d.out == id + "\n");
  REQUIRE(d.run({"list", "--json"}) == 0);
  CHECK(d.json()[0]["num_tokens"] == 4);
  REQUIRE(d.run({"show", "demo"}) == 0);
  CHECK(d.out.find("Artifact ID  " + id + "\n") != std::string::npos);
  CHECK(d.out.find("Model        tiny\n") != std::string::npos);
  CHECK(d.out.find("Sidecar      yes") != std::string::npos);
  CHECK(d.out.find('{') == std::string::npos);
  REQUIRE(d.run({"cat", "demo"}) == 0);
  CHECK(d.out == d.read("context.kv"));
  REQUIRE(d.run({"api", "PATCH", "/api/v1/artifacts/" + id, "--field", "description=tried"}) == 0);
  CHECK(d.json()["description"] == "tried");
  REQUIRE(d.run({"api", "GET", "/api/v1/artifacts", "--field", "limit=5"}) == 0);
  CHECK(d.json()["artifacts"].size() == 1);
  CHECK(d.run({"api", "/api/v1/nothing"}) == 1);
  REQUIRE(d.run({"download", id, "-o", d.folder.file("back.kv")}) == 0);
  CHECK(d.read("back.kv") == d.read("context.kv"));
  CHECK(d.read("back.kv.json") == d.read("context.kv.json"));
  CHECK(d.run({"download", id, "-o", d.folder.file("back.kv")}) == 1);
  CHECK(d.error.find("--force") != std::string::npos);
  CHECK(d.run({"download", id, "-o", d.folder.file("back.kv"), "--force"}) == 0);
  CHECK(d.run({"delete", id, "-y"}) == 0);
  CHECK(d.run({"delete", id, "-y"}) == 1);
  CHECK(d.run({"list"}) == 0);
  CHECK(d.out == "No artifacts.\n");
}

TEST_CASE("a download goes on where an earlier one stopped, and a damaged part is dropped",
          "[cli][transfer][unit]") {
  Desk d;
  d.make_file("context.kv");
  REQUIRE(d.run({"upload", d.folder.file("context.kv"), "--json"}) == 0);
  const std::string id = d.json()["artifact_id"], bytes = d.read("context.kv");
  const std::string part = d.folder.file(".back.kv." + id.substr(0, 8) + ".part");
  std::ofstream(part, std::ios::binary) << bytes.substr(0, 100);
  REQUIRE(d.run({"download", id, "-o", d.folder.file("back.kv")}) == 0);
  CHECK(d.read("back.kv") == bytes);
  std::ofstream(part, std::ios::binary) << std::string(100, 'x');
  CHECK(d.run({"download", id, "-o", d.folder.file("other.kv"), "--json"}) == 0);
  const std::string bad = d.folder.file(".third.kv." + id.substr(0, 8) + ".part");
  std::ofstream(bad, std::ios::binary) << std::string(100, 'x');
  CHECK(d.run({"download", id, "-o", d.folder.file("third.kv")}) == 1);
  CHECK(d.error.find("SHA-256") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(bad));
  CHECK_FALSE(std::filesystem::exists(d.folder.file("third.kv")));
}

TEST_CASE("a download ends where the file system does not know the flags of renames",
          "[cli][transfer][e2e]") {
  Desk d;
  d.make_file("context.kv");
  REQUIRE(d.run({"upload", d.folder.file("context.kv"), "--json"}) == 0);
  const std::string id = d.json()["artifact_id"];
  const test::SyscallFault no_flags{SYS_renameat2, 4, RENAME_NOREPLACE, EINVAL};
  const test::SyscallFault no_links{SYS_link, 0, 0, EPERM};
  const auto download = [&](const std::string& words, bool has_links) {
    std::vector<test::SyscallFault> faults = {no_flags};
    if (!has_links) faults.push_back(no_links);
    return test::run_line(d.folder.path(), "download " + id + " -o " + words, faults, 0,
                          {"KVCS_API_URL=http://127.0.0.1:" + std::to_string(d.app.port()),
                           "KVCS_API_KEY=" + d.app.credential("api_key")});
  };
  for (const bool has_links : {true, false}) {
    const std::string name = has_links ? "linked.kv" : "renamed.kv";
    const test::CommandRun done = download(name, has_links);
    INFO(done.error);
    CHECK(done.code == 0);
    CHECK(d.read(name) == d.read("context.kv"));
    CHECK(std::filesystem::hard_link_count(d.folder.file(name)) == 1);
    CHECK_FALSE(
        std::filesystem::exists(d.folder.file("." + name + "." + id.substr(0, 8) + ".part")));
    CHECK(download(name, has_links).error.find("--force") != std::string::npos);
    CHECK(download(name + " --force", has_links).code == 0);
  }
  // A name that the first look does not find, and that is taken when the bytes are there.
  std::filesystem::create_symlink("nowhere", d.folder.file("taken.kv"));
  const test::CommandRun refused = download("taken.kv", true);
  CHECK(refused.code == 1);
  CHECK(refused.error.find("taken.kv exists; --force replaces it.") != std::string::npos);
}

TEST_CASE("download --tokens brings what slice would cut, and goes on where it stopped",
          "[cli][transfer][unit]") {
  Desk d;
  const std::string path = d.make_file("context.kv");
  REQUIRE(d.run({"upload", path, "--json"}) == 0);
  const std::string id = d.json()["artifact_id"];
  REQUIRE(d.run({"slice", path, "--tokens", "1:3", "--output", d.folder.file("cut.kv")}) == 0);
  const auto fetch = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"download", id, "--tokens", "1:3", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return d.run(arguments);
  };
  REQUIRE(fetch({"-o", d.folder.file("back.kv")}) == 0);
  CHECK(d.read("back.kv") == d.read("cut.kv"));
  CHECK(d.read("back.kv.json") == d.read("cut.kv.json"));
  CHECK(d.json()["size_bytes"] == d.read("cut.kv").size());
  CHECK(d.error.empty());
  REQUIRE(d.run({"download", id, "--tokens", "1:99", "-o", d.folder.file("end.kv")}) == 0);
  CHECK(d.error == "The artifact's tokens end at 4, not 99.\n");
  REQUIRE(fetch({"-o", d.folder.path(), "--layers", "0:1"}) == 0);
  CHECK(d.json()["path"] == d.folder.file("context-slice.kv"));
  CHECK(d.run({"download", id, "--tokens", "9:10", "-o", d.folder.file("none.kv")}) == 1);
  CHECK(d.error.find("beyond the 4 tokens") != std::string::npos);
  CHECK(d.run({"download", id, "--tokens", "1", "-o", d.folder.file("none.kv")}) == 1);
  CHECK(d.error.find("is not a:b") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(d.folder.file("none.kv")));
}

TEST_CASE("download of a link checks the digest, goes on, and sends no key",
          "[cli][transfer][unit]") {
  Desk d;
  const std::string path = d.make_file("context.kv"), bytes = d.read("context.kv");
  REQUIRE(d.run({"upload", path, "--name", "Our Plan", "--json"}) == 0);
  const std::string id = d.json()["artifact_id"];
  const auto link = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"share", "create", id, "-q"});
    REQUIRE(d.run(more) == 0);
    return d.out.substr(0, d.out.size() - 1);
  };
  const std::string once = link({"--downloads-max", "1"});
  // Nobody has signed in here, and the key is another server's.
  const Env no_key("KVCS_API_KEY", "");
  REQUIRE(d.run({"download", once, "-o", d.folder.path(), "--json"}) == 0);
  CHECK(d.json()["path"] == d.folder.file("Our_Plan.kv"));
  CHECK(d.json()["sha256"] == sha256_hex(bytes));
  CHECK(d.read("Our_Plan.kv") == bytes);
  CHECK(d.run({"download", once, "-o", d.folder.file("again.kv")}) == 1);
  CHECK(d.error.find("used as often as it may be") != std::string::npos);
  CHECK(d.run({"download", once + "x", "-o", d.folder.file("again.kv")}) == 1);
  CHECK(d.error.find("no such link") != std::string::npos);
  const std::string home = "http://127.0.0.1:" + std::to_string(d.app.port());
  CHECK(d.run({"download", home + "/health", "-o", d.folder.file("again.kv")}) == 1);
}

TEST_CASE("download of a link with a password", "[cli][transfer][unit]") {
  Desk d;
  const std::string path = d.make_file("context.kv"), bytes = d.read("context.kv");
  REQUIRE(d.run({"upload", path, "--json"}) == 0);
  const std::string id = d.json()["artifact_id"];
  std::ofstream(d.folder.file("right")) << "correct horse\n";
  std::ofstream(d.folder.file("wrong")) << "another\n";
  REQUIRE(d.run({"share", "create", id, "-q", "--password-file", d.folder.file("right")}) == 0);
  const std::string link = d.out.substr(0, d.out.size() - 1);
  const auto fetch = [&](const std::string& name, std::vector<std::string> more) {
    more.insert(more.begin(), {"download", link, "-o", d.folder.file(name)});
    return d.run(more);
  };
  {
    const test::Stdin nobody("");
    CHECK(fetch("a.kv", {}) == 1);
  }
  CHECK(d.error.find("--password-file") != std::string::npos);
  CHECK(fetch("a.kv", {"--password-file", d.folder.file("wrong")}) == 1);
  CHECK(d.error.find("is another one") != std::string::npos);
  CHECK(fetch("a.kv", {"--password-file", d.folder.file("right")}) == 0);
  CHECK(d.read("a.kv") == bytes);
  CHECK(fetch("cut.kv", {"--password-file", d.folder.file("right"), "--tokens", "0:2"}) == 0);
  CHECK(d.read("cut.kv").size() < bytes.size());
  CHECK(d.run({"download", id, "--password-file", d.folder.file("right")}) == 1);
}

TEST_CASE("a key of a project that is asked for another project says whose it is",
          "[cli][transfer][unit]") {
  Desk d;
  const std::string path = d.make_file("context.kv");
  const std::string other = "0c9d5e3f-0a7e-4a62-9c1b-6c1d2e3f0a4f";
  const std::vector<std::vector<std::string>> lines = {{"list", "--project", "other"},
                                                       {"list", "--project", other},
                                                       {"upload", path, "--project", "other"},
                                                       {"upload", path, "--project", other}};
  for (const std::vector<std::string>& line : lines) {
    CHECK(d.run(line) == 1);
    INFO(d.error);
    CHECK(d.error.find("is of the project default alone") != std::string::npos);
  }
  CHECK(d.run({"list", "--project", "default"}) == 0);
}

TEST_CASE("what is no .kv file is not uploaded", "[cli][transfer][unit]") {
  Desk d;
  std::ofstream(d.folder.file("no.kv")) << "not a cache";
  CHECK(d.run({"upload", d.folder.file("no.kv")}) == 1);
  CHECK(d.run({"upload", d.folder.file("missing.kv")}) == 1);
  CHECK(d.run({"upload"}) == 2);
  CHECK(d.run({"download", "nonsense"}) == 1);
}

TEST_CASE("an organization that holds something is refused in words of the command line",
          "[cli][transfer][unit]") {
  Desk desk;
  const Env admin("KVCS_ADMIN_KEY", desk.app.credential("admin_key"));
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.begin(), {"admin", "org"});
    return desk.run(std::move(words));
  };
  REQUIRE(run({"create", "--name", "Acme", "--json"}) == 0);
  const std::string id = desk.json()["org_id"];
  REQUIRE(desk.run({"admin", "user", "create", "--email", "a@b.example", "--org", id}) == 0);
  CHECK(run({"delete", id, "-y"}) == 1);
  INFO(desk.error);
  CHECK(desk.error.find("repeat with --force, which deletes them too; --dry-run lists") !=
        std::string::npos);
  CHECK(desk.error.find('?') == std::string::npos);
  REQUIRE(run({"delete", id, "--dry-run", "--json"}) == 0);
  CHECK(desk.json()["users"] == 1);
  CHECK(run({"show", id}) == 0);
  CHECK(run({"delete", id, "--force", "-y"}) == 0);
  CHECK(run({"show", id}) == 1);
}

TEST_CASE("quota, whoami and the key's three commands", "[cli][transfer][unit]") {
  Desk d;
  CHECK(d.run({"quota"}) == 0);
  CHECK(d.out.find("1.00 TiB") != std::string::npos);
  REQUIRE(d.run({"whoami", "--json"}) == 0);
  CHECK(d.json()["key_source"] == "environment");
  CHECK(d.out.find("kv_") == std::string::npos);
  REQUIRE(d.run({"whoami"}) == 0);
  CHECK(d.out.find("of a project (environment: KVCS_API_KEY)\n") != std::string::npos);
  CHECK(d.out.find("Organization  default\n") != std::string::npos);
  CHECK(d.out.find('{') == std::string::npos);
  CHECK(d.run({"api-key", "verify"}) == 0);
  CHECK(d.out.find("valid") != std::string::npos);
  REQUIRE(d.run({"api-key", "set", "kv_" + std::string(64, 'a')}) == 0);
  // It is for this server and no other.
  CHECK(cli::read_client_config().value().at("api_key_url") ==
        "http://127.0.0.1:" + std::to_string(d.app.port()));
  const auto mode = std::filesystem::status(cli::client_config_path()).permissions();
  CHECK(mode == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  {
    const Env unset("KVCS_API_KEY", "");
    REQUIRE(d.run({"api-key", "verify", "--json"}) == 1);
    CHECK(d.json()["valid"] == false);
    REQUIRE(d.run({"api-key", "clear"}) == 0);
    CHECK(d.run({"api-key", "verify"}) == 1);
    CHECK(d.error.find("no API key to verify") != std::string::npos);
    CHECK(d.error.find("kvcs api-key set") != std::string::npos);
    CHECK(d.run({"list"}) == 1);
    CHECK(d.error.find("KVCS_API_KEY") != std::string::npos);
  }
  CHECK(d.run({"api-key", "set", "nonsense"}) == 1);
}

TEST_CASE("a local daemon's credentials are used for its own URL and no other",
          "[cli][transfer][unit]") {
  Desk d;
  const Env data("KVCS_DATA_DIR", d.app.data_dir());
  const Env no_key("KVCS_API_KEY", "");
  const std::string local = d.app.app().url();
  {
    const Env no_url("KVCS_API_URL", "");
    CHECK(cli::find_api_settings(cli::ServerFlags{}).url == local);
    CHECK(cli::find_api_settings(cli::ServerFlags{}).key_source == "local daemon");
  }
  const Env other("KVCS_API_URL", "https://elsewhere.example");
  CHECK(cli::find_api_settings(cli::ServerFlags{}).key.empty());
}

TEST_CASE("a server that cannot be reached is named", "[cli][transfer][fault]") {
  Desk d;
  const Env nowhere("KVCS_API_URL", "http://127.0.0.1:1");
  CHECK(d.run({"list"}) == 1);
  CHECK(d.error.find("http://127.0.0.1:1 cannot be reached") != std::string::npos);
}

TEST_CASE("benchmark against a server times transfers and leaves nothing there",
          "[cli][transfer][unit]") {
  Desk d;
  const std::string path = d.make_file("context.kv");
  REQUIRE(d.run({"benchmark", path, "--reps", "2", "--scheme", "fp8_e4m3", "--json"}) == 0);
  std::vector<std::string> names;
  const Json report = d.json();
  for (const Json& operation : report["operations"]) names.push_back(operation["name"]);
  REQUIRE(names.size() >= 2);
  CHECK(names[names.size() - 2] == "upload");
  CHECK(names.back() == "download");
  CHECK(report["operations"].back()["bytes"] == std::filesystem::file_size(path));
  CHECK(d.run({"list"}) == 0);
  CHECK(d.out == "No artifacts.\n");
  CHECK(d.run({"benchmark", path, "--no-server", "--reps", "1", "--json"}) == 0);
  CHECK(d.out.find("\"upload\"") == std::string::npos);
  const Env gone("KVCS_API_URL", "http://127.0.0.1:1");
  CHECK(d.run({"benchmark", path, "--reps", "1", "--scheme", "int8", "--json"}) == 0);
  CHECK(d.out.find("no upload and download: ") != std::string::npos);
  CHECK(d.run({"benchmark", path, "--reps", "1", "--server", "http://127.0.0.1:1"}) == 1);
}

}  // namespace kvcs

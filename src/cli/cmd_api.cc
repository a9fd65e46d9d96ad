// `kvcs api`: any request of the HTTP API, with server and key as every command has them.
#include <nlohmann/json.hpp>

#include <algorithm>

#include "base/bytes.h"
#include "cli/admin_calls.h"
#include "cli/commands.h"

namespace kvcs::cli {
namespace {

constexpr uint64_t kBodyMaxBytes = 64 << 20;
constexpr const char* kMethods[] = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};

// A request as it was asked for.
struct Asked {
  std::string method, path;
  std::string body;
  http::FetchHeaders headers;
};

// true, false, null and whole numbers are what they look like, as for `gh api --field`.
Json value_of(const std::string& text) {
  const Result<Json> read = parse_json_exact(text);
  const bool is_plain =
      read.ok() && (read->is_boolean() || read->is_null() || read->is_number_integer());
  return is_plain ? *read : Json(text);
}

struct Field {
  std::string name, value;
};

Result<std::vector<Field>> read_fields(const Invocation& in) {
  std::vector<Field> fields;
  for (const std::string& pair : in.list("field")) {
    const size_t equals = pair.find('=');
    if (equals == pair.npos || equals == 0) {
      return invalid("--field: '" + printable(pair, kShownName) + "' is not NAME=VALUE.");
    }
    fields.push_back({pair.substr(0, equals), pair.substr(equals + 1)});
  }
  return fields;
}

// "[METHOD] PATH". The key goes to the server that is chosen as ever: a whole URL names another.
Result<Asked> read_words(const Invocation& in, bool has_body) {
  const std::vector<std::string> words = in.list("request");
  if (words.size() > 2) {
    return invalid("REQUEST: a method and a path, or a path alone; not " +
                   std::to_string(words.size()) + " words.");
  }
  Asked asked{has_body ? "POST" : "GET", words.back(), {}, {}};
  if (words.size() == 2) {
    asked.method = words.front();
    for (char& c : asked.method) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    if (std::find(std::begin(kMethods), std::end(kMethods), asked.method) == std::end(kMethods)) {
      return invalid("'" + printable(words.front(), kShownName) +
                     "' is not one of: " + join(kMethods, ", ") + ".");
    }
  }
  if (asked.path.starts_with('/')) return asked;
  return invalid("'" + printable(asked.path, kShownValue) +
                 "' is no path, as /api/v1/artifacts is; --server names another server.");
}

// Fields are members of a JSON object, or the query of a method that has no body.
Status put_fields(const std::vector<Field>& fields, Asked& asked) {
  if (asked.method == "GET" || asked.method == "HEAD" || asked.method == "DELETE") {
    for (const Field& field : fields) {
      asked.path += (asked.path.find('?') == asked.path.npos ? "?" : "&") +
                    percent_encode(field.name) + "=" + percent_encode(field.value);
    }
    return ok();
  }
  Json body = Json::object();
  for (const Field& field : fields) body[field.name] = value_of(field.value);
  asked.body = dump_json(body);
  return ok();
}

Status read_headers(const Invocation& in, Asked& asked) {
  for (const std::string& header : in.list("header")) {
    const size_t colon = header.find(':');
    if (colon == header.npos) {
      return invalid("--header: '" + printable(header, kShownName) + "' is not NAME: VALUE.");
    }
    const std::string name = lower_ascii(trim(std::string_view(header).substr(0, colon)));
    if (name == "authorization") {
      return invalid("--header: the key is not given by a header; --key-env names its variable.");
    }
    asked.headers.emplace_back(name, trim(std::string_view(header).substr(colon + 1)));
  }
  return ok();
}

Result<Asked> read_request(const Invocation& in) {
  const std::vector<Field> fields = KVCS_TRY(read_fields(in));
  const auto input = in.optional_text("input");
  if (input && !fields.empty()) return invalid("--field and --input: give one of them.");
  Asked asked = KVCS_TRY(read_words(in, input || !fields.empty()));
  KVCS_TRY(read_headers(in, asked));
  KVCS_TRY(put_fields(fields, asked));
  if (input) asked.body = KVCS_TRY(read_input(*input, kBodyMaxBytes));
  const bool has_type =
      std::any_of(asked.headers.begin(), asked.headers.end(),
                  [](const auto& header) { return header.first == "content-type"; });
  if (!asked.body.empty() && !has_type) {
    asked.headers.emplace_back("content-type", "application/json");
  }
  return asked;
}

// Under /admin the administrator's key, elsewhere the everyday one, unless a variable is named.
ApiSettings settings_of(const Invocation& in, const std::string& path) {
  if (const auto variable = in.optional_text("key-env")) {
    return find_settings_of(in.server_flags(), *variable);
  }
  return path.starts_with("/admin/") ? find_admin_settings(in) : find_api_settings(in);
}

// For a program as it came. For a person JSON is indented, and nothing else of a foreign body
// reaches the terminal but what printable() leaves.
void print_body(Console& console, const std::string& body) {
  const bool is_read_by_person = console.mode().out_terminal || console.mode().json;
  if (body.empty()) return;
  if (!is_read_by_person) return console.write(body);
  const Result<Json> json = parse_json_exact(body);
  if (json.ok()) return console.print_json(*json);
  // An escape has four letters at most for a byte: nothing is cut.
  for (const std::string_view line : split(body, '\n')) {
    console.print(printable(line, 4 * line.size()));
  }
}

int run_api(const Invocation& in, Console& console) {
  const Result<Asked> asked = read_request(in);
  if (!asked.ok()) return console.misused(asked.status());
  ApiClient api(settings_of(in, asked->path));
  http::FetchRequest request;
  request.method = asked->method;
  request.headers = asked->headers;
  request.body = asked->body;
  const Result<http::FetchAnswer> answer = api.exchange(std::move(request), asked->path);
  if (!answer.ok()) return console.fail(answer.status());
  if (in.flag("include")) {
    console.print("HTTP " + std::to_string(answer->status));
    for (const auto& [name, value] : answer->headers) {
      console.print(printable(name) + ": " + printable(value, kShownWhole));
    }
    console.print("");
  }
  print_body(console, answer->body);
  return answer->ok() ? kExitOk : console.fail(api.refusal(*answer));
}

}  // namespace

std::vector<Command> api_commands() {
  return {
      {.name = "api",
       .summary = "Ask the server's HTTP API, and print its answer.",
       .options = {{.name = "REQUEST",
                    .kind = ValueKind::kList,
                    .help = "[METHOD] PATH; without METHOD it is GET, or POST with a body.",
                    .required = true},
                   {.name = "--field",
                    .kind = ValueKind::kList,
                    .help =
                        "A member of the body, or of a GET's query; may be repeated. true, false, "
                        "null and whole numbers are no texts.",
                    .value_name = "NAME=VALUE"},
                   {.name = "--input",
                    .help = "The body: this file, or \"-\" for stdin.",
                    .value_name = "FILE"},
                   {.name = "--header",
                    .kind = ValueKind::kList,
                    .help = "One more header; may be repeated.",
                    .value_name = "'NAME: VALUE'"},
                   {.name = "--key-env",
                    .help = "Ask with the key in this variable.",
                    .value_name = "VARIABLE"},
                   {.name = "-i,--include",
                    .kind = ValueKind::kFlag,
                    .help = "Print the status and the headers before the body."}},
       .examples = {{"kvcs api GET /api/v1/artifacts --field limit=5", "A query."},
                    {"kvcs api PATCH /api/v1/artifacts/3f0c9d5e-7e0a-4a62-9c1b-0a4f6c1d2e3f "
                     "--field name=renamed",
                     "A body of members; --input sends any other."}},
       .run = run_api,
       .details =
           "Server and key are those of every command: under /admin/ the administrator's, "
           "elsewhere "
           "your own. An answer that is not 2xx is printed as well, and the command ends with 1. "
           "The API's document is at /openapi.json."}};
}

}  // namespace kvcs::cli

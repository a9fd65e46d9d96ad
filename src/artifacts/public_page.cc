// Pages for people who follow a link to an artifact.
#include "artifacts/public_page.h"

#include "base/bytes.h"
#include "oauth/browser.h"

namespace kvcs::public_page {
namespace {

using http::Response;
using oauth::escape_html;

// Parts of the User-Agents of programs that fetch a link to show what is behind it, or to index it.
constexpr std::string_view kPreviewers[] = {"bot",      "facebookexternalhit",
                                            "whatsapp", "preview",
                                            "crawler",  "spider",
                                            "embedly",  "iframely",
                                            "slurp",    "mediapartners",
                                            "scanner",  "unfurl"};

bool accepts(const http::Request& request, std::string_view type) {
  for (const http::Header& header : request.headers) {
    if (!equal_ignore_case(header.name, "accept")) continue;
    for (const std::string_view part : split(header.value, ',')) {
      if (equal_ignore_case(trim(part.substr(0, part.find(';'))), type)) return true;
    }
  }
  return false;
}

std::string row(std::string_view name, const std::string& value) {
  if (value.empty()) return {};
  return "<tr><th>" + std::string(name) + "</th><td>" + escape_html(value) + "</td></tr>\n";
}

std::string facts(const Artifact& a) {
  return "<table>\n" + row("Model", a.model_name) + row("Data type", a.dtype) +
         row("Tokens", a.num_tokens > 0 ? std::to_string(a.num_tokens) : "") +
         row("Size", format_bytes(a.size_bytes)) + row("SHA-256", a.sha256) +
         row("Tags", join(a.tags, ", ")) + row("Uploaded", format_iso8601_s(a.created_ms)) +
         "</table>\n";
}

// A name of spaces alone would be no title.
std::string title_of(const Artifact& a) {
  return trim(a.name).empty() ? "Artifact" : a.name;
}

}  // namespace

bool wants_page(const http::Request& request) {
  for (const char* const name : {"download", "tokens", "layers"}) {
    if (request.query_value(name)) return false;
  }
  return !request.header("range") && accepts(request, "text/html");
}

bool wants_data(const http::Request& request) {
  return !request.header("range") && accepts(request, "application/json") &&
         !accepts(request, "*/*") && !accepts(request, "text/html");
}

bool is_preview(const http::Request& request) {
  const std::string agent = lower_ascii(request.header("user-agent").value_or(""));
  for (const std::string_view word : kPreviewers) {
    for (size_t at = agent.find(word); at != agent.npos; at = agent.find(word, at + 1)) {
      // A "robotics-client" is none.
      const size_t end = at + word.size();
      if (end == agent.size() || agent[end] < 'a' || agent[end] > 'z') return true;
    }
  }
  return false;
}

Response of_artifact(const Artifact& artifact, std::string_view organization,
                     std::string_view public_url) {
  std::string html =
      "<p>" + escape_html(std::string(organization) + " / " + artifact.project) + "</p>\n";
  if (!artifact.description.empty()) html += "<p>" + escape_html(artifact.description) + "</p>\n";
  html += facts(artifact);
  html += "<p><a href=\"" + escape_html(public_url) + "?download=1\" download>Download</a></p>\n";
  return oauth::html_page(200, title_of(artifact), html);
}

Response of_share(int status, const Artifact& artifact, bool has_password,
                  std::string_view message) {
  std::string html;
  if (!message.empty()) html += "<p role=\"alert\">" + escape_html(message) + "</p>\n";
  // What it is called is told to nobody who has not said the password.
  if (!has_password) html += facts(artifact);
  html += "<form method=\"post\">\n";
  if (has_password) {
    html +=
        "<p><label>Password <input type=\"password\" name=\"password\" required autofocus "
        "autocomplete=\"off\"></label></p>\n";
  }
  html += "<p><button>Download</button></p>\n</form>\n";
  Response page = oauth::html_page(
      status, has_password ? "A file was shared with you" : title_of(artifact), html);
  page.set("X-Robots-Tag", "noindex");
  return page;
}

}  // namespace kvcs::public_page

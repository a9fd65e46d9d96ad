// Pages for people who follow a link to an artifact.
#include "artifacts/public_page.h"

#include <algorithm>

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

// What does the same in a terminal; `url` has no quotes in it.
std::string commands(std::string_view url) {
  const std::string quoted = escape_html("'" + std::string(url) + "'");
  return "<p class=\"muted\">On the command line:</p>\n<pre>kvcs download " + quoted + "</pre>\n";
}

// "2027-01-31T10:00:00Z" as people write it.
std::string time_words(int64_t unix_ms) {
  std::string text = format_iso8601_s(unix_ms);
  const std::string machine = text;
  text.replace(text.find('T'), 1, " ").replace(text.find('Z'), 1, " UTC");
  return "<time datetime=\"" + machine + "\">" + text + "</time>";
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
  std::string html = "<p class=\"muted\">" +
                     escape_html(std::string(organization) + " / " + artifact.project) + "</p>\n";
  if (!artifact.description.empty()) html += "<p>" + escape_html(artifact.description) + "</p>\n";
  html += facts(artifact);
  html += "<p><a class=\"button\" href=\"" + escape_html(public_url) +
          "?download=1\" download>Download</a></p>\n";
  html += commands(public_url);
  return oauth::html_page(200, title_of(artifact), html);
}

Response of_share(int status, const OpenShare& open, std::string_view url,
                  std::string_view message) {
  const Artifact& artifact = open.artifact;
  const bool has_password = !open.share.password_hash.empty();
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
  html += "<p class=\"muted\">The link works until " + time_words(open.share.expires_ms);
  if (const auto max = open.share.downloads_max) {
    const int64_t left = std::max<int64_t>(*max - open.share.downloads, 0);
    html += ", for " + std::to_string(left) + (left == 1 ? " more download" : " more downloads");
  }
  html += ".</p>\n" + commands(url);
  Response page = oauth::html_page(
      status, has_password ? "A file was shared with you" : title_of(artifact), html);
  page.set("X-Robots-Tag", "noindex");
  return page;
}

}  // namespace kvcs::public_page

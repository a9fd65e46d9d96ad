// What a browser sees of an artifact that it may have: a page that says what it is, with a link or
// a button for the bytes. Programs get the bytes themselves. Pages hold no scripts, load nothing,
// and escape what owners wrote. Functions without state.
#pragma once
#include <string>
#include <string_view>

#include "artifacts/artifacts.h"
#include "artifacts/shares.h"
#include "http/http.h"

namespace kvcs::public_page {

// Whether the request is a person's who follows a link: it accepts HTML, and asks for no part of
// the bytes and not for the download itself.
bool wants_page(const http::Request& request);
// Whether it says that it takes JSON rather than bytes or pages.
bool wants_data(const http::Request& request);
// Whether it is a program that looks at links which people send each other.
bool is_preview(const http::Request& request);

http::Response of_artifact(const Artifact& artifact, std::string_view organization,
                           std::string_view public_url);
// The page of a share link, which is `url`. `message` tells of a try that failed, "" for none.
http::Response of_share(int status, const OpenShare& open, std::string_view url,
                        std::string_view message);

}  // namespace kvcs::public_page

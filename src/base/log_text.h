// The log for people: one line of JSON turned into one line of words, for a terminal.
//   {"ts":"2026-11-30T17:10:49.123Z","level":"info","event":"server.ready","pid":7}
//   17:10:49.123 info  server.ready  pid=7
// Pure functions.
#pragma once
#include <string>
#include <string_view>

namespace kvcs::log {

// Each line of `lines`; one that is no JSON object stays as it is. Members keep their order. A text
// that holds more than visible ASCII, or a quote, is written as a JSON string, so that nothing of
// it reaches the terminal as a control.
std::string in_words(std::string_view lines);

}  // namespace kvcs::log

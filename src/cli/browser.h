// Opens a page for the person at this machine.
#pragma once
#include <string>

namespace kvcs::cli {

// By the program that BROWSER names, else by xdg-open where there is a desktop. The program is not
// waited for, and what it prints is nobody's concern. True: it was begun.
bool open_browser(const std::string& url);

}  // namespace kvcs::cli

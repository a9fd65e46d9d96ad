// Reads an address with the system's parser and prints the block that it belongs to.
#include "base/address_block.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace kvcs {
namespace {

constexpr size_t kBlockBytes = 8;  // A /64.
constexpr std::array<unsigned char, 12> kMappedPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

}  // namespace

std::string address_block(std::string_view ip) {
  // The name of a link-local address's interface says nothing about its block.
  const std::string_view bare = ip.substr(0, ip.find('%'));
  char text[INET6_ADDRSTRLEN] = {};
  if (bare.find(':') == bare.npos || bare.size() >= sizeof text) return std::string(ip);
  std::memcpy(text, bare.data(), bare.size());
  std::array<unsigned char, 16> address{};
  if (inet_pton(AF_INET6, text, address.data()) != 1) return std::string(ip);
  char printed[INET6_ADDRSTRLEN] = {};
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), address.begin())) {
    return inet_ntop(AF_INET, address.data() + kMappedPrefix.size(), printed, sizeof printed);
  }
  std::fill(address.begin() + kBlockBytes, address.end(), 0);
  return std::string(inet_ntop(AF_INET6, address.data(), printed, sizeof printed)) + "/64";
}

}  // namespace kvcs

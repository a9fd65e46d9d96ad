#!/bin/bash
# Installs what building, running and testing kvcs needs, and only what is missing:
#   packaging/deps.sh           Debian packages, and npm modules where a lock file asks for them
#   packaging/deps.sh bench     also what only `make bench` compares with
#   packaging/deps.sh list      prints the package names, one a line
# Silent and offline when nothing is missing. Uses sudo when not root.
set -euo pipefail
cd "$(dirname "$0")/.."

# Every row is explained in README.md, "What it stands on".
build_packages=(
  git make g++ pkg-config ccache mold
  librocksdb-dev libsqlite3-dev libcpp-httplib-dev libsodium-dev libyaml-cpp-dev libcli11-dev
  libcurl4-openssl-dev libssl-dev nlohmann-json3-dev libsimdjson-dev libzstd-dev libsystemd-dev
  libcairo2-dev libfreetype-dev libboost-context-dev libjemalloc-dev
)
test_packages=(
  catch2 clang libclang-rt-14-dev clang-format clang-tidy python3 python3-numpy curl openssl procps
  dpkg-dev lintian ca-certificates
)
bench_packages=(nginx-light wrk)
npm_folders=(web tests/e2e)

packages=("${build_packages[@]}" "${test_packages[@]}")
# Node may come from elsewhere than Debian; only a machine without one gets Debian's.
command -v node > /dev/null || packages+=(nodejs)
command -v npm > /dev/null || packages+=(npm)
if [ "${1:-}" = bench ]; then
  packages+=("${bench_packages[@]}")
  npm_folders+=(tests/bench)
fi

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo > /dev/null; then
    sudo "$@"
  else
    echo "deps: this needs root, and there is no sudo. Run as root: $*" >&2
    return 1
  fi
}

missing_packages() {
  local name
  for name in "${packages[@]}"; do
    case "$(dpkg-query -W -f='${Status}' "$name" 2> /dev/null)" in
      *' installed') ;;
      *) echo "$name" ;;
    esac
  done
}

# Debian starts a service when it is installed; nginx is wanted as a program, not as a server.
hold_services() {
  [ ! -e /usr/sbin/policy-rc.d ] || return 0
  printf '#!/bin/sh\nexit 101\n' | as_root tee /usr/sbin/policy-rc.d > /dev/null
  as_root chmod 755 /usr/sbin/policy-rc.d
  trap 'as_root rm -f /usr/sbin/policy-rc.d' EXIT
}

install_packages() {
  if ! command -v apt-get > /dev/null; then
    echo "deps: this is not Debian; install by hand what stands for: $*" >&2
    return 1
  fi
  echo "deps: installing $# Debian packages: $*"
  hold_services
  as_root apt-get update -q || echo "deps: apt-get update failed; trying the lists at hand"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  if [[ " $* " == *" nginx-light "* ]] && [ -d /run/systemd/system ]; then
    as_root systemctl disable nginx.service
  fi
}

# The stamp holds the digest of the lock file that node_modules was installed from.
install_modules() {
  local folder=$1 want stamp
  [ -f "$folder/package-lock.json" ] || return 0
  want=$(sha256sum < "$folder/package-lock.json")
  stamp=$folder/node_modules/.kvcs-lock-sha256
  [ "$(cat "$stamp" 2> /dev/null)" != "$want" ] || return 0
  echo "deps: npm ci in $folder/"
  (cd "$folder" && npm ci --no-audit --no-fund --ignore-scripts --loglevel=error)
  mkdir -p "$folder/node_modules"
  echo "$want" > "$stamp"
}

if [ "${1:-}" = list ]; then
  printf '%s\n' "${build_packages[@]}" "${test_packages[@]}" nodejs npm "${bench_packages[@]}"
  exit 0
fi
mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
for folder in "${npm_folders[@]}"; do install_modules "$folder"; done

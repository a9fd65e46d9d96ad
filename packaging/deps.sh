#!/bin/bash
# Installs what a target of the Makefile needs, and of that only what is missing:
#   packaging/deps.sh run       to build and run: libraries, compiler, and Node for the web page
#   packaging/deps.sh test      and what the tests need; likewise e2e, check, fuzz, deb and bench
#   packaging/deps.sh browser   and Chromium, in which the dashboard is tested and its pictures are taken
#   packaging/deps.sh           all of these but bench, which is for comparing alone
#   packaging/deps.sh list      prints the names of all packages, one a line
# Installs Debian packages, and npm modules where a lock file asks for them. With WEB=0 in the
# environment, run and deb want neither Node nor modules. Silent and offline when nothing is
# missing. Uses sudo when not root.
set -euo pipefail
cd "$(dirname "$0")/.."

# Every row is explained in README.md, "What it stands on".
build_packages=(
  git make g++ pkg-config ccache mold
  librocksdb-dev libsqlite3-dev libcpp-httplib-dev libsodium-dev libyaml-cpp-dev libcli11-dev
  libcurl4-openssl-dev libssl-dev nlohmann-json3-dev libsimdjson-dev libzstd-dev zlib1g-dev
  libbrotli-dev libsystemd-dev libcairo2-dev libfreetype-dev libboost-context-dev libjemalloc-dev
  libzxcvbn-dev libutf8proc-dev
)
# What calls to others are checked against, and the other client of README's examples.
run_packages=(ca-certificates curl)
node_packages=(nodejs npm)
# Chromium takes 300 MB: `make test` skips what needs it where it is not installed.
browser_packages=(chromium)
test_packages=(
  catch2 python3 python3-numpy python3-jsonschema python3-fusepy fuse3 openssl procps dpkg-dev lintian
  nginx-light
)
check_packages=(clang clang-format clang-tidy nodejs)
fuzz_packages=(clang libclang-rt-14-dev)
deb_packages=(dpkg-dev)
bench_packages=(
  wrk libboost-dev libh2o-evloop-dev libh2o-dev-common libmicrohttpd-dev libevent-dev
)

target=${1:-all}
packages=("${build_packages[@]}" "${run_packages[@]}")
npm_folders=()
want_web() {
  packages+=("${node_packages[@]}")
  npm_folders+=(web)
}
want_tests() {
  want_web
  packages+=("${test_packages[@]}")
  npm_folders+=(tests/e2e)
}
want_browser() {
  want_tests
  packages+=("${browser_packages[@]}")
}
want_commands() {
  want_browser
  npm_folders+=(tests/e2e/commands tests/e2e/engine)
}
case $target in
  run) [ "${WEB:-1}" = 0 ] || want_web ;;
  deb)
    [ "${WEB:-1}" = 0 ] || want_web
    packages+=("${deb_packages[@]}")
    ;;
  test) want_tests ;;
  browser) want_browser ;;
  e2e) want_commands ;;
  check) packages+=("${check_packages[@]}") ;;
  fuzz) packages+=("${fuzz_packages[@]}") ;;
  bench)
    want_tests
    packages+=("${bench_packages[@]}")
    npm_folders+=(tests/bench)
    ;;
  all | list)
    want_commands
    packages+=("${check_packages[@]}" "${fuzz_packages[@]}" "${deb_packages[@]}")
    ;;
  *)
    echo "deps: '$target' is none of run, test, browser, e2e, check, fuzz, deb, bench, all, list" >&2
    exit 2
    ;;
esac
if [ "$target" = list ]; then
  printf '%s\n' "${packages[@]}" "${bench_packages[@]}" | awk '!seen[$0]++'
  exit 0
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
  for name in $(printf '%s\n' "${packages[@]}" | sort -u); do
    # Node and Chromium may come from elsewhere than Debian; only a machine without one gets Debian's.
    case $name in
      nodejs) ! command -v node > /dev/null || continue ;;
      npm) ! command -v npm > /dev/null || continue ;;
      chromium) [ -z "${KVCS_CHROMIUM:-}" ] || continue ;;
    esac
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

mapfile -t missing < <(missing_packages)
[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
for folder in "${npm_folders[@]}"; do install_modules "$folder"; done

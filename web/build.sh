#!/bin/sh
# Checks the types and builds web/dist; installs the npm modules when the lock file asks for it.
set -eu
cd "$(dirname "$0")"
want=$(sha256sum < package-lock.json)
stamp=node_modules/.kvcs-lock-sha256
if [ "$(cat "$stamp" 2> /dev/null || true)" != "$want" ]; then
  echo "web: npm ci"
  npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
  echo "$want" > "$stamp"
fi
node_modules/.bin/tsc --noEmit
node build.mjs

#!/bin/sh
# Makes the types of the API, checks all types and builds web/dist; installs the npm modules when the lock file asks for it.
set -eu
cd "$(dirname "$0")"
want=$(sha256sum < package-lock.json)
stamp=node_modules/.kvcs-lock-sha256
if [ "$(cat "$stamp" 2> /dev/null || true)" != "$want" ]; then
  echo "web: npm ci"
  npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
  echo "$want" > "$stamp"
fi
types=src/api/schema.d.ts
if [ ! -f "$types" ] || [ api/openapi.json -nt "$types" ] || [ package-lock.json -nt "$types" ]; then
  node_modules/.bin/openapi-typescript api/openapi.json --output "$types" > /dev/null
fi
node_modules/.bin/tsc --noEmit
node build.mjs

#!/bin/sh
# Writes an assembly file that holds the web pages: embed.sh WEB(0|1) OUTPUT
# Table kvcs_web_assets: rows of 7 pointers (path, mime, sha256, begin, end, gzip begin, gzip end),
# ended by a row that starts with 0.
set -eu
cat > "$2" <<'S'
    .section .data.rel.ro,"aw"
    .balign 8
    .global kvcs_web_assets
kvcs_web_assets:
    .quad 0
    .section .note.GNU-stack,"",@progbits
S

#!/bin/sh
# Writes an assembly file that holds the web pages: embed.sh WEB(0|1) OUTPUT [DIST]
# WEB=1 embeds every file of DIST (web/dist); WEB=0, for machines without Node, one page saying so.
#
# The table kvcs_web_assets has a row of nine pointers for each file, sorted by path: path, mime
# and sha256 (hex, of the raw bytes) as C strings, begin and end of the raw bytes, begin and end of
# the same by gzip, and by brotli. web/build.mjs has made these beside the file, FILE.gz and FILE.br;
# where it has not, because it gains nothing, the two are null. A row that starts with null ends it.
# src/http/static_files.cc reads it.
set -eu
web=$1
output=$2
here=$(cd "$(dirname "$0")" && pwd)
work=$output.files
rm -rf "$work"
mkdir -p "$work"
work=$(cd "$work" && pwd)

if [ "$web" = 1 ]; then
  root=${3:-$here/dist}
  [ -f "$root/index.html" ] || { echo "embed: no $root/index.html; run web/build.sh" >&2; exit 1; }
else
  root=$work/none
  mkdir -p "$root"
  cat > "$root/index.html" << 'PAGE'
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>kvcs</title></head>
<body>
<h1>kvcs is running</h1>
<p>This binary was built with WEB=0, without its web pages. Build it with Node 18 or newer and
plain <code>make</code> to have them. <a href="/health">/health</a> says how it is.</p>
</body>
</html>
PAGE
fi

mime_of() {
  case "$1" in
    *.html) echo 'text/html; charset=utf-8' ;;
    *.js) echo 'text/javascript; charset=utf-8' ;;
    *.css) echo 'text/css; charset=utf-8' ;;
    *.json | *.map) echo 'application/json' ;;
    *.svg) echo 'image/svg+xml' ;;
    *.png) echo 'image/png' ;;
    *.ico) echo 'image/x-icon' ;;
    *.woff2) echo 'font/woff2' ;;
    *.txt) echo 'text/plain; charset=utf-8' ;;
    *) echo 'application/octet-stream' ;;
  esac
}

# Paths with a quote, a backslash or a line break would break out of the assembly.
if find "$root" -type f | grep -q '[^A-Za-z0-9/._-]'; then
  find "$root" -type f | grep '[^A-Za-z0-9/._-]' >&2
  echo "embed: file names may have letters, digits, '.', '_' and '-'" >&2
  exit 1
fi

(cd "$root" && find . -type f -not -name '.*' -not -name '*.gz' -not -name '*.br' | sed 's/^\.//' | LC_ALL=C sort) > "$work/paths"
{
  echo '    .section .rodata,"a"'
  i=0
  while read -r path; do
    file=$root$path
    sha=$(sha256sum < "$file" | cut -c1-64)
    printf '.Lpath%d: .asciz "%s"\n' $i "$path"
    printf '.Lmime%d: .asciz "%s"\n' $i "$(mime_of "$path")"
    printf '.Lsha%d: .asciz "%s"\n' $i "$sha"
    printf '.Lraw%d: .incbin "%s"\n.Lraw_end%d:\n' $i "$file" $i
    for code in gz br; do
      [ ! -f "$file.$code" ] ||
        printf '.L%s%d: .incbin "%s"\n.L%s_end%d:\n' $code $i "$file.$code" $code $i
    done
    i=$((i + 1))
  done < "$work/paths"
  echo '    .section .data.rel.ro,"aw"'
  echo '    .balign 8'
  echo '    .global kvcs_web_assets'
  echo 'kvcs_web_assets:'
  i=0
  while read -r path; do
    printf '    .quad .Lpath%d, .Lmime%d, .Lsha%d, .Lraw%d, .Lraw_end%d\n' $i $i $i $i $i
    for code in gz br; do
      if [ -f "$root$path.$code" ]; then
        printf '    .quad .L%s%d, .L%s_end%d\n' $code $i $code $i
      else
        echo '    .quad 0, 0'
      fi
    done
    i=$((i + 1))
  done < "$work/paths"
  echo '    .quad 0'
  echo '    .section .note.GNU-stack,"",@progbits'
} > "$output.new"
mv "$output.new" "$output"

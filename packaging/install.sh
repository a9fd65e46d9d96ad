#!/bin/sh
# Copies a built kvcs into place: install.sh BUILD DESTDIR PREFIX
# Creates no user and starts nothing; a package, or the administrator, does that.
set -eu
build=$1
destdir=$2
prefix=$3
cd "$(dirname "$0")/.."
[ -x "$build/kvcs" ] || { echo "install: there is no $build/kvcs; run make first" >&2; exit 1; }
root=$destdir$prefix

install -D -m 755 "$build/kvcs" "$root/bin/kvcs"
install -D -m 644 kvcs.yaml.example "$root/share/doc/kvcs/kvcs.yaml.example"
install -D -m 644 README.md "$root/share/doc/kvcs/README.md"
find config -type f ! -name '.*' 2> /dev/null | while read -r file; do
  install -D -m 644 "$file" "$root/share/kvcs/$file"
done
# Pages of the manual and completion are made of the program's own tables.
pages=$(mktemp -d)
trap 'rm -rf "$pages"' EXIT
"$build/kvcs" __man "$pages"
for page in "$pages"/*.1; do
  gzip -9n "$page"
  install -D -m 644 "$page.gz" "$root/share/man/man1/${page##*/}.gz"
done
complete() {
  "$build/kvcs" completion "$1" > "$pages/script"
  install -D -m 644 "$pages/script" "$root/share/$2"
}
complete bash bash-completion/completions/kvcs
complete zsh zsh/vendor-completions/_kvcs
complete fish fish/vendor_completions.d/kvcs.fish
install -d "$root/lib/systemd/system"
sed "s|/usr/bin/kvcs|$prefix/bin/kvcs|" packaging/kvcs.service > "$root/lib/systemd/system/kvcs.service"
chmod 644 "$root/lib/systemd/system/kvcs.service"
# Never over an administrator's own.
if [ ! -e "$destdir/etc/kvcs/kvcs.yaml" ]; then
  install -D -m 644 packaging/kvcs.yaml "$destdir/etc/kvcs/kvcs.yaml"
fi
if [ -z "$destdir" ]; then
  echo "Installed $root/bin/kvcs. To run it as a service:"
  echo "  useradd --system --home-dir /var/lib/kvcs --shell /usr/sbin/nologin kvcs"
  echo "  systemctl daemon-reload && systemctl enable --now kvcs"
fi

#!/bin/bash
# Builds a Debian package of a built kvcs: build_deb.sh BUILD VERSION [OUTPUT_DIRECTORY]
# Prints the path of the package. The dependencies are what dpkg-shlibdeps reads from the binary.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
version=${2#v}
output=${3:-build}
# A Debian version begins with a digit and has no '-' unless it means a revision.
[[ $version =~ ^[0-9] ]] || version=$(cat packaging/VERSION)+g$version
version=${version//-/.}
arch=$(dpkg --print-architecture)
package=$output/kvcs_${version}_$arch.deb
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2> /dev/null || date +%s)}

mkdir -p "$output"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022
packaging/install.sh "$build" "$root" /usr
strip --strip-unneeded "$root/usr/bin/kvcs"
# Debian 12 looks for units below /lib.
mkdir -p "$root/lib"
mv "$root/usr/lib/systemd" "$root/lib/systemd"
rmdir "$root/usr/lib"

doc=$root/usr/share/doc/kvcs
cp packaging/deb/copyright "$doc/copyright"
{
  echo "kvcs ($version) stable; urgency=medium"
  echo
  echo "  * See CHANGELOG.md of this version."
  echo
  echo " -- kvcs maintainers <kvcs@kvcs.invalid>  $(LC_ALL=C date -u -R -d "@$epoch")"
} | gzip -9n > "$doc/changelog.gz"
gzip -9n < CHANGELOG.md > "$doc/CHANGELOG.md.gz"

# dpkg-shlibdeps wants a source tree around it.
mkdir -p "$work/debian"
printf 'Source: kvcs\n\nPackage: kvcs\nArchitecture: any\n' > "$work/debian/control"
depends=$(cd "$work" && dpkg-shlibdeps -O root/usr/bin/kvcs 2> "$work/shlibdeps.log" |
  sed 's/^shlibs:Depends=//') || { cat "$work/shlibdeps.log" >&2; exit 1; }
size_kib=$(du -sk --apparent-size "$root" | cut -f1)

mkdir -p "$root/DEBIAN"
sed -e "s|@VERSION@|$version|" -e "s|@ARCH@|$arch|" -e "s|@DEPENDS@|$depends|" \
  -e "s|@SIZE@|$size_kib|" packaging/deb/control.in > "$root/DEBIAN/control"
echo /etc/kvcs/kvcs.yaml > "$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
  install -m 755 "packaging/deb/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr lib -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) > "$root/DEBIAN/md5sums"

SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group --build "$root" "$package" > /dev/null
echo "$package"

#!/bin/bash
# Upload of a large file against what bounds it, hashing it and writing it durably: upload.sh
# BUILD_DIR [MiB]. Best of three; the peer is the slower of `openssl dgst` and `dd conv=fsync`.
. "$(dirname "$0")/common.bash"
need curl openssl dd
mib=${2:-512}
cd "$work"
head -c "$((mib << 20))" /dev/urandom > file
start_daemon
digest=$(openssl dgst -sha256 -r file | cut -d ' ' -f 1)
seconds_of() {
  local begun
  begun=$(date +%s%N)
  "$@" > /dev/null 2>&1 || { echo 999; return; }
  calc "($(date +%s%N) - $begun) / 1e9" 4
}
least() { awk "BEGIN { print ($1 < $2 ? $1 : $2) }"; }
api() { curl -sf -H "Authorization: Bearer $api_key" "$@"; }
announce() {
  api "$url/api/v1/artifacts/upload-url" -H 'Content-Type: application/json' \
    -d "{\"name\":\"bench\",\"dtype\":\"F16\",\"size_bytes\":$((mib << 20)),\"sha256\":\"$digest\"}"
}
tus() { # METHOD PATH [CURL OPTIONS]: prints the head of the answer
  local method=$1 path=$2
  shift 2
  curl -s -D - -o /dev/null -X "$method" "$url$path" -H "Authorization: Bearer $api_key" \
    -H 'Tus-Resumable: 1.0.0' "$@" | tr -d '\r'
}
header() { sed -n "s/^$1: *//Ip"; }
begin_tus() { # the path of a new upload
  tus POST /api/v1/uploads -H "Upload-Length: $((mib << 20))" \
    -H "Upload-Metadata: name $(printf bench | base64),dtype $(printf F16 | base64),sha256 $(printf %s "$digest" | base64 -w 0)" |
    header location
}
append_tus() { # PATH OFFSET [CURL OPTIONS]: the file from there on
  local path=$1 offset=$2
  shift 2
  curl -sf -X PATCH -T file "$url$path" -H "Authorization: Bearer $api_key" -H 'Tus-Resumable: 1.0.0' \
    -H 'Content-Type: application/offset+octet-stream' -H "Upload-Offset: $offset" "$@"
}
# dd and upload take turns, and each removes what it wrote: on a virtual machine the first touch of a
# page costs more than the disk, so both must find the same pages just freed.
hash_s=999 disk_s=999 put_s=999 tus_s=999 confirm_ms=0
resident=$(memory_kb "$daemon" VmRSS)
ticks=0
for turn in 1 2 3; do
  hash_s=$(least "$hash_s" "$(seconds_of openssl dgst -sha256 file)")
  disk_s=$(least "$disk_s" "$(seconds_of dd if=file of=copy bs=1M conv=fsync)")
  rm -f copy
  before=$(ticks "$daemon")
  answer=$(announce)
  id=$(member artifact_id <<< "$answer")
  put_s=$(least "$put_s" "$(seconds_of curl -sf -T file "$(member url <<< "$answer")")")
  took=$(api -o /dev/null -w '%{time_total}' -X POST "$url/api/v1/artifacts/$id/confirm-upload")
  confirm_ms=$(awk "BEGIN { t = $took * 1000; print (t > $confirm_ms ? t : $confirm_ms) }")
  api -X DELETE "$url/api/v1/artifacts/$id" > /dev/null
  ticks=$((ticks + $(ticks "$daemon") - before))
  path=$(begin_tus)
  tus_s=$(least "$tus_s" "$(seconds_of append_tus "$path" 0)")
  api -X DELETE "$url/api/v1/artifacts/${path##*/}" > /dev/null
done
cpu_ms=$(calc "$ticks * 10 / 3" 0)
growth=$(($(memory_kb "$daemon" VmHWM) - resident))
# Cut off in the middle: what had left the client, and how much of that the server has.
path=$(begin_tus)
left=$(append_tus "$path" 0 --limit-rate "$((mib << 20))" --max-time 0.6 -w '%{size_upload}') || true
there=$(tus HEAD "$path" -I | header upload-offset)
resent_mib=$(calc "(${left:-0} - ${there:-0}) / 1048576" 1)
tus DELETE "$path" > /dev/null
bound_s=$(awk "BEGIN { print ($hash_s > $disk_s ? $hash_s : $disk_s) }")
row "upload (peer: the slower of hash and disk)" ours peer ratio ""
row "PUT of $mib MiB, fsynced (target 0.80)" "$(calc "$mib / $put_s" 0) MiB/s" "$(calc "$mib / $bound_s" 0) MiB/s" \
  "$(ratio "$bound_s" "$put_s")" "openssl $(calc "$mib / $hash_s" 0), dd fsync $(calc "$mib / $disk_s" 0) MiB/s, cpu $cpu_ms ms a file"
row "the same by tus, one PATCH (peer: the PUT; target 0.90)" "$(calc "$mib / $tus_s" 0) MiB/s" \
  "$(calc "$mib / $put_s" 0) MiB/s" "$(ratio "$put_s" "$tus_s")" "synced before its answer"
row "sent again after a cut (target 8 MiB)" "$resent_mib MiB" - "" "${left:-0} bytes had left, ${there:-0} were there"
row "confirm, slowest of three (target 50 ms)" "$(calc "$confirm_ms") ms" - "" ""
row "memory growth over uploads (target 32 MiB)" "$(calc "$growth / 1024") MiB" - "" "from ready to the highest"

#!/bin/bash
# Transfers by the command line: one large file each way, and many small ones: transfer.sh BUILD_DIR
# [MiB [FILES]]. The peer of the large one is the slowest of what bounds it: a hash of the file while
# another one runs (the client's and the server's), the bytes through loopback, and a durable write.
. "$(dirname "$0")/common.bash"
need openssl dd python3 curl
mib=${2:-2048} files=${3:-10000}
# Each small file takes two requests of one key, which may ask 6000 times a minute otherwise.
start_daemon KVCDN_QUOTA_ARTIFACTS=1000000 KVCS_ARTIFACTS_REQUESTS_PER_MINUTE=-1
export KVCS_API_URL=$url KVCS_API_KEY=$api_key XDG_CONFIG_HOME=$work/config
kvcs=$build/kvcs
cd "$work"
python3 - "$mib" "$files" << 'PYTHON'
import json, os, struct, sys

def artifact(path, tokens, fill):
    shape, each = [1, 8, tokens, 128], tokens * 2048
    header = {name: {"dtype": "F16", "shape": shape, "data_offsets": [i * each, (i + 1) * each]}
              for i, name in enumerate(["k_0", "v_0"])}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        left = 2 * each
        while left > 0:
            left -= out.write(fill(min(left, 64 << 20)))

block = os.urandom(64 << 20)
artifact("large.kv", (int(sys.argv[1]) << 20) // 4096, lambda n: block[:n])
os.mkdir("small")
for i in range(int(sys.argv[2])):
    artifact(f"small/{i}.kv", 1, lambda n: os.urandom(n))
PYTHON
seconds_of() {
  local begun
  begun=$(date +%s%N)
  "$@" > /dev/null 2> "$work/errors" || { cat "$work/errors" >&2; echo 999; return; }
  calc "($(date +%s%N) - $begun) / 1e9" 4
}
two_hashes() {
  openssl dgst -sha256 large.kv > /dev/null &
  openssl dgst -sha256 large.kv
  wait $!
}
loopback() {
  python3 - << 'PYTHON'
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
def give():
    peer = listener.accept()[0]
    with peer, open("large.kv", "rb") as file:
        peer.sendfile(file)
thread = threading.Thread(target=give)
thread.start()
into = memoryview(bytearray(1 << 20))
with socket.create_connection(listener.getsockname()) as peer:
    while peer.recv_into(into):
        pass
thread.join()
PYTHON
}
hash_s=$(seconds_of two_hashes)
loop_s=$(seconds_of loopback)
disk_s=$(seconds_of dd if=large.kv of=copy bs=1M conv=fsync)
rm copy
bound_s=$(printf '%s\n' "$hash_s" "$loop_s" "$disk_s" | sort -n | tail -n 1)
bounds="hash beside a hash $(calc "$mib / $hash_s" 0), loopback $(calc "$mib / $loop_s" 0), dd fsync $(calc "$mib / $disk_s" 0) MiB/s"
up_s=$(seconds_of "$kvcs" upload large.kv --name large)
rm large.kv
down_s=$(seconds_of "$kvcs" download large -o back.kv)
rm -f back.kv
many_s=$(seconds_of "$kvcs" upload small)
row "transfers (peer: the slowest of what bounds it)" ours peer ratio ""
row "kvcs upload of $mib MiB (target 0.80)" "$(calc "$mib / $up_s" 0) MiB/s" "$(calc "$mib / $bound_s" 0) MiB/s" \
  "$(ratio "$bound_s" "$up_s")" "$bounds"
row "kvcs download of $mib MiB (target 0.80)" "$(calc "$mib / $down_s" 0) MiB/s" \
  "$(calc "$mib / $bound_s" 0) MiB/s" "$(ratio "$bound_s" "$down_s")" "checked and synced"
row "kvcs upload of $files files (target 300/s)" "$(calc "$files / $many_s" 0) /s" - "" \
  "two tensors of 2 KiB each; no limit of requests"
version_ms=999
for _ in 1 2 3 4 5; do
  ms=$(calc "$(seconds_of "$kvcs" --version) * 1000" 1)
  version_ms=$(printf '%s\n' "$ms" "$version_ms" | sort -n | head -n 1)
done
row "kvcs --version (target 15 ms)" "$version_ms ms" - "" "best of five"

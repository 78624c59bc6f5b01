#!/bin/sh
# Many small pushes, one after another, onto a large repository: what one costs must not grow with their number.
#
#   benches/pushes.sh REPO [N]
#
# REPO is a bare repository, N how many pushes (200). Wants a release build, git and python3. Prints the time of a push,
# commit and clients included, by quarter, and what the server spent.
set -e
repo=$(realpath "$1")
n=${2:-200}
lockgate=$(realpath "${LOCKGATE:-target/release/lockgate}")
work=$(mktemp -d)
cd "$work"
"$lockgate" serve --https 127.0.0.1:0 --ssh 127.0.0.1:0 > ready 2> log &
pid=$!
trap 'kill $pid; rm -rf "$work"' EXIT
until grep -q https= ready; do sleep 0.1; done
host=$(sed 's/.*https=https:\/\/\([^ ]*\).*/\1/' ready)
login=$(python3 -c "import json; d = json.load(open('keys/admin.json')); print(d['gitUserName'] + ':' + d['gitPassword'])")
url="https://$login@$host/v1/repos/big"
"$lockgate" repo create big > import.log
"$lockgate" repo import "$repo" big >> import.log 2>&1
tail -n 1 import.log
cpu() { awk '{ print ($14 + $15) * 10 }' "/proc/$pid/stat"; }
export GIT_SSL_CAINFO="$work/keys/ca.pem" GIT_TERMINAL_PROMPT=0
git clone -q --depth 1 "$url" w 2> clone.log
cd w
git config user.email bench@example.com
git config user.name bench
before=$(cpu)
for quarter in 1 2 3 4; do
    start=$(date +%s%N)
    for i in $(seq $((n / 4))); do
        echo "$quarter $i" >> BENCH
        git add BENCH
        git commit -qm "$quarter $i"
        git push -q origin HEAD:refs/heads/bench 2>> ../push.log
    done
    end=$(date +%s%N)
    echo "quarter $quarter: $(((end - start) / 1000000 / (n / 4))) ms a push"
done
echo "server CPU: $((($(cpu) - before) / n)) ms a push; packs were joined $(grep -c 'joined packs' ../log || true) times"

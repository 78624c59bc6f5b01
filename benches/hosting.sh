#!/usr/bin/env bash
# Side by side in one run: Lockgate (sealed, TLS or SSH) against git http-backend behind nginx and git-shell behind sshd (plain
# text on disk; http without TLS). Needs git, python3, GNU time, nginx, fcgiwrap and openssh-server.
#
#   benches/hosting.sh [REPO.git]      a bare repository, or none: one of 80,000 commits is generated (seeded)
# Settings (environment): RUNS (3), WORK (a new temporary folder), LOCKGATE (the built program)
#
# Prints for each operation: wall seconds of the client, CPU seconds of the server, bytes of the client's pack, and the
# ratio of Lockgate to the peer. Asserts nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
RUNS=${RUNS:-3} WORK=${WORK:-$(mktemp -d)} LOCKGATE=${LOCKGATE:-$here/../target/release/lockgate}
export GIT_CONFIG_NOSYSTEM=1 GIT_TERMINAL_PROMPT=0 LC_ALL=C
mkdir -p "$WORK/home" "$WORK/repos"; export HOME=$WORK/home
printf '[safe]\n\tdirectory = *\n[gc]\n\tauto = 0\n[maintenance]\n\tauto = false\n' > "$HOME/.gitconfig"
[ -x "$LOCKGATE" ] || { echo "build it first: cargo build --release" >&2; exit 2; }

if [ -n "${1:-}" ]; then
  cp -rl "$1" "$WORK/repos/bench.git" 2>/dev/null || cp -r "$1" "$WORK/repos/bench.git"
else
  git init -q --bare -b main "$WORK/repos/bench.git"
  python3 "$here/generate.py" | git -C "$WORK/repos/bench.git" fast-import --quiet
  git -C "$WORK/repos/bench.git" repack -adq
fi
source=$WORK/repos/bench.git
echo "repository: $(git -C "$source" rev-list --all --count) commits, $(git -C "$source" count-objects -v | awk '/in-pack/ {print $2}') objects, $(git -C "$source" count-objects -v | awk '/size-pack/ {print int($2/1024)}') MiB packed, $(git -C "$source" for-each-ref | wc -l) refs; $(git version); $(nproc) cores"

export REPOS=$WORK/repos STATE=$WORK/peer-http PORT=${PORT:-8417} PUSH=1
"$here/peer-git-http.sh" start nginx > /dev/null
( export STATE=$WORK/peer-ssh PORT=2417; "$here/peer-git-ssh.sh" start > /dev/null )
cleanup() {
  STATE=$WORK/peer-http PORT=8417 "$here/peer-git-http.sh" stop || true
  STATE=$WORK/peer-ssh PORT=2417 "$here/peer-git-ssh.sh" stop || true
  [ -n "${server:-}" ] && kill "$server" 2>/dev/null || true
}
trap cleanup EXIT

lg() { "$LOCKGATE" --data "$WORK/data" --keys "$WORK/keys" --policies "$WORK/policies" "$@"; }
serve() {
  [ -z "${server:-}" ] || { kill "$server"; wait "$server" || true; }
  "$LOCKGATE" --data "$WORK/data" --keys "$WORK/keys" --policies "$WORK/policies" serve \
    --https 127.0.0.1:${https_port:-0} --ssh 127.0.0.1:${ssh_port:-0} > "$WORK/ready" 2>> "$WORK/lockgate.log" &
  server=$!
  until grep -q ready "$WORK/ready"; do sleep 0.1; kill -0 $server; done
  https=$(sed 's/.* https=https:\/\/\([^ ]*\).*/\1/' "$WORK/ready"); ssh=$(sed 's/.* ssh=\([^ ]*\).*/\1/' "$WORK/ready")
  https_port=${https##*:} ssh_port=${ssh##*:}
}
serve
read -r user password < <(python3 -c 'import json,sys; a=json.load(open(sys.argv[1])); print(a["gitUserName"], a["gitPassword"])' "$WORK/keys/admin.json")
ssh-keygen -q -t ed25519 -N '' -f "$WORK/key"
lg credential ssh-key add admin "$WORK/key.pub" > /dev/null
export GIT_SSL_CAINFO=$WORK/keys/ca.pem
ours_ssh="ssh -F none -i $WORK/key -o IdentitiesOnly=yes -o UserKnownHostsFile=$WORK/keys/known_hosts"
peer_ssh="ssh -F none -i $WORK/peer-ssh/client_ed25519 -o IdentitiesOnly=yes -o UserKnownHostsFile=$WORK/peer-ssh/known_hosts"
ours_http=https://$user:$password@$https/v1/repos peer_http=http://127.0.0.1:8417

# CPU seconds so far.
cpu_ours() { awk -v hz="$(getconf CLK_TCK)" '{sub(/^.*\) /,""); printf "%.2f\n", ($12+$13)/hz}' "/proc/$server/stat"; }
cpu_http() { STATE=$WORK/peer-http PORT=8417 "$here/peer-git-http.sh" cpu; }
cpu_ssh() { STATE=$WORK/peer-ssh PORT=2417 "$here/peer-git-ssh.sh" cpu; }
memory() { awk '/VmHWM/ {print int($2/1024)}' "/proc/$server/status"; }
forget_peak() { echo 5 > "/proc/$server/clear_refs" 2>/dev/null || true; }
median() { sort -n | awk '{v[NR]=$1} END {print v[int((NR+1)/2)]}'; }
# side CPU_COMMAND COMMAND...: prints "wall cpu".
side() { local count=$1 before t0 t1; shift; before=$($count); t0=$(date +%s.%N); "$@" >> "$WORK/client.log" 2>&1 || { echo "failed: $*; see $WORK/client.log" >&2; exit 1; }; t1=$(date +%s.%N); echo "$t0 $t1 $before $($count)" | awk '{printf "%.2f %.2f\n", $2-$1, $4-$3}'; }

# compare NAME OURS_CPU PEER_CPU OURS_FUNCTION PEER_FUNCTION
compare() {
  local name=$1 ours=$2 peer=$3 a=$4 b=$5 i; : > "$WORK/a"; : > "$WORK/b"; forget_peak
  for i in $(seq "$RUNS"); do side "$ours" "$a" >> "$WORK/a"; local bytes_a=$bytes; side "$peer" "$b" >> "$WORK/b"; done
  awk -v name="$name" -v wa="$(cut -d' ' -f1 "$WORK/a" | median)" -v ca="$(cut -d' ' -f2 "$WORK/a" | median)" \
      -v wb="$(cut -d' ' -f1 "$WORK/b" | median)" -v cb="$(cut -d' ' -f2 "$WORK/b" | median)" -v mem="$(memory)" \
      -v ba="$(cat "$WORK/bytes-ours" 2>/dev/null)" -v bb="$(cat "$WORK/bytes-peer" 2>/dev/null)" 'BEGIN {
    printf "%-28s wall %7.2f s vs %7.2f s (%.2f)   server CPU %7.2f s vs %7.2f s (%.2f)   peak %4d MiB   pack %d vs %d MB\n",
      name, wa, wb, wb ? wa/wb : 0, ca, cb, cb ? ca/cb : 0, mem, ba/1e6, bb/1e6 }'
}
bytes=0
size() { stat -c %s "$1"/objects/pack/*.pack | awk '{s+=$1} END {print s+0}'; }
fresh() { rm -rf "$WORK/$1"; }
clone_a() { fresh ca; GIT_SSH_COMMAND=$2 git clone -q --bare $3 "$1" "$WORK/ca"; size "$WORK/ca" > "$WORK/bytes-ours"; }
clone_b() { fresh cb; GIT_SSH_COMMAND=$2 git clone -q --bare $3 "$1" "$WORK/cb"; size "$WORK/cb" > "$WORK/bytes-peer"; }

branch=$(git -C "$source" symbolic-ref --short HEAD)
lg repo create pushed --default-branch "$branch" > /dev/null
git -C "$source" config receive.fsckObjects true
echo "--- push of the whole repository ---"
forget_peak
push_ours() { git -C "$source" push -q --mirror "$ours_http/pushed"; }
side cpu_ours push_ours > "$WORK/p"; echo "lockgate https                wall $(cut -d' ' -f1 "$WORK/p") s   server CPU $(cut -d' ' -f2 "$WORK/p") s   peak $(memory) MiB"
pack=$(ls "$source"/objects/pack/*.pack | head -1)
/usr/bin/time -f 'git index-pack --strict       wall %e s   CPU user %U s + system %S s   peak %M KiB' git index-pack --strict -o "$WORK/check.idx" "$pack" 2>&1 > /dev/null | grep -v ^warning

# What a push leaves in the allocator would be counted to the clones.
serve
echo "--- fetches ($RUNS runs, medians; ours vs peer (ratio)) ---"
one() { clone_a "$ours_http/pushed" "" ""; }; two() { clone_b "$peer_http/bench.git" "" ""; }
compare "clone, https vs http" cpu_ours cpu_http one two
one() { clone_a "$ssh/v1/repos/pushed" "$ours_ssh" ""; }; two() { clone_b "ssh://$(id -un)@127.0.0.1:2417$WORK/repos/bench.git" "$peer_ssh" ""; }
compare "clone, ssh vs sshd" cpu_ours cpu_ssh one two
one() { clone_a "$ours_http/pushed" "" "--single-branch --no-tags --branch $branch"; }; two() { clone_b "$peer_http/bench.git" "" "--single-branch --no-tags --branch $branch"; }
compare "clone --single-branch" cpu_ours cpu_http one two
one() { clone_a "$ours_http/pushed" "" "--depth 1"; }; two() { clone_b "$peer_http/bench.git" "" "--depth 1"; }
compare "clone --depth 1" cpu_ours cpu_http one two
one() { clone_a "$ours_http/pushed" "" "--filter=blob:none"; }; two() { clone_b "$peer_http/bench.git" "" "--filter=blob:none"; }
compare "clone --filter=blob:none" cpu_ours cpu_http one two
git clone -q --bare "$source" "$WORK/old"; old=$(git -C "$source" rev-list --first-parent --skip=200 -n1 "$branch")
git -C "$WORK/old" for-each-ref --format='delete %(refname)' | git -C "$WORK/old" update-ref --stdin; git -C "$WORK/old" update-ref "refs/heads/$branch" "$old"
git -C "$WORK/old" repack -adq; git -C "$WORK/old" prune-packed
copy_old() { fresh "$1"; cp -r "$WORK/old" "$WORK/$1"; }
one() { copy_old ca; git -C "$WORK/ca" fetch -q --no-tags "$ours_http/pushed" "$branch"; echo 0 > "$WORK/bytes-ours"; }; two() { copy_old cb; git -C "$WORK/cb" fetch -q --no-tags "$peer_http/bench.git" "$branch"; echo 0 > "$WORK/bytes-peer"; }
compare "fetch of 200 commits" cpu_ours cpu_http one two
one() { git ls-remote -q "$ours_http/pushed"; }; two() { git ls-remote -q "$peer_http/bench.git"; }
compare "ls-remote" cpu_ours cpu_http one two

#!/usr/bin/env python3
"""What CodeCommit's calls cost on a large repository, beside C git asked the same as a process. Needs boto3 and git.

    benches/codecommit.py [REPO.git]     a bare repository, or none: one of 80,000 commits is generated (seeded)

Settings (environment): LOCKGATE (the built program), RUNS (20). Prints the median of each, and the ratio; asserts nothing. The
calls are whole ones, signed, decided and recorded, over TLS on the loopback.
"""

import json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

import boto3
from botocore.config import Config

here = pathlib.Path(__file__).resolve().parent
lockgate = os.environ.get("LOCKGATE", str(here.parent / "target/release/lockgate"))
runs = int(os.environ.get("RUNS", "20"))
work = pathlib.Path(tempfile.mkdtemp())
if len(sys.argv) > 1:
    source = sys.argv[1]
else:
    source = str(work / "bench.git")
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", source], check=True)
    made = subprocess.Popen([sys.executable, here / "generate.py"], stdout=subprocess.PIPE)
    subprocess.run(["git", "-C", source, "fast-import", "--quiet"], stdin=made.stdout, check=True)
    subprocess.run(["git", "-C", source, "repack", "-adq"], check=True)


def git(*arguments):
    run = subprocess.run(["git", "-C", source, *arguments], capture_output=True, check=True)
    return run.stdout.decode("utf-8", "replace")


def ours(*arguments):
    places = ["--data", work / "data", "--keys", work / "keys", "--policies", work / "policies"]
    return [lockgate, *map(str, places), *arguments]


log = open(work / "lockgate.log", "w")
serve = ours("serve", "--https", "127.0.0.1:0", "--ssh", "127.0.0.1:0")
server = subprocess.Popen(serve, stdout=subprocess.PIPE, stderr=log, cwd=work, text=True)
try:
    endpoint = server.stdout.readline().split(" https=")[1].split()[0]
    subprocess.run(ours("repo", "import", os.path.abspath(source), "bench"), check=True, stdout=log, stderr=log, cwd=work)
    admin = json.load(open(work / "keys/admin.json"))
    client = boto3.client(
        "codecommit", endpoint_url=endpoint, verify=str(work / "keys/ca.pem"), region_name="us-east-1",
        aws_access_key_id=admin["accessKeyId"], aws_secret_access_key=admin["secretAccessKey"],
        config=Config(retries={"max_attempts": 0}, read_timeout=600),
    )
    bench = {"repositoryName": "bench"}
    head = git("rev-parse", "HEAD").strip()
    n_commits = git("rev-list", "--count", "HEAD").strip()
    paths = git("ls-tree", "-r", "--name-only", "HEAD").splitlines()
    tip_before = git("rev-parse", f"HEAD~{min(2000, int(n_commits) // 4)}").strip()
    # A file that lies deep and one that changes often: those of the last commits.
    deep = max(paths, key=lambda path: (path.count("/"), path))
    recent = git("log", "-200", "--format=", "--name-only", "HEAD").split("\n")
    often = max({path for path in recent if path in set(paths)}, key=recent.count)
    print(f"{n_commits} commits, {len(paths)} files; {git('version').strip()}; {os.cpu_count()} cores")

    def clock(call):
        begun = time.perf_counter()
        call()
        return (time.perf_counter() - begun) * 1000

    def compare(what, call, *arguments, n=runs):
        call()
        mine = statistics.median(clock(call) for _ in range(n))
        theirs = statistics.median(clock(lambda: git(*arguments)) for _ in range(n))
        print(f"{what:44} {mine:9.1f} ms   git {theirs:9.1f} ms   ({mine / theirs:.2f})", flush=True)

    def pages(operation, **arguments):
        return [page for page in client.get_paginator(operation).paginate(**bench, **arguments)]

    compare(f"GetFile {deep}", lambda: client.get_file(**bench, filePath=deep), "show", f"HEAD:{deep}", n=5 * runs)
    folder = os.path.dirname(deep) or "/"
    compare(f"GetFolder {folder}", lambda: client.get_folder(**bench, folderPath=folder), "ls-tree", f"HEAD:{folder}", n=5 * runs)
    compare(
        "GetDifferences, all pages",
        lambda: pages("get_differences", beforeCommitSpecifier=tip_before, afterCommitSpecifier=head, PaginationConfig={"PageSize": 1000}),
        "diff-tree", "-r", tip_before, head,
    )
    few = max(3, runs // 5)
    # The file that came first: Git goes down to the beginning for it.
    was_first = git("log", "--diff-filter=A", "--format=", "--name-only", "HEAD").split("\n")
    first = next(path for path in reversed(was_first) if path in set(paths))

    def histories(what):
        for path in [often, deep, first]:
            ask = lambda: client.list_file_commit_history(**bench, filePath=path, maxResults=100)
            compare(f"{what} {path}", ask, "log", "-100", "--format=%H", "HEAD", "--", path, n=few)

    begun = time.perf_counter()
    histories("100 versions, first asked,")
    # The first question has the changed-path filters made in the background.
    while "made changed-path filters" not in (work / "lockgate.log").read_text() and time.perf_counter() - begun < 600:
        time.sleep(0.2)
    print(f"changed-path filters made within {time.perf_counter() - begun:.1f} s of the first question")
    histories("100 versions")
    # Git's own are in the commit-graph.
    subprocess.run(["git", "-C", source, "commit-graph", "write", "--reachable", "--changed-paths"], check=True, capture_output=True)
    histories("100 versions, git with filters")

    # A branch that changes 5,000 files, new ones where there are fewer, on top of an older commit.
    tree = git("ls-tree", "-r", "HEAD").splitlines()
    blobs = [line for line in tree if line.startswith("100644 blob")][:5000]
    blobs += [f"\tnew/{i // 100}/{i}" for i in range(5000 - len(blobs))]
    script = [f"commit refs/heads/wide\ncommitter A <a@example.com> 1700000000 +0000\ndata 4\nwide\nfrom {tip_before}\n"]
    for i, line in enumerate(blobs):
        script.append(f'M 100644 inline {json.dumps(line.split(chr(9), 1)[1])}\ndata {len(str(i)) + 1}\n{i}\n')
    clone = work / "wide.git"
    subprocess.run(["git", "clone", "-q", "--bare", source, clone], check=True, env={**os.environ, "GIT_CONFIG_COUNT": "0"})
    subprocess.run(["git", "-C", clone, "fast-import", "--quiet", "--force"], input="".join(script).encode(), check=True)
    url = endpoint.replace("https://", f"https://{admin['gitUserName']}:{admin['gitPassword']}@") + "/v1/repos/bench"
    push = ["git", "-C", clone, "push", "-q", url, "wide"]
    subprocess.run(push, check=True, env={**os.environ, "GIT_SSL_CAINFO": str(work / "keys/ca.pem")})
    branch = git("symbolic-ref", "--short", "HEAD").strip()
    target = {**bench, "sourceReference": "wide", "destinationReference": branch}
    opened = [clock(lambda: client.create_pull_request(title="wide", targets=[target])) for _ in range(5)]
    print(f"CreatePullRequest, {len(blobs)} files changed{'':12} {statistics.median(opened):9.1f} ms")
    pair = {**bench, "sourceCommitSpecifier": "wide", "destinationCommitSpecifier": branch}
    merge = lambda: client.get_merge_conflicts(**pair, mergeOption="THREE_WAY_MERGE", conflictDetailLevel="LINE_LEVEL")
    begun = time.perf_counter()
    merge()
    mine = (time.perf_counter() - begun) * 1000
    begun = time.perf_counter()
    subprocess.run(["git", "-C", clone, "merge-tree", "--write-tree", branch, "wide"], capture_output=True)
    theirs = (time.perf_counter() - begun) * 1000
    print(f"GetMergeConflicts of the same{'':15} {mine:9.1f} ms   git {theirs:9.1f} ms   ({mine / theirs:.2f})")
finally:
    server.terminate()
    server.wait()
    if "KEEP" not in os.environ:
        shutil.rmtree(work, ignore_errors=True)

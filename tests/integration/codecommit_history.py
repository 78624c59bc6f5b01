"""Lines that differ, versions of files, blame and search, held against Git. Run by codecommit.py, with its names."""

import re, time

import botocore.auth, botocore.awsrequest, botocore.credentials, botocore.httpsession

admin.create_repository(repositoryName="past")
past = {"repositoryName": "past"}
git("init", "-q", "-b", "main", "past")
in_past = lambda *arguments, **options: git("-C", "past", *arguments, **options)


def save(message, **files):
    for name, content in files.items():
        with open(os.path.join(folder, "past", name), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
    in_past("add", "-A")
    in_past("commit", "-q", "-m", message)
    return in_past("rev-parse", "HEAD").strip()


numbered = [f"line {n}\n" for n in range(200)]
begun = save("begun", shop="".join(numbered), bytes=b"\0\1")
for n in (10, 11, 60, 120, 190):
    numbered[n] = f"  changed {n}\n"
changed = save("Changed", shop="".join(numbered))
in_past("mv", "shop", "store")
moved = save("moved", other="x\n")
last = save("more", store="".join(["first\n", *numbered]))
in_past("push", "-q", git_url + "past", "HEAD:refs/heads/main")
blob = lambda spec: in_past("rev-parse", spec).strip()


def by_api(before, after, **more):
    """Heads and lines, as `git diff` prints them."""
    out = []
    for page in admin.get_paginator("get_blob_differences").paginate(**past, beforeBlobId=before, afterBlobId=after, **more):
        for hunk in page["hunks"]:
            head = [hunk[name] for name in ("beforeStartLine", "beforeLineCount", "afterStartLine", "afterLineCount")]
            out.append("@@ -{},{} +{},{} @@".format(*head))
            for line in hunk["changes"]:
                out.append({"CONTEXT": " ", "ADD": "+", "DELETE": "-"}[line["type"]] + line["content"])
                assert ("beforeLineNumber" in line) == (line["type"] != "ADD"), line
                assert ("afterLineNumber" in line) == (line["type"] != "DELETE"), line
    return out


def by_git(before, after, *options):
    lines = in_past("diff", *options, before, after).splitlines()
    lines = lines[next((n for n, line in enumerate(lines) if line.startswith("@@")), len(lines)):]
    full = lambda side: side if "," in side else side + ",1"
    head = lambda line: "@@ {} {} @@".format(*map(full, re.match(r"@@ (\S+) (\S+) @@", line).groups()))
    return [head(line) if line.startswith("@@") else line for line in lines]


was, now = blob(f"{begun}:shop"), blob("HEAD:store")
assert by_api(was, now) == by_git(was, now) != []
assert by_api(was, now, PaginationConfig={"PageSize": 1}) == by_git(was, now)
assert by_api(was, now, contextLines=0) == by_git(was, now, "-U0")
assert by_api(was, now, contextLines=20) == by_git(was, now, "-U20")
assert by_api(now, now) == []
new = admin.get_blob_differences(**past, afterBlobId=now)
assert new["beforeBlobSize"] == 0 and new["afterBlobSize"] == len("".join(["first\n", *numbered])), new
assert [line["type"] for line in new["hunks"][0]["changes"]] == ["ADD"] * 201 and not new["isBinary"]
binary = admin.get_blob_differences(**past, beforeBlobId=now, afterBlobId=blob("HEAD:bytes"))
assert binary["isBinary"] and binary["hunks"] == [] and binary["afterBlobSize"] == 2, binary
refused("BlobIdDoesNotExistException", admin.get_blob_differences, **past, afterBlobId="0" * 40)
refused("BlobIdDoesNotExistException", admin.get_blob_differences, **past, afterBlobId=now, beforeBlobId=last)
refused("BlobIdRequiredException", admin.get_blob_differences, **past, afterBlobId="")
refused("InvalidBlobIdException", admin.get_blob_differences, **past, afterBlobId="main")
refused("ValidationException", admin.get_blob_differences, **past, afterBlobId=now, contextLines=21)
refused("InvalidMaxResultsException", admin.get_blob_differences, **past, afterBlobId=now, MaxResults=1001)
refused("InvalidContinuationTokenException", admin.get_blob_differences, **past, afterBlobId=now, NextToken="x")
refused("FileTooLargeException", admin.get_blob_differences, repositoryName="api", afterBlobId=of(f"{head}:large"))

# Versions of a file, under the names that it had
dag = admin.list_file_commit_history(**past, filePath="store")["revisionDag"]
seen = [(one["commit"]["commitId"], one["path"], one["revisionChildren"]) for one in dag]
assert seen == [(last, "store", []), (moved, "store", [last]), (changed, "shop", [moved]), (begun, "shop", [changed])], seen
assert [one["blobId"] for one in dag] == [now, blob(f"{moved}:store"), blob(f"{moved}:store"), was], dag
page = admin.list_file_commit_history(**past, filePath="store", commitSpecifier="main", maxResults=3)
rest = admin.list_file_commit_history(**past, filePath="store", nextToken=page["nextToken"])
assert page["revisionDag"] + rest["revisionDag"] == dag and "nextToken" not in rest
gone = admin.list_file_commit_history(**past, filePath="shop")["revisionDag"]
assert [one["commit"]["commitId"] for one in gone] == [moved, changed, begun] and "blobId" not in gone[0], gone
assert admin.list_file_commit_history(**past, filePath="nope")["revisionDag"] == []
refused("CommitDoesNotExistException", admin.list_file_commit_history, **past, filePath="store", commitSpecifier="nope")
refused("PathRequiredException", admin.list_file_commit_history, **past, filePath="")
refused("InvalidMaxResultsException", admin.list_file_commit_history, **past, filePath="store", maxResults=0)
refused("InvalidContinuationTokenException", admin.list_file_commit_history, **past, filePath="store", nextToken="x")
refused("InvalidContinuationTokenException", admin.list_file_commit_history, **past, filePath="store", nextToken="0" * 40 + ":0")

# Our own operations, signed by botocore
https = botocore.httpsession.URLLib3Session(verify=ca)


def own(operation, key=key, secret=secret, **body):
    called.add(f"lockgate:{operation}")
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Lockgate_20261123.{operation}"}
    request = botocore.awsrequest.AWSRequest("POST", endpoint + "/", headers, json.dumps({**past, **body}))
    credentials = botocore.credentials.Credentials(key, secret)
    botocore.auth.SigV4Auth(credentials, "lockgate", "us-east-1").add_auth(request)
    answer = https.send(request.prepare())
    return answer.status_code, json.loads(answer.content)


def done(operation, **body):
    status, answer = own(operation, **body)
    assert status == 200, answer
    return answer


def not_done(code, operation, **body):
    status, answer = own(operation, **body)
    assert status == 400 and answer["__type"] == code, answer


blamed = done("BlameFile", filePath="store")
lines = [(run["commitId"], run["filePath"], run["originalStartLine"] + n) for run in blamed["lines"] for n in range(run["lineCount"])]
shown = in_past("blame", "--line-porcelain", "HEAD", "--", "store").splitlines()
heads = [line.split() for line in shown if re.match("[0-9a-f]{40} ", line)]
files = [line.split(" ", 1)[1] for line in shown if line.startswith("filename ")]
assert lines == [(one[0], file, int(one[1])) for one, file in zip(heads, files)], blamed
assert {one[0] for one in lines} == {begun, changed, last} and blamed["commitId"] == last
page = done("BlameFile", filePath="store", commitSpecifier="main", maxResults=2)
rest = done("BlameFile", filePath="store", nextToken=page["nextToken"])
assert page["lines"] + rest["lines"] == blamed["lines"] and "nextToken" not in rest
not_done("ValidationException", "BlameFile", filePath="bytes")
not_done("FileDoesNotExistException", "BlameFile", filePath="shop")
not_done("CommitDoesNotExistException", "BlameFile", filePath="store", commitSpecifier="nope")
found = lambda **wanted: [commit["commitId"] for commit in done("SearchCommits", **wanted)["commits"]]
assert found() == [last, moved, changed, begun]
assert found(author="A <A@EXAMPLE") == found() and found(author="nobody") == []
assert found(message="change") == [changed] and found(filePath="other") == [moved]
assert found(since=int(time.time()) + 3600) == [] and found(until=int(time.time()) + 3600) == found()
page = done("SearchCommits", maxResults=3)
rest = done("SearchCommits", nextToken=page["nextToken"])
assert [one["commitId"] for one in page["commits"] + rest["commits"]] == found() and "nextToken" not in rest
not_done("ValidationException", "SearchCommits", message="x" * 1025)
not_done("InvalidContinuationTokenException", "SearchCommits", nextToken="x")
for operation in ["BlameFile", "SearchCommits"]:
    status, answer = own(operation, other_key, other_secret, repositoryName="api", filePath="README")
    assert answer["__type"] == "AccessDeniedException", answer
refused("AccessDeniedException", other.list_file_commit_history, repositoryName="api", filePath="README")
refused("AccessDeniedException", other.get_blob_differences, repositoryName="api", afterBlobId=of("HEAD:bytes"))

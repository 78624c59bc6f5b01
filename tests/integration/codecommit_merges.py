"""Merges, with pull requests and without, under policies, and triggers that tell of them. Run by codecommit.py, with its names."""

import base64, hmac, http.server, queue, threading, time

import botocore.auth, botocore.awsrequest, botocore.httpsession

admin.create_repository(repositoryName="merges")
merges = git_url + "merges"
git("init", "-q", "-b", "main", "merged")
in_merged = lambda *arguments, **options: git("-C", "merged", *arguments, **options)
in_merged("remote", "add", "origin", merges)


def write_merged(message, **files):
    for path, text in files.items():
        at = os.path.join(folder, "merged", path.replace("__", "/"))
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, "w") as file:
            file.write(text)
    in_merged("add", "-A")
    in_merged("commit", "-q", "-m", message)
    return in_merged("rev-parse", "HEAD").strip()


dora = client(third_key, third_secret)
lines = lambda **changed: "".join(changed.get(f"l{n}", f"{n}") + "\n" for n in range(1, 21))
base = write_merged("base", a=lines(), b=lines(), dir__c=lines())
in_merged("checkout", "-q", "-b", "side")
side = write_merged("side", a=lines(l2="side"), dir__new="new\n")
in_merged("checkout", "-q", "-b", "clash", "main")
clash = write_merged("clash", b=lines(l5="clash"), a=lines(l3="clash"))
in_merged("checkout", "-q", "main")
ahead = write_merged("ahead", b=lines(l5="main"), dir__c=lines(l1="main"))
in_merged("push", "-q", "origin", "main", "side", "clash", f"{base}:refs/heads/old")

# Those who are told of changes: a server of our own, to which the configuration lets the server connect.
told = queue.Queue()


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        told.put((dict(self.headers), body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


receiver = http.server.HTTPServer(("127.0.0.1", int(hook_port)), Receiver)
threading.Thread(target=receiver.serve_forever, daemon=True).start()
here = f"http://127.0.0.1:{hook_port}/"
hook = f"arn:aws:lockgate:us-east-1:{account}:webhook/signed"
triggers = [
    {"name": "all", "destinationArn": hook, "customData": "mine", "events": ["all"], "branches": []},
    {"name": "release-only", "destinationArn": here, "events": ["createReference"], "branches": ["release"]},
]
assert admin.get_repository_triggers(repositoryName="merges")["triggers"] == []
configuration = admin.put_repository_triggers(repositoryName="merges", triggers=triggers)["configurationId"]
got = admin.get_repository_triggers(repositoryName="merges")
assert got["configurationId"] == configuration and got["triggers"][0] == triggers[0] and got["triggers"][1] == {**triggers[1]}, got
for code, changed in [
    ("InvalidRepositoryTriggerNameException", {"name": "a b"}),
    ("InvalidRepositoryTriggerDestinationArnException", {"destinationArn": f"arn:aws:sns:us-east-1:{account}:topic"}),
    ("InvalidRepositoryTriggerDestinationArnException", {"destinationArn": hook + "x"}),
    ("InvalidRepositoryTriggerCustomDataException", {"customData": "x" * 1001}),
    ("InvalidRepositoryTriggerBranchNameException", {"branches": ["a..b"]}),
    ("InvalidRepositoryTriggerEventsException", {"events": ["sometimes"]}),
    ("MaximumBranchesExceededException", {"branches": [f"b{n}" for n in range(11)]}),
]:
    refused(code, admin.put_repository_triggers, repositoryName="merges", triggers=[{**triggers[0], **changed}])
refused("MaximumRepositoryTriggersExceededException", admin.put_repository_triggers, repositoryName="merges", triggers=[{**triggers[0], "name": f"t{n}"} for n in range(11)])
tried = admin.test_repository_triggers(repositoryName="merges", triggers=[triggers[0], {**triggers[1], "name": "inside", "destinationArn": "http://10.0.0.1/"}])
assert tried["successfulExecutions"] == ["all"] and tried["failedExecutions"][0]["trigger"] == "inside", tried
assert "allow_addresses" in tried["failedExecutions"][0]["failureMessage"], tried
headers, body = told.get(timeout=30)
signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
assert headers["webhook-signature"] == "v1," + base64.b64encode(hmac.new(b"s3cret", signed, "sha256").digest()).decode(), headers
assert abs(time.time() - int(headers["webhook-timestamp"])) < 600, headers


def next_told():
    record = json.loads(told.get(timeout=30)[1])["Records"][0]
    return record["eventTriggerName"], record["codecommit"]["references"], record.get("customData"), record["userIdentityARN"]


me = f"arn:aws:iam::{account}:user/admin"
in_merged("push", "-q", "origin", "main:refs/heads/release", "main:refs/tags/v1")
both = sorted([next_told(), next_told()])
assert both[1] == ("release-only", [{"commit": ahead, "ref": "refs/heads/release", "created": True}], None, me), both
assert sorted(ref["ref"] for ref in both[0][1]) == ["refs/heads/release", "refs/tags/v1"] and both[0][2] == "mine", both
in_merged("push", "-q", "origin", ":refs/heads/release")
assert next_told() == ("all", [{"commit": ahead, "ref": "refs/heads/release", "deleted": True}], "mine", me)

# What would come of merges
two = lambda source, destination, **more: dict(repositoryName="merges", sourceCommitSpecifier=source, destinationCommitSpecifier=destination, **more)
options = lambda *pair, **more: admin.get_merge_options(**two(*pair, **more))
assert options("main", "old")["mergeOptions"] == ["FAST_FORWARD_MERGE", "SQUASH_MERGE", "THREE_WAY_MERGE"]
found = options("side", "main")
assert found["mergeOptions"] == ["SQUASH_MERGE", "THREE_WAY_MERGE"], found
assert (found["sourceCommitId"], found["destinationCommitId"], found["baseCommitId"]) == (side, ahead, base), found
assert options("clash", "main")["mergeOptions"] == []
assert options("clash", "main", conflictResolutionStrategy="ACCEPT_SOURCE")["mergeOptions"] == ["SQUASH_MERGE", "THREE_WAY_MERGE"]
refused("CommitDoesNotExistException", admin.get_merge_options, **two("nope", "main"))
refused("InvalidConflictDetailLevelException", admin.get_merge_options, **two("side", "main", conflictDetailLevel="WORD_LEVEL"))
refused("InvalidConflictResolutionStrategyException", admin.get_merge_options, **two("side", "main", conflictResolutionStrategy="HOPE"))
conflicts = admin.get_merge_conflicts(**two("clash", "main", mergeOption="THREE_WAY_MERGE"))
[conflict] = conflicts["conflictMetadataList"]
assert not conflicts["mergeable"] and conflict["filePath"] == "b" and conflict["numberOfConflicts"] == 1, conflicts
assert conflict["contentConflict"] and conflict["mergeOperations"] == {"source": "M", "destination": "M"}, conflict
assert conflict["fileSizes"]["base"] == len(lines()) and conflict["objectTypes"]["source"] == "FILE", conflict
assert admin.get_merge_conflicts(**two("side", "main", mergeOption="SQUASH_MERGE"))["mergeable"]
# A file that both sides changed is in conflict, unless it is looked at line by line.
both = two("side", "clash", mergeOption="THREE_WAY_MERGE")
assert [one["filePath"] for one in admin.get_merge_conflicts(**both)["conflictMetadataList"]] == ["a"]
refused("InvalidMergeOptionException", admin.get_merge_conflicts, **two("side", "main", mergeOption="OCTOPUS"))
refused("InvalidMaxConflictFilesException", admin.get_merge_conflicts, **two("side", "main", mergeOption="SQUASH_MERGE", maxConflictFiles=0))
described = admin.describe_merge_conflicts(**two("clash", "main", mergeOption="THREE_WAY_MERGE", filePath="b"))
[hunk] = described["mergeHunks"]
assert hunk["isConflict"] and hunk["base"]["startLine"] == hunk["base"]["endLine"] == 5, hunk
decoded = {side: base64.b64decode(hunk[side]["hunkContent"]) for side in ["source", "destination", "base"]}
assert decoded == {"source": b"clash\n", "destination": b"main\n", "base": b"5\n"}, decoded
refused("FileDoesNotExistException", admin.describe_merge_conflicts, **two("clash", "main", mergeOption="THREE_WAY_MERGE", filePath="nope"))
batch = admin.batch_describe_merge_conflicts(**two("clash", "main", mergeOption="THREE_WAY_MERGE", filePaths=["b", "nope"]))
assert batch["conflicts"][0]["conflictMetadata"]["filePath"] == "b" and batch["errors"][0]["filePath"] == "nope", batch

# Merging branches: what Git makes of the same two
squash = admin.create_unreferenced_merge_commit(**two("side", "main", mergeOption="SQUASH_MERGE", authorName="Ann", email="ann@example.com", commitMessage="try"))
in_merged("fetch", "-q", "origin", squash["commitId"])
assert in_merged("rev-parse", "FETCH_HEAD^@").split() == [ahead]
assert in_merged("rev-parse", "FETCH_HEAD^{tree}").strip() == in_merged("merge-tree", "--write-tree", "main", "side").split()[0] == squash["treeId"]
assert squash["commitId"] not in git("ls-remote", merges) and admin.get_commit(repositoryName="merges", commitId=squash["commitId"])["commit"]["message"] == "try\n"
# What may not be written to a branch may not be written beside it, to be given a branch later.
for name in ["left", "right"]:
    admin.create_branch(repositoryName="merges", branchName=name, commitId=base)
    dora.put_file(repositoryName="merges", branchName=name, parentCommitId=base, filePath="infra/x", fileContent=name.encode())
by_hand = {"replaceContents": [{"filePath": "infra/x", "replacementType": "USE_NEW_CONTENT", "content": b"mine"}]}
own_infra = two("left", "right", mergeOption="SQUASH_MERGE", conflictResolutionStrategy="AUTOMERGE", conflictResolution=by_hand)
assert "guarded-path" in refused("AccessDeniedException", admin.create_unreferenced_merge_commit, **own_infra)
assert dora.create_unreferenced_merge_commit(**own_infra)["commitId"]
for _ in range(4):
    next_told()
refused("InvalidMergeOptionException", admin.create_unreferenced_merge_commit, **two("side", "main", mergeOption="FAST_FORWARD_MERGE"))
refused("ManualMergeRequiredException", admin.merge_branches_by_squash, **two("clash", "main"))
refused("ManualMergeRequiredException", admin.merge_branches_by_fast_forward, **two("side", "main"))
refused("InvalidTargetBranchException", admin.merge_branches_by_squash, **two("side", "main", targetBranch="old"))
refused("BranchNameRequiredException", admin.merge_branches_by_squash, **two("side", ahead))
made = admin.merge_branches_by_fast_forward(**two("main", "old"))
assert made["commitId"] == ahead and f"{ahead}\trefs/heads/old" in git("ls-remote", merges)
assert next_told()[1] == [{"commit": ahead, "ref": "refs/heads/old"}]
made = admin.merge_branches_by_three_way(**two("side", "main"))
in_merged("pull", "-q", "origin", "main")
assert in_merged("rev-parse", "HEAD^@").split() == [ahead, side] and in_merged("rev-parse", "HEAD").strip() == made["commitId"]
in_merged("fsck", "--strict")
assert admin.get_merge_commit(**two("side", "main"))["mergedCommitId"] == made["commitId"]
assert "mergedCommitId" not in admin.get_merge_commit(**two("clash", "main"))
by_hand = {"replaceContents": [{"filePath": "b", "replacementType": "USE_NEW_CONTENT", "content": b"by hand\n", "fileMode": "EXECUTABLE"}, {"filePath": "a", "replacementType": "KEEP_SOURCE"}]}
refused("InvalidConflictResolutionException", admin.merge_branches_by_squash, **two("clash", "main", conflictResolution=by_hand))
refused("InvalidConflictResolutionException", admin.merge_branches_by_squash, **two("clash", "main", conflictResolutionStrategy="AUTOMERGE", conflictResolution={"deleteFiles": [{"filePath": "dir/c"}]}))
refused("MultipleConflictResolutionEntriesException", admin.merge_branches_by_squash, **two("clash", "main", conflictResolutionStrategy="AUTOMERGE", conflictResolution={"deleteFiles": [{"filePath": "b"}, {"filePath": "/b"}]}))
refused("ReplacementContentRequiredException", admin.merge_branches_by_squash, **two("clash", "main", conflictResolutionStrategy="AUTOMERGE", conflictResolution={"replaceContents": [{"filePath": "b", "replacementType": "USE_NEW_CONTENT"}]}))
made = admin.merge_branches_by_squash(**two("clash", "main", conflictResolutionStrategy="AUTOMERGE", conflictResolution=by_hand))
in_merged("pull", "-q", "origin", "main")
assert in_merged("show", "HEAD:b") == "by hand\n" and in_merged("show", "HEAD:a") == in_merged("show", f"{clash}:a")
assert in_merged("ls-tree", "HEAD", "b").startswith("100755") and len(in_merged("rev-parse", "HEAD^@").split()) == 1

# Pull requests, under a policy: a review by an owner of the paths, a check, and never the author
write_merged("owners", CODEOWNERS="dir/  @eve\n")
in_merged("push", "-q", "origin", "main:guarded")
in_merged("checkout", "-q", "-b", "work")
work = write_merged("work", dir__c="work\n")
in_merged("push", "-q", "origin", "work")
into = lambda source: admin.create_pull_request(title=source, targets=[{"repositoryName": "merges", "sourceReference": source, "destinationReference": "guarded"}])["pullRequest"]
pull = into("work")
at = dict(pullRequestId=pull["pullRequestId"], repositoryName="merges")
other_merges = lambda how="squash", **more: getattr(dora, f"merge_pull_request_by_{how}")(**at, **more)
guarded = git("ls-remote", merges, "guarded")
assert "guarded-is-reviewed" in refused("AccessDeniedException", other_merges)
approve = lambda who: who.update_pull_request_approval_state(pullRequestId=pull["pullRequestId"], revisionId=pull["revisionId"], approvalState="APPROVE")
approve(dora)
assert "guarded-is-reviewed" in refused("AccessDeniedException", other_merges)


def lockgate_call(operation, keys=(key, secret), **body):
    """One of the operations that AWS does not have, signed as botocore signs."""
    request = botocore.awsrequest.AWSRequest(method="POST", url=endpoint + "/", data=json.dumps(body).encode(), headers={
        "Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"Lockgate_20261123.{operation}"})
    credentials = boto3.session.Session(*keys).get_credentials()
    botocore.auth.SigV4Auth(credentials, "lockgate", "us-east-1").add_auth(request)
    answer = botocore.httpsession.URLLib3Session(verify=ca).send(request.prepare())
    return answer.status_code, json.loads(answer.content)


check = dict(repositoryName="merges", commitId=work, context="build")
status, said = lockgate_call("PutCommitStatus", **check, state="SUCCESS", description="all well", targetUrl="https://ci.example/1")
assert status == 200 and said["status"]["setBy"] == me, said
# Who may say that it was built is policy's, too.
status, said = lockgate_call("PutCommitStatus", (third_key, third_secret), **check, state="FAILURE")
assert status == 400 and "only-builders-say-build" in said["message"], said
for bad in [{"state": "PERHAPS"}, {"state": "SUCCESS", "context": "a b"}, {"state": "SUCCESS", "targetUrl": "javascript:x"}, {"state": "SUCCESS", "commitId": "x"}]:
    assert lockgate_call("PutCommitStatus", **{**check, **bad})[0] == 400
assert lockgate_call("PutCommitStatus", **{**check, "commitId": "1" * 40}, state="SUCCESS")[1]["__type"] == "CommitDoesNotExistException"
listed = lockgate_call("ListCommitStatuses", repositoryName="merges", commitId=work)[1]["statuses"]
assert [(one["context"], one["state"]) for one in listed] == [("build", "SUCCESS")], listed
# Checked and approved, and not by an owner
assert "guarded-is-reviewed" in refused("AccessDeniedException", other_merges)
approve(other)
assert "guarded-is-reviewed" in refused("AccessDeniedException", admin.merge_pull_request_by_squash, **at)
assert git("ls-remote", merges, "guarded") == guarded
refused("TipOfSourceReferenceIsDifferentException", other_merges, sourceCommitId=ahead)
refused("RepositoryNotAssociatedWithPullRequestException", dora.merge_pull_request_by_squash, **{**at, "repositoryName": "edits"})
merged = other_merges(sourceCommitId=work, commitMessage="merged")["pullRequest"]
[target] = merged["pullRequestTargets"]
assert merged["pullRequestStatus"] == "CLOSED" and target["mergeMetadata"]["isMerged"] and target["mergeMetadata"]["mergeOption"] == "SQUASH_MERGE", merged
assert target["mergeMetadata"]["mergeCommitId"] in git("ls-remote", merges, "guarded")
refused("PullRequestAlreadyClosedException", other_merges)
# No other way leads there: neither a push, nor a merge of branches, nor a call that puts a file
assert "guarded-is-reviewed" in in_merged("push", "origin", "HEAD:guarded", "--force", fails=True)
tip = target["mergeMetadata"]["mergeCommitId"]
assert "guarded-is-reviewed" in refused("AccessDeniedException", dora.merge_branches_by_squash, **two("left", "guarded"))
assert "guarded-is-reviewed" in refused("AccessDeniedException", dora.put_file, repositoryName="merges", branchName="guarded", parentCommitId=tip, filePath="x", fileContent=b"x")
assert "guarded-is-reviewed" in refused("AccessDeniedException", admin.delete_branch, repositoryName="merges", branchName="guarded")

# Rules of the pull request itself
needs_nobody = json.dumps({"Version": "2018-11-08", "Statements": [{"Type": "Approvers", "NumberOfApprovalsNeeded": 1, "ApprovalPoolMembers": [f"arn:aws:iam::{account}:user/nobody"]}]})
in_merged("checkout", "-q", "-b", "more", "main")
write_merged("more", more="more\n")
in_merged("push", "-q", "origin", "more")
pull = admin.create_pull_request(title="more", targets=[{"repositoryName": "merges", "sourceReference": "more", "destinationReference": "main"}])["pullRequest"]
at = dict(pullRequestId=pull["pullRequestId"], repositoryName="merges")
admin.create_pull_request_approval_rule(pullRequestId=pull["pullRequestId"], approvalRuleName="nobody", approvalRuleContent=needs_nobody)
refused("PullRequestApprovalRulesNotSatisfiedException", admin.merge_pull_request_by_fast_forward, **at)
admin.override_pull_request_approval_rules(pullRequestId=pull["pullRequestId"], revisionId=pull["revisionId"], overrideStatus="OVERRIDE")
merged = admin.merge_pull_request_by_fast_forward(**at)["pullRequest"]
assert merged["pullRequestTargets"][0]["mergeMetadata"]["mergeOption"] == "FAST_FORWARD_MERGE", merged
in_merged("checkout", "-q", "-b", "last", "main~1")
write_merged("last", last="last\n")
in_merged("push", "-q", "origin", "last")
pull = admin.create_pull_request(title="last", targets=[{"repositoryName": "merges", "sourceReference": "last", "destinationReference": "main"}])["pullRequest"]
merged = admin.merge_pull_request_by_three_way(pullRequestId=pull["pullRequestId"], repositoryName="merges")["pullRequest"]
in_merged("checkout", "-q", "main")
in_merged("pull", "-q", "origin", "main")
assert in_merged("log", "-1", "--format=%s").strip() == f"Merge pull request {pull['pullRequestId']}: last"
assert len(in_merged("rev-parse", "HEAD^@").split()) == 2
in_merged("fsck", "--strict")
receiver.shutdown()

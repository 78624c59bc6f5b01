"""What attackers try through CodeCommit's API, by the ids of the attack checklist. Run by codecommit.py, with its names."""

admin.create_repository(repositoryName="attacked")
attacked = git_url + "attacked"
git("init", "-q", "-b", "main", "attack")
in_attack = lambda *arguments, **options: git("-C", "attack", *arguments, **options)
in_attack("remote", "add", "origin", attacked)


def write_attack(message, *links, **files):
    for path, content in [*links, *((path.replace("__", "/"), text) for path, text in files.items())]:
        at = os.path.join(folder, "attack", path)
        os.makedirs(os.path.dirname(at), exist_ok=True)
        if (path, content) in links:
            os.symlink(content, at)
        else:
            with open(at, "w") as file:
                file.write(content)
    in_attack("add", "-A")
    in_attack("commit", "-q", "-m", message)
    return in_attack("rev-parse", "HEAD").strip()


tip = write_attack("base", ("link", "/etc/passwd"), ("parent", "../.."), a="1\n2\n3\n", dir__b="b\n")
in_attack("push", "-q", "origin", "main")
on_attack = {"repositoryName": "attacked", "branchName": "main", "parentCommitId": tip}
before = git("ls-remote", attacked)

# A1: names that look like options are names of nothing, by whatever door
for name in ["-h", "--exec=touch${IFS}x", "--upload-pack=x", "--output=x", "-oProxyCommand=x"]:
    for place in [name, "refs/heads/" + name]:
        refused("InvalidBranchNameException", admin.create_branch, repositoryName="attacked", branchName=place, commitId=tip)
        refused("InvalidReferenceNameException", admin.create_pull_request, title="x", targets=[{"repositoryName": "attacked", "sourceReference": place, "destinationReference": "main"}])
        refused("InvalidReferenceNameException", admin.create_pull_request, title="x", targets=[{"repositoryName": "attacked", "sourceReference": "main", "destinationReference": place}])
    refused("InvalidBranchNameException", admin.put_file, **{**on_attack, "branchName": name}, filePath="x", fileContent=b"x")
    refused("InvalidBranchNameException", admin.update_default_branch, repositoryName="attacked", defaultBranchName=name)
    refused("CommitDoesNotExistException", admin.merge_branches_by_squash, repositoryName="attacked", sourceCommitSpecifier=name, destinationCommitSpecifier="main")
    refused("InvalidBranchNameException", admin.merge_branches_by_squash, repositoryName="attacked", sourceCommitSpecifier=tip, destinationCommitSpecifier=tip, targetBranch=name)
    in_attack("push", "origin", f"{tip}:refs/tags/{name}", fails=True)
    refused("CommitDoesNotExistException", admin.get_file, repositoryName="attacked", filePath="a", commitSpecifier=name)

# A5: nothing is written or read through a link; its text is all there is to read
for path in ["link/x", "parent/x", "parent/attack/a"]:
    refused("DirectoryNameConflictsWithFileNameException", admin.put_file, **on_attack, filePath=path, fileContent=b"x")
    refused("FileDoesNotExistException", admin.delete_file, **on_attack, filePath=path)
    refused("FileDoesNotExistException", admin.get_file, repositoryName="attacked", filePath=path)
    refused("FolderDoesNotExistException", admin.get_folder, repositoryName="attacked", folderPath=path)
refused("InvalidPathException", admin.put_file, **on_attack, filePath="link", fileContent=b"x")
refused("InvalidPathException", admin.create_commit, **on_attack, setFileModes=[{"filePath": "link", "fileMode": "NORMAL"}])
read = admin.get_file(repositoryName="attacked", filePath="link")
assert read["fileContent"] == b"/etc/passwd" and read["fileMode"] == "SYMLINK", read

# A6: no disguise of `.git`, by calls
for path in [".git/config", "x/.GIT/hooks", "git~1/x", ".git./x", ".git /x", ".git::$INDEX_ALLOCATION/x", ".g\u200cit/x", "..", "./x", "x/../y", "a\0b"]:
    refused("InvalidPathException", admin.put_file, **on_attack, filePath=path, fileContent=b"x")
    refused("InvalidPathException", admin.create_commit, **on_attack, putFiles=[{"filePath": path, "sourceFile": {"filePath": "a"}}])
assert git("ls-remote", attacked) == before

# D2: an approval is of what was approved, by somebody else than those whose work it is
write_attack("owners", CODEOWNERS="dir/  @eve\n")
in_attack("push", "-q", "origin", "main", "main:guarded-too")
in_attack("checkout", "-q", "-b", "deed")
deed = write_attack("deed", dir__b="deed\n")
in_attack("push", "-q", "origin", "deed")
passes = lambda commit: lockgate_call("PutCommitStatus", repositoryName="attacked", commitId=commit, context="build", state="SUCCESS")[0] == 200
assert passes(deed)
opened = admin.create_pull_request(title="deed", targets=[{"repositoryName": "attacked", "sourceReference": "deed", "destinationReference": "guarded-too"}])["pullRequest"]
of_deed = dict(pullRequestId=opened["pullRequestId"])
guarded = git("ls-remote", attacked, "guarded-too")


def approve_deed(*people):
    revision = admin.get_pull_request(**of_deed)["pullRequest"]["revisionId"]
    for who in people:
        who.update_pull_request_approval_state(**of_deed, revisionId=revision, approvalState="APPROVE")


def deed_refused(**more):
    for who in [dora, admin]:
        assert "guarded-is-reviewed" in refused("AccessDeniedException", who.merge_pull_request_by_squash, **of_deed, repositoryName="attacked", **more)
    assert git("ls-remote", attacked, "guarded-too") == guarded


approve_deed(dora, other)
# Pushed since: the approvals were of something else.
deed = write_attack("more\n\nCo-authored-by: D <Dora@example.com>", dir__b="deed\nmore\n")
in_attack("push", "-q", "origin", "deed")
assert passes(deed)
deed_refused()
# One of the two is a co-author.
approve_deed(dora, other)
deed_refused()
in_attack("reset", "-q", "--hard", "HEAD~1")
deed = write_attack("more", dir__b="deed\nmore\n")
in_attack("push", "-q", "-f", "origin", "deed")
# The other one has pushed what he approves of.
deed = other.put_file(repositoryName="attacked", branchName="deed", parentCommitId=deed, filePath="dir/b", fileContent=b"eve was here\n")["commitId"]
assert passes(deed)
approve_deed(dora, other)
deed_refused()
# What nobody has looked at: conflicts settled by hand
in_attack("checkout", "-q", "-B", "clashing", "main")
ours = write_attack("ours", dir__b="ours\n")
in_attack("push", "-q", "origin", "clashing:guarded-beside")
in_attack("checkout", "-q", "-B", "theirs", "main")
theirs = write_attack("theirs", dir__b="theirs\n")
in_attack("push", "-q", "origin", "theirs")
assert passes(theirs)
opened = admin.create_pull_request(title="theirs", targets=[{"repositoryName": "attacked", "sourceReference": "theirs", "destinationReference": "guarded-beside"}])["pullRequest"]
by_both = dict(pullRequestId=opened["pullRequestId"])
for who in [dora, other]:
    who.update_pull_request_approval_state(**by_both, revisionId=opened["revisionId"], approvalState="APPROVE")
evil = {"replaceContents": [{"filePath": "dir/b", "replacementType": "USE_NEW_CONTENT", "content": b"evil\n"}]}
beside = git("ls-remote", attacked, "guarded-beside")
for how in ["squash", "three_way"]:
    call = getattr(dora, f"merge_pull_request_by_{how}")
    assert "guarded-is-reviewed" in refused("AccessDeniedException", call, **by_both, repositoryName="attacked", conflictResolutionStrategy="AUTOMERGE", conflictResolution=evil)
assert git("ls-remote", attacked, "guarded-beside") == beside
assert dora.merge_pull_request_by_squash(**by_both, repositoryName="attacked", conflictResolutionStrategy="ACCEPT_SOURCE")["pullRequest"]["pullRequestStatus"] == "CLOSED"

# D11: who owns which paths is what the destination says, whatever the pull request makes of it; and what I5 asks of it: patterns that
# would take for ever elsewhere
in_attack("checkout", "-q", "-B", "gate", "main")
gate = write_attack("gate", CODEOWNERS="dir/  @dora @admin\n", dir__b="gate\n")
in_attack("push", "-q", "origin", "gate")
assert passes(gate)
opened = admin.create_pull_request(title="gate", targets=[{"repositoryName": "attacked", "sourceReference": "gate", "destinationReference": "guarded-too"}])["pullRequest"]
of_gate = dict(pullRequestId=opened["pullRequestId"], repositoryName="attacked")
admin.put_repository_triggers(repositoryName="attacked", triggers=[])
dora.update_pull_request_approval_state(pullRequestId=opened["pullRequestId"], revisionId=opened["revisionId"], approvalState="APPROVE")
assert "guarded-is-reviewed" in refused("AccessDeniedException", dora.merge_pull_request_by_squash, **of_gate)
assert git("ls-remote", attacked, "guarded-too") == guarded

# D5: what is addressed under another repository is not there
assert admin.list_pull_requests(repositoryName="merges", pullRequestStatus="OPEN")["pullRequestIds"] == []
refused("RepositoryNotAssociatedWithPullRequestException", admin.merge_pull_request_by_squash, **{**of_gate, "repositoryName": "merges"})
refused("RepositoryNotAssociatedWithPullRequestException", admin.get_comments_for_pull_request, **{**of_gate, "repositoryName": "merges"}, beforeCommitId=tip, afterCommitId=gate)
refused("CommitDoesNotExistException", admin.get_comments_for_compared_commit, repositoryName="merges", afterCommitId=gate)

# D1: a merge that the server made is no way around the paths that may not be written: both sides changed one such file
numbers = "".join(f"{n}\n" for n in range(20))
by_dora = lambda branch, parent, text: dora.put_file(repositoryName="attacked", branchName=branch, parentCommitId=parent, filePath="infra/x", fileContent=text.encode())["commitId"]
main_tip = in_attack("rev-parse", "main").strip()
dora.create_branch(repositoryName="attacked", branchName="infra-left", commitId=main_tip)
infra = by_dora("infra-left", main_tip, numbers)
dora.create_branch(repositoryName="attacked", branchName="infra-right", commitId=infra)
by_dora("infra-left", infra, "left\n" + numbers)
by_dora("infra-right", infra, numbers + "right\n")
opened = admin.create_pull_request(title="infra", targets=[{"repositoryName": "attacked", "sourceReference": "infra-left", "destinationReference": "infra-right"}])["pullRequest"]["pullRequestId"]
in_attack("fetch", "-q", "origin", f"refs/pull/{opened}/merge")
made = in_attack("rev-parse", "FETCH_HEAD").strip()
before = git("ls-remote", attacked)
assert "guarded-path" in refused("AccessDeniedException", admin.create_branch, repositoryName="attacked", branchName="around", commitId=made)
assert "guarded-path" in in_attack("push", "origin", f"{made}:refs/heads/around", fails=True)
assert git("ls-remote", attacked) == before
dora.create_branch(repositoryName="attacked", branchName="through", commitId=made)
# Where a branch stands already nothing is written anew.
admin.create_branch(repositoryName="attacked", branchName="beside", commitId=made)

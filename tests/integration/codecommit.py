"""Drives operations of CodeCommit through boto3, holds each answer against botocore's own model, and looks for effects through Git.

Prints the operations that were called, one a line, for the test that runs this.
"""

import json, os, subprocess, sys

import boto3, botocore.exceptions
from botocore.config import Config

from model import held

endpoint, ca, account, key, secret, git_url, folder = sys.argv[1:8]
other_key, other_secret, third_key, third_secret, hook_port = sys.argv[8:13]
called = set()
hold = held("codecommit", called)


def client(key, secret):
    made = boto3.session.Session(key, secret, region_name="us-east-1")
    made = made.client("codecommit", endpoint_url=endpoint, verify=ca, config=Config(retries={"max_attempts": 0}))
    made.meta.events.register("before-parse.codecommit.*", hold)
    return made


def refused(code, call, *others, **arguments):
    try:
        call(*others, **arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return str(error)
    raise AssertionError(f"{call} was not refused")


def git(*arguments, fails=False):
    run = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert (run.returncode != 0) == fails, f"{arguments}: {run.stdout}{run.stderr}"
    return run.stdout + run.stderr


admin = client(key, secret)
names = lambda **arguments: [pair["repositoryName"] for pair in admin.list_repositories(**arguments)["repositories"]]

# Making and finding
assert names() == []
made = admin.create_repository(repositoryName="shop", repositoryDescription="wares", tags={"team": "a", "tier": "1"})
shop = made["repositoryMetadata"]
arn = f"arn:aws:codecommit:us-east-1:{account}:shop"
assert shop["Arn"] == arn and shop["accountId"] == account and shop["repositoryDescription"] == "wares", shop
assert "defaultBranch" not in shop and shop["creationDate"] == shop["lastModifiedDate"], shop
assert shop["cloneUrlHttp"] == f"{endpoint}/v1/repos/shop" and shop["cloneUrlSsh"].endswith("/v1/repos/shop"), shop
refused("RepositoryNameExistsException", admin.create_repository, repositoryName="SHOP")
refused("InvalidRepositoryNameException", admin.create_repository, repositoryName="shop.git")
refused("TooManyTagsException", admin.create_repository, repositoryName="x", tags={str(n): "" for n in range(51)})
refused("InvalidSystemTagUsageException", admin.create_repository, repositoryName="x", tags={"aws:x": ""})
refused("EncryptionKeyNotFoundException", admin.create_repository, repositoryName="x", kmsKeyId="alias/other")
refused("EncryptionKeyInvalidIdException", admin.create_repository, repositoryName="x", kmsKeyId="a b")
own_key = f"arn:aws:kms:us-east-1:{account}:alias/aws/codecommit"
assert shop["kmsKeyId"] == own_key, shop
assert admin.update_repository_encryption_key(repositoryName="shop", kmsKeyId="alias/aws/codecommit")["originalKmsKeyId"] == own_key
refused("EncryptionKeyNotFoundException", admin.update_repository_encryption_key, repositoryName="shop", kmsKeyId="alias/other")
admin.create_repository(repositoryName="api")
admin.create_repository(repositoryName="tools")
assert names() == ["api", "shop", "tools"]
assert names(order="descending") == ["tools", "shop", "api"]
assert names(sortBy="lastModifiedDate") == ["shop", "api", "tools"]
refused("InvalidSortByException", admin.list_repositories, sortBy="size")
refused("InvalidOrderException", admin.list_repositories, order="random")
refused("InvalidContinuationTokenException", admin.list_repositories, nextToken="x")
refused("RepositoryDoesNotExistException", admin.get_repository, repositoryName="nope")
found = admin.batch_get_repositories(repositoryNames=["shop", "nope", "api"])
assert [one["repositoryName"] for one in found["repositories"]] == ["shop", "api"], found
assert found["repositoriesNotFound"] == ["nope"] and found["errors"] == [], found
refused("RepositoryNamesRequiredException", admin.batch_get_repositories, repositoryNames=[])
refused("MaximumRepositoryNamesExceededException", admin.batch_get_repositories, repositoryNames=["x"] * 101)

# Branches, which Git makes
assert admin.list_branches(repositoryName="shop")["branches"] == []
refused("BranchDoesNotExistException", admin.get_branch, repositoryName="shop", branchName="main")
git("init", "-q", "-b", "main", "work")
git("-C", "work", "commit", "-q", "--allow-empty", "-m", "first")
git("-C", "work", "push", "-q", git_url + "shop", "HEAD:refs/heads/main", "HEAD:refs/heads/topic/1")
tip = git("-C", "work", "rev-parse", "HEAD").strip()
assert admin.get_branch(repositoryName="shop", branchName="main")["branch"] == {"branchName": "main", "commitId": tip}
assert admin.list_branches(repositoryName="shop")["branches"] == ["main", "topic/1"]
git("-C", "work", "push", "-q", git_url + "shop", *[f"HEAD:refs/heads/z/{n:04}" for n in range(1000)])
pages = list(admin.get_paginator("list_branches").paginate(repositoryName="shop"))
assert [len(page["branches"]) for page in pages] == [1000, 2], pages
assert pages[1]["branches"] == ["z/0998", "z/0999"]
refused("InvalidBranchNameException", admin.get_branch, repositoryName="shop", branchName="a..b")
assert admin.get_repository(repositoryName="shop")["repositoryMetadata"]["defaultBranch"] == "main"
refused("BranchDoesNotExistException", admin.update_default_branch, repositoryName="shop", defaultBranchName="nope")
admin.update_default_branch(repositoryName="shop", defaultBranchName="topic/1")
assert admin.get_repository(repositoryName="shop")["repositoryMetadata"]["defaultBranch"] == "topic/1"
assert "ref: refs/heads/topic/1\tHEAD" in git("ls-remote", "--symref", git_url + "shop", "HEAD")

# What is in it, as Git put it there
def write(path, content, mode="w"):
    os.makedirs(os.path.dirname(os.path.join(folder, "work", path)), exist_ok=True)
    with open(os.path.join(folder, "work", path), mode) as file:
        file.write(content)


write("README", "hello\n")
write("src/a b/ü.txt", "text\n")
write("src/run.sh", "#!/bin/sh\n")
os.chmod(os.path.join(folder, "work/src/run.sh"), 0o755)
os.symlink("README", os.path.join(folder, "work/src/link"))
write("bytes", bytes(range(256)), "wb")
write("large", os.urandom((6 << 20) + 1), "wb")
git("-C", "work", "add", ".")
git("-C", "work", "update-index", "--add", "--cacheinfo", f"160000,{tip},src/module")
git("-C", "work", "commit", "-q", "-m", "second\n\nwith a body")
git("-C", "work", "tag", "-a", "-m", "tagged", "v1")
git("-C", "work", "push", "-q", git_url + "api", "HEAD:refs/heads/main", "v1")
head = git("-C", "work", "rev-parse", "HEAD").strip()
of = lambda revision: git("-C", "work", "rev-parse", revision).strip()

commit = admin.get_commit(repositoryName="api", commitId=head)["commit"]
assert commit["treeId"] == of("HEAD^{tree}") and commit["parents"] == [tip], commit
assert commit["message"] == "second\n\nwith a body\n" and commit["additionalData"] == "", commit
stamp = git("-C", "work", "log", "-1", "--format=%at %ad", "--date=format:%z").strip()
assert commit["author"] == {"name": "A", "email": "a@example.com", "date": stamp}, commit
refused("CommitIdDoesNotExistException", admin.get_commit, repositoryName="api", commitId="0" * 40)
refused("CommitIdDoesNotExistException", admin.get_commit, repositoryName="api", commitId=of("HEAD^{tree}"))
refused("InvalidCommitIdException", admin.get_commit, repositoryName="api", commitId="main")
both = admin.batch_get_commits(repositoryName="api", commitIds=[tip, "0" * 40, head])
assert [one["commitId"] for one in both["commits"]] == [tip, head], both
assert [one["commitId"] for one in both["errors"]] == ["0" * 40], both
refused("CommitIdsLimitExceededException", admin.batch_get_commits, repositoryName="api", commitIds=[tip] * 101)

for revision in [None, "main", "v1", "HEAD", "refs/tags/v1", "refs/heads/main", head]:
    named = {} if revision is None else {"commitSpecifier": revision}
    file = admin.get_file(repositoryName="api", filePath="README", **named)
    assert file["fileContent"] == b"hello\n" and file["commitId"] == head and file["fileSize"] == 6, file
    assert file["blobId"] == of("HEAD:README") and file["fileMode"] == "NORMAL", file
assert admin.get_file(repositoryName="api", filePath="/bytes")["fileContent"] == bytes(range(256))
assert admin.get_file(repositoryName="api", filePath="src/run.sh")["fileMode"] == "EXECUTABLE"
link = admin.get_file(repositoryName="api", filePath="src/link")
assert link["fileMode"] == "SYMLINK" and link["fileContent"] == b"README", link
assert admin.get_file(repositoryName="api", filePath="src/a b/ü.txt")["filePath"] == "src/a b/ü.txt"
for path in ["nope", "src", "src/module", "README/x", "../README", "src/../README"]:
    refused("FileDoesNotExistException", admin.get_file, repositoryName="api", filePath=path)
refused("FileDoesNotExistException", admin.get_file, repositoryName="api", filePath="README", commitSpecifier=tip)
refused("CommitDoesNotExistException", admin.get_file, repositoryName="api", filePath="README", commitSpecifier="nope")
refused("FileTooLargeException", admin.get_file, repositoryName="api", filePath="large")
refused("FileTooLargeException", admin.get_blob, repositoryName="api", blobId=of("HEAD:large"))
assert admin.get_blob(repositoryName="api", blobId=of("HEAD:bytes"))["content"] == bytes(range(256))
refused("BlobIdDoesNotExistException", admin.get_blob, repositoryName="api", blobId=head)
# What another repository has is not to be had here.
refused("BlobIdDoesNotExistException", admin.get_blob, repositoryName="shop", blobId=of("HEAD:bytes"))

root = admin.get_folder(repositoryName="api", folderPath="/")
assert root["treeId"] == of("HEAD^{tree}") and root["folderPath"] == "", root
assert [one["absolutePath"] for one in root["files"]] == ["README", "bytes", "large"], root
assert [(one["absolutePath"], one["treeId"]) for one in root["subFolders"]] == [("src", of("HEAD:src"))], root
src = admin.get_folder(repositoryName="api", folderPath="src/", commitSpecifier="v1")
assert src["folderPath"] == "src" and src["commitId"] == head, src
assert [(one["absolutePath"], one["relativePath"]) for one in src["subFolders"]] == [("src/a b", "a b")], src
assert [(one["relativePath"], one["fileMode"]) for one in src["files"]] == [("run.sh", "EXECUTABLE")], src
assert [(one["relativePath"], one["blobId"]) for one in src["symbolicLinks"]] == [("link", of("HEAD:src/link"))], src
assert [(one["absolutePath"], one["commitId"]) for one in src["subModules"]] == [("src/module", tip)], src
refused("FolderDoesNotExistException", admin.get_folder, repositoryName="api", folderPath="README")
refused("FolderDoesNotExistException", admin.get_folder, repositoryName="api", folderPath="src/module")

def differences(before, after, **more):
    """As `git diff-tree` has them: modes, ids, letter, path."""
    arguments = {"repositoryName": "api", "afterCommitSpecifier": after, **more}
    if before:
        arguments["beforeCommitSpecifier"] = before
    out, nothing = [], {"mode": "0" * 6, "blobId": "0" * 40}
    for page in admin.get_paginator("get_differences").paginate(**arguments):
        for one in page["differences"]:
            was, now = one.get("beforeBlob", nothing), one.get("afterBlob", nothing)
            paths = {side["path"] for side in (was, now) if "path" in side}
            out.append((was["mode"], now["mode"], was["blobId"], now["blobId"], one["changeType"], *paths))
    return out


def diff_tree(before, after, *paths):
    before = before or "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    fields = git("-C", "work", "diff-tree", "-r", "-z", "--no-renames", "--no-abbrev", before, after, "--", *paths).split("\0")
    out = []
    for raw, path in zip(fields[::2], fields[1::2]):
        was, now, old, new, letter = raw[1:].split(" ")
        out.append((was, now, old, new, {"T": "M"}.get(letter, letter), path))
    return out


work = os.path.join(folder, "work")
os.remove(os.path.join(work, "large"))
os.remove(os.path.join(work, "src/link"))
write("src/link", "a file now\n")
os.chmod(os.path.join(work, "src/run.sh"), 0o644)
git("-C", "work", "rm", "-q", "-r", "src/a b")
write("src/a b", "a file in a folder's place\n")
write("src/a", "before\n")
write("src/a.b", "between\n")
for n in range(250):
    write(f"many/{n % 7}/{n}", str(n))
git("-C", "work", "add", ".")
git("-C", "work", "commit", "-q", "-m", "third")
git("-C", "work", "push", "-q", git_url + "api", "HEAD:refs/heads/main")
third = of("HEAD")
for before, after in [(head, third), (third, head), (tip, third), (None, third), (third, third), (tip, head)]:
    expected = diff_tree(before, after)
    assert differences(before, after) == expected, (before, after)
    assert (before == after) == (expected == []), (before, after)
assert len(diff_tree(head, third)) > 250
assert differences(head, "main", MaxResults=7) == diff_tree(head, third)
assert differences(head, third, beforePath="src", afterPath="src") == diff_tree(head, third, "src")
assert differences(head, third, afterPath="many/3") == diff_tree(head, third, "many/3")
assert differences(head, third, beforePath="src/run.sh") == diff_tree(head, third, "src/run.sh")
assert differences(head, third, afterPath="src/a b") == diff_tree(head, third, "src/a b")
of_api = {"repositoryName": "api", "afterCommitSpecifier": third}
refused("PathDoesNotExistException", admin.get_differences, **of_api, afterPath="nope")
refused("CommitDoesNotExistException", admin.get_differences, repositoryName="api", afterCommitSpecifier="nope")
refused("InvalidMaxResultsException", admin.get_differences, **of_api, MaxResults=1001)
refused("InvalidContinuationTokenException", admin.get_differences, **of_api, NextToken="x")

# Names, descriptions, tags
admin.update_repository_description(repositoryName="shop", repositoryDescription="goods")
changed = admin.get_repository(repositoryName="shop")["repositoryMetadata"]
assert changed["repositoryDescription"] == "goods" and changed["lastModifiedDate"] >= shop["lastModifiedDate"]
refused("InvalidRepositoryDescriptionException", admin.update_repository_description, repositoryName="shop", repositoryDescription="x" * 1001)
admin.update_repository_description(repositoryName="shop", repositoryDescription="")
assert "repositoryDescription" not in admin.get_repository(repositoryName="shop")["repositoryMetadata"]
admin.tag_resource(resourceArn=arn, tags={"tier": "2", "x": "y"})
admin.untag_resource(resourceArn=arn, tagKeys=["x", "none"])
assert admin.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "a", "tier": "2"}
refused("InvalidResourceArnException", admin.list_tags_for_resource, resourceArn=arn.replace(account, "222222222222"))
admin.update_repository_name(oldName="shop", newName="store")
assert admin.get_repository(repositoryName="store")["repositoryMetadata"]["repositoryId"] == shop["repositoryId"]
assert tip in git("ls-remote", git_url + "store", "main")
assert "not found" in git("ls-remote", git_url + "shop", fails=True)
refused("RepositoryDoesNotExistException", admin.update_repository_name, oldName="shop", newName="other")
refused("RepositoryNameExistsException", admin.update_repository_name, oldName="api", newName="shop")

# Whoever may not know of a repository does not see it, and may not change what may be seen
other = client(other_key, other_secret)
assert [pair["repositoryName"] for pair in other.list_repositories()["repositories"]] == ["store", "tools"]
refused("AccessDeniedException", other.get_repository, repositoryName="api")
refused("AccessDeniedException", other.get_file, repositoryName="api", filePath="README")
refused("AccessDeniedException", other.get_folder, repositoryName="api", folderPath="/")
refused("AccessDeniedException", other.get_blob, repositoryName="api", blobId=of("HEAD:bytes"))
refused("AccessDeniedException", other.get_commit, repositoryName="api", commitId=head)
refused("AccessDeniedException", other.get_differences, repositoryName="api", afterCommitSpecifier=head)
refused("AccessDeniedException", other.batch_get_commits, repositoryName="api", commitIds=[head])
refused("AccessDeniedException", other.batch_get_repositories, repositoryNames=["store", "api"])
for call, arguments in [
    (other.create_repository, {"repositoryName": "new"}),
    (other.delete_repository, {"repositoryName": "store"}),
    (other.update_repository_name, {"oldName": "store", "newName": "mine"}),
    (other.update_repository_description, {"repositoryName": "store", "repositoryDescription": "mine"}),
    (other.update_default_branch, {"repositoryName": "store", "defaultBranchName": "main"}),
    (other.tag_resource, {"resourceArn": arn.replace("shop", "store"), "tags": {"a": "b"}}),
    (other.untag_resource, {"resourceArn": arn.replace("shop", "store"), "tagKeys": ["team"]}),
]:
    refused("AccessDeniedException", call, **arguments)
store = admin.get_repository(repositoryName="store")["repositoryMetadata"]
assert store["defaultBranch"] == "topic/1" and "repositoryDescription" not in store, store
assert admin.list_tags_for_resource(resourceArn=store["Arn"])["tags"] == {"team": "a", "tier": "2"}

# Gone
assert admin.delete_repository(repositoryName="store")["repositoryId"] == shop["repositoryId"]
assert "repositoryId" not in admin.delete_repository(repositoryName="store")
assert names() == ["api", "tools"]
assert "not found" in git("ls-remote", git_url + "store", fails=True)
refused("RepositoryNameExistsException", admin.create_repository, repositoryName="store")

for part in ["changes", "history", "reviews", "merges", "attacks"]:
    path = os.path.join(os.path.dirname(__file__), f"codecommit_{part}.py")
    exec(compile(open(path).read(), path, "exec"))

print("\n".join(sorted(called)))

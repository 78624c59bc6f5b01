"""Branches, files and commits made through CodeCommit's API, and found by Git. Run by codecommit.py, with its names."""

made = admin.create_repository(repositoryName="edits")["repositoryMetadata"]
edits = git_url + "edits"
on_main = {"repositoryName": "edits", "branchName": "main"}

# The first commit of an empty repository needs no parent.
first = admin.put_file(**on_main, fileContent=b"hello\n", filePath="docs/README", commitMessage="first", name="Ann", email="ann@example.com")
git("clone", "-q", edits, "edits")
in_clone = lambda *arguments, **options: git("-C", "edits", *arguments, **options)
assert in_clone("rev-parse", "HEAD").strip() == first["commitId"]
assert in_clone("rev-parse", "HEAD^{tree}").strip() == first["treeId"]
assert in_clone("rev-parse", "HEAD:docs/README").strip() == first["blobId"]
assert in_clone("log", "--format=%an <%ae> %cn %s").strip() == "Ann <ann@example.com> Ann first"
refused("ParentCommitIdRequiredException", admin.put_file, **on_main, fileContent=b"x", filePath="x")
refused("ParentCommitIdRequiredException", admin.delete_file, **on_main, filePath="docs/README", parentCommitId="")
refused("BranchDoesNotExistException", admin.put_file, repositoryName="edits", branchName="nope", fileContent=b"x", filePath="x", parentCommitId=first["commitId"])
refused("CommitDoesNotExistException", admin.put_file, **on_main, fileContent=b"x", filePath="x", parentCommitId="1" * 40)
refused("InvalidParentCommitIdException", admin.put_file, **on_main, fileContent=b"x", filePath="x", parentCommitId="1")
on_first = {**on_main, "parentCommitId": first["commitId"]}
refused("SameFileContentException", admin.put_file, **on_first, fileContent=b"hello\n", filePath="docs/README")
refused("FileNameConflictsWithDirectoryNameException", admin.put_file, **on_first, fileContent=b"x", filePath="docs")
refused("DirectoryNameConflictsWithFileNameException", admin.put_file, **on_first, fileContent=b"x", filePath="docs/README/x")
for bad in ["../x", "a//b", ".git/config", "a/.GIT", "a\0b"]:
    refused("InvalidPathException", admin.put_file, **on_first, fileContent=b"x", filePath=bad)
refused("PathRequiredException", admin.put_file, **on_first, fileContent=b"x", filePath="")
refused("InvalidFileModeException", admin.put_file, **on_first, fileContent=b"x", filePath="x", fileMode="SOCKET")
refused("InvalidEmailException", admin.put_file, **on_first, fileContent=b"x", filePath="x", email="a b")
refused("NameLengthExceededException", admin.put_file, **on_first, fileContent=b"x", filePath="x", name="n" * 1025)
refused("CommitMessageLengthExceededException", admin.put_file, **on_first, fileContent=b"x", filePath="x", commitMessage="m" * (1 << 18) + "m")
refused("FileContentSizeLimitExceededException", admin.put_file, **on_first, fileContent=b"x" * ((6 << 20) + 1), filePath="x")
large = admin.put_file(**on_first, fileContent=os.urandom(6 << 20), filePath="large")
refused("ParentCommitIdOutdatedException", admin.put_file, **on_first, fileContent=b"x", filePath="x")
gone = admin.delete_file(**on_main, filePath="large", parentCommitId=large["commitId"])
assert gone["filePath"] == "large" and gone["blobId"] == large["blobId"], gone
in_clone("pull", "-q")
assert in_clone("log", "--format=%s").splitlines() == ["Deleted large", "Added large", "first"]
assert in_clone("rev-parse", "HEAD^{tree}").strip() == first["treeId"] == gone["treeId"]

# All kinds of entries in one commit
tip = gone["commitId"]
commit = lambda tip, **entries: admin.create_commit(**on_main, parentCommitId=tip, **entries)
made = commit(
    tip,
    authorName="Bob",
    email="bob@example.com",
    commitMessage="many",
    putFiles=[
        {"filePath": "run.sh", "fileMode": "EXECUTABLE", "fileContent": b"#!/bin/sh\n"},
        {"filePath": "link", "fileMode": "SYMLINK", "fileContent": b"run.sh"},
        {"filePath": "docs", "sourceFile": {"filePath": "docs/README", "isMove": True}},
        {"filePath": "a/b/c", "fileContent": b"deep"},
        {"filePath": "a-b", "fileContent": b"beside"},
    ],
)
assert [file["absolutePath"] for file in made["filesAdded"]] == ["a-b", "a/b/c", "docs", "link", "run.sh"], made
assert [file["absolutePath"] for file in made["filesDeleted"]] == ["docs/README"] and made["filesUpdated"] == [], made
in_clone("pull", "-q")
in_clone("fsck", "--strict", "--no-dangling")
assert in_clone("ls-tree", "-r", "HEAD").split() == [
    "100644", "blob", in_clone("hash-object", "a-b").strip(), "a-b",
    "100644", "blob", in_clone("hash-object", "a/b/c").strip(), "a/b/c",
    "100644", "blob", first["blobId"], "docs",
    "120000", "blob", in_clone("rev-parse", "HEAD:link").strip(), "link",
    "100755", "blob", in_clone("hash-object", "run.sh").strip(), "run.sh",
]
assert os.readlink(os.path.join(folder, "edits/link")) == "run.sh"
tip = made["commitId"]
refused("FileEntryRequiredException", commit, tip=tip)
refused("NoChangeException", commit, tip=tip, putFiles=[{"filePath": "a-b", "fileContent": b"beside"}, {"filePath": "a/b/c", "fileContent": b"deep"}])
refused("SamePathRequestException", commit, tip=tip, deleteFiles=[{"filePath": "/run.sh"}, {"filePath": "run.sh"}])
refused("SamePathRequestException", commit, tip=tip, deleteFiles=[{"filePath": "run.sh"}], putFiles=[{"filePath": "run.sh", "fileContent": b""}])
refused("PutFileEntryConflictException", commit, tip=tip, putFiles=[{"filePath": "x", "fileContent": b""}, {"filePath": "x/y", "fileContent": b""}])
refused("SourceFileOrContentRequiredException", commit, tip=tip, putFiles=[{"filePath": "x"}])
refused("FileContentAndSourceFileSpecifiedException", commit, tip=tip, putFiles=[{"filePath": "x", "fileContent": b"", "sourceFile": {"filePath": "a-b"}}])
refused("FileDoesNotExistException", commit, tip=tip, putFiles=[{"filePath": "x", "sourceFile": {"filePath": "nope"}}])
refused("FileDoesNotExistException", commit, tip=tip, deleteFiles=[{"filePath": "a/b"}])
refused("FileDoesNotExistException", commit, tip=tip, setFileModes=[{"filePath": "nope", "fileMode": "NORMAL"}])
refused("FileModeRequiredException", commit, tip=tip, setFileModes=[{"filePath": "run.sh", "fileMode": ""}])
refused("MaximumFileEntriesExceededException", commit, tip=tip, putFiles=[{"filePath": f"f{n}", "fileContent": b""} for n in range(101)])
made = commit(tip, deleteFiles=[{"filePath": "a/b/c"}], setFileModes=[{"filePath": "run.sh", "fileMode": "NORMAL"}], keepEmptyFolders=True)
assert [file["fileMode"] for file in made["filesUpdated"]] == ["NORMAL"], made
in_clone("pull", "-q")
assert in_clone("ls-tree", "-r", "--name-only", "HEAD").split() == ["a-b", "a/b/.gitkeep", "docs", "link", "run.sh"]
assert in_clone("log", "-1", "--format=%an|%ae|%s").strip().startswith("admin||Changed 2 files"), in_clone("log", "-1")
tip = made["commitId"]
refused("RestrictedSourceFileException", commit, tip=tip, putFiles=[{"filePath": "x", "sourceFile": {"filePath": "a/b/.gitkeep"}}])
made = commit(tip, deleteFiles=[{"filePath": "a/b/.gitkeep"}], putFiles=[{"filePath": "c", "sourceFile": {"filePath": "link"}}])
in_clone("pull", "-q")
assert in_clone("ls-tree", "-r", "--name-only", "HEAD").split() == ["a-b", "c", "docs", "link", "run.sh"]
assert in_clone("ls-tree", "HEAD", "c").startswith("120000")
tip = made["commitId"]

# Branches
admin.create_branch(repositoryName="edits", branchName="topic/1", commitId=first["commitId"])
assert first["commitId"] + "\trefs/heads/topic/1" in git("ls-remote", edits)
refused("BranchNameExistsException", admin.create_branch, repositoryName="edits", branchName="topic/1", commitId=tip)
refused("InvalidBranchNameException", admin.create_branch, repositoryName="edits", branchName="Topic/1", commitId=tip)
refused("InvalidBranchNameException", admin.create_branch, repositoryName="edits", branchName="topic", commitId=tip)
refused("CommitDoesNotExistException", admin.create_branch, repositoryName="edits", branchName="x", commitId="1" * 40)
refused("CommitDoesNotExistException", admin.create_branch, repositoryName="edits", branchName="x", commitId=first["treeId"])
refused("InvalidCommitIdException", admin.create_branch, repositoryName="edits", branchName="x", commitId="main")
assert admin.delete_branch(repositoryName="edits", branchName="topic/1")["deletedBranch"] == {"branchName": "topic/1", "commitId": first["commitId"]}
assert "topic/1" not in git("ls-remote", edits)
assert "deletedBranch" not in admin.delete_branch(repositoryName="edits", branchName="topic/1")
refused("DefaultBranchCannotBeDeletedException", admin.delete_branch, repositoryName="edits", branchName="main")

# What a push may not do, no call may: the branch and the path are protected by policy, and nothing changes.
other = client(other_key, other_secret)
before = git("ls-remote", edits)
assert "guarded-branch" in refused("AccessDeniedException", other.put_file, repositoryName="edits", branchName="main", parentCommitId=tip, fileContent=b"x", filePath="x")
assert "guarded-branch" in refused("AccessDeniedException", other.delete_file, repositoryName="edits", branchName="main", parentCommitId=tip, filePath="a-b")
assert "guarded-branch" in refused("AccessDeniedException", other.create_commit, repositoryName="edits", branchName="main", parentCommitId=tip, deleteFiles=[{"filePath": "a-b"}])
assert "guarded-path" in refused("AccessDeniedException", admin.put_file, repositoryName="edits", branchName="main", parentCommitId=tip, fileContent=b"x", filePath="infra/x")
assert "guarded-path" in refused("AccessDeniedException", commit, tip=tip, putFiles=[{"filePath": "infra/deep/x", "sourceFile": {"filePath": "a-b"}}])
assert git("ls-remote", edits) == before
other.create_branch(repositoryName="edits", branchName="eve", commitId=tip)
other.put_file(repositoryName="edits", branchName="eve", parentCommitId=tip, fileContent=b"x", filePath="x")
refused("AccessDeniedException", other.put_file, repositoryName="api", branchName="main", parentCommitId=tip, fileContent=b"x", filePath="x")

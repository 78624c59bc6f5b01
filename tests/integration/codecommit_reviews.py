"""Pull requests, approvals and comments through CodeCommit's API. Run by codecommit.py, with its names."""

import hashlib

admin.create_repository(repositoryName="reviews")
reviews = git_url + "reviews"
git("init", "-q", "-b", "main", "reviewed")
in_work = lambda *arguments, **options: git("-C", "reviewed", *arguments, **options)
in_work("remote", "add", "origin", reviews)


def commit_file(path, text, message):
    at = os.path.join(folder, "reviewed", path)
    os.makedirs(os.path.dirname(at), exist_ok=True)
    with open(at, "w") as file:
        file.write(text)
    in_work("add", "-A")
    in_work("commit", "-q", "-m", message)
    return in_work("rev-parse", "HEAD").strip()


base = commit_file("src/a.txt", "one\ntwo\nthree\n", "base")
in_work("push", "-q", "origin", "main")
in_work("checkout", "-q", "-b", "topic")
topic = commit_file("src/a.txt", "one\nTWO\nthree\n", "topic")
in_work("push", "-q", "origin", "topic")

# Templates, which give rules to pull requests
needs = lambda n, pool=None, references=None: json.dumps(
    {
        "Version": "2018-11-08",
        **({"DestinationReferences": references} if references else {}),
        "Statements": [{"Type": "Approvers", "NumberOfApprovalsNeeded": n, **({"ApprovalPoolMembers": pool} if pool else {})}],
    }
)
one = admin.create_approval_rule_template(
    approvalRuleTemplateName="one-for-main", approvalRuleTemplateContent=needs(1, references=["refs/heads/main"]), approvalRuleTemplateDescription="one"
)["approvalRuleTemplate"]
assert one["ruleContentSha256"] == hashlib.sha256(one["approvalRuleTemplateContent"].encode()).hexdigest()
refused("ApprovalRuleTemplateNameAlreadyExistsException", admin.create_approval_rule_template, approvalRuleTemplateName="one-for-main", approvalRuleTemplateContent=needs(1))
refused("InvalidApprovalRuleTemplateContentException", admin.create_approval_rule_template, approvalRuleTemplateName="x", approvalRuleTemplateContent="{}")
admin.create_approval_rule_template(approvalRuleTemplateName="for-release", approvalRuleTemplateContent=needs(9, references=["refs/heads/release/*"]))
admin.create_approval_rule_template(approvalRuleTemplateName="temporary", approvalRuleTemplateContent=needs(1))
assert admin.list_approval_rule_templates()["approvalRuleTemplateNames"] == ["for-release", "one-for-main", "temporary"]
page = admin.list_approval_rule_templates(maxResults=2)
assert admin.list_approval_rule_templates(nextToken=page["nextToken"])["approvalRuleTemplateNames"] == ["temporary"]
renamed = admin.update_approval_rule_template_name(oldApprovalRuleTemplateName="temporary", newApprovalRuleTemplateName="other")
assert renamed["approvalRuleTemplate"]["approvalRuleTemplateName"] == "other"
refused("ApprovalRuleTemplateNameAlreadyExistsException", admin.update_approval_rule_template_name, oldApprovalRuleTemplateName="other", newApprovalRuleTemplateName="for-release")
admin.update_approval_rule_template_description(approvalRuleTemplateName="other", approvalRuleTemplateDescription="said")
assert admin.get_approval_rule_template(approvalRuleTemplateName="other")["approvalRuleTemplate"]["approvalRuleTemplateDescription"] == "said"
refused("InvalidRuleContentSha256Exception", admin.update_approval_rule_template_content, approvalRuleTemplateName="other", newRuleContent=needs(2), existingRuleContentSha256="0" * 64)
admin.update_approval_rule_template_content(approvalRuleTemplateName="other", newRuleContent=needs(2), existingRuleContentSha256=renamed["approvalRuleTemplate"]["ruleContentSha256"])
refused("ApprovalRuleTemplateDoesNotExistException", admin.get_approval_rule_template, approvalRuleTemplateName="temporary")
for template in ["one-for-main", "for-release"]:
    admin.associate_approval_rule_template_with_repository(approvalRuleTemplateName=template, repositoryName="reviews")
batch = admin.batch_associate_approval_rule_template_with_repositories(approvalRuleTemplateName="other", repositoryNames=["reviews", "nope"])
assert batch["associatedRepositoryNames"] == ["reviews"] and batch["errors"][0]["errorCode"] == "RepositoryDoesNotExistException", batch
assert admin.list_repositories_for_approval_rule_template(approvalRuleTemplateName="other")["repositoryNames"] == ["reviews"]
refused("ApprovalRuleTemplateInUseException", admin.delete_approval_rule_template, approvalRuleTemplateName="other")
batch = admin.batch_disassociate_approval_rule_template_from_repositories(approvalRuleTemplateName="other", repositoryNames=["reviews"])
assert batch["disassociatedRepositoryNames"] == ["reviews"] and batch["errors"] == [], batch
assert admin.list_associated_approval_rule_templates_for_repository(repositoryName="reviews")["approvalRuleTemplateNames"] == ["for-release", "one-for-main"]
assert "approvalRuleTemplateId" in admin.delete_approval_rule_template(approvalRuleTemplateName="other")
admin.disassociate_approval_rule_template_from_repository(approvalRuleTemplateName="for-release", repositoryName="reviews")
assert admin.list_associated_approval_rule_templates_for_repository(repositoryName="reviews")["approvalRuleTemplateNames"] == ["one-for-main"]

# A pull request
target = {"repositoryName": "reviews", "sourceReference": "topic", "destinationReference": "refs/heads/main"}
opened = dict(title="Two", description="says it loud", targets=[target], clientRequestToken="once")
pull = other.create_pull_request(**opened)["pullRequest"]
number = pull["pullRequestId"]
eve = f"arn:aws:iam::{account}:user/eve"
assert pull["authorArn"] == eve and pull["pullRequestStatus"] == "OPEN" and pull["clientRequestToken"] == "once", pull
[shown] = pull["pullRequestTargets"]
assert shown == {
    "repositoryName": "reviews", "sourceReference": "refs/heads/topic", "destinationReference": "refs/heads/main",
    "sourceCommit": topic, "destinationCommit": base, "mergeBase": base, "mergeMetadata": {"isMerged": False},
}, shown
[rule] = pull["approvalRules"]
assert rule["approvalRuleName"] == "one-for-main" and rule["originApprovalRuleTemplate"]["approvalRuleTemplateId"] == one["approvalRuleTemplateId"], rule
assert other.create_pull_request(**opened)["pullRequest"]["pullRequestId"] == number
refused("IdempotencyParameterMismatchException", other.create_pull_request, **{**opened, "title": "Other"})
assert admin.get_pull_request(pullRequestId=number)["pullRequest"] == pull
assert f"{topic}\trefs/pull/{number}/head" in git("ls-remote", reviews)


def merge_fetched(tip, into, number=number):
    """What `refs/pull/N/merge` is: a merge of both as they stand, as Git itself makes it."""
    in_work("fetch", "-q", "origin", f"refs/pull/{number}/merge")
    assert in_work("rev-parse", "FETCH_HEAD^@").split() == [into, tip]
    assert in_work("rev-parse", "FETCH_HEAD^{tree}") == in_work("merge-tree", "--write-tree", into, tip)
    merge = in_work("rev-parse", "FETCH_HEAD").strip()
    for protocol in ["0", "2"]:
        assert f"{merge}\trefs/pull/{number}/merge" in git("-c", f"protocol.version={protocol}", "ls-remote", reviews)
    return merge


first_merge = merge_fetched(topic, base)
assert merge_fetched(topic, base) == first_merge
git("clone", "-q", "--mirror", reviews, "mirrored")
assert git("-C", "mirrored", "rev-parse", f"refs/pull/{number}/merge").strip() == first_merge
git("-C", "mirrored", "fsck", "--strict")
for code, changed in [
    ("ReferenceDoesNotExistException", {"sourceReference": "nope"}),
    ("ReferenceTypeNotSupportedException", {"sourceReference": "refs/tags/v1"}),
    ("InvalidReferenceNameException", {"sourceReference": "a..b"}),
    ("SourceAndDestinationAreSameException", {"destinationReference": "topic"}),
    ("RepositoryDoesNotExistException", {"repositoryName": "nope"}),
]:
    refused(code, admin.create_pull_request, title="x", targets=[{**target, **changed}])
refused("MultipleRepositoriesInPullRequestException", admin.create_pull_request, title="x", targets=[target, target])
refused("TargetsRequiredException", admin.create_pull_request, title="x", targets=[])
refused("TitleRequiredException", admin.create_pull_request, title=" ", targets=[target])
refused("InvalidPullRequestIdException", admin.get_pull_request, pullRequestId="x")
refused("PullRequestDoesNotExistException", admin.get_pull_request, pullRequestId="999")
assert other.update_pull_request_title(pullRequestId=number, title="Two!")["pullRequest"]["title"] == "Two!"
assert other.update_pull_request_description(pullRequestId=number, description="softly")["pullRequest"]["description"] == "softly"
second = admin.create_pull_request(title="Second", targets=[{**target, "sourceReference": "main", "destinationReference": "topic"}])["pullRequest"]["pullRequestId"]
assert admin.list_pull_requests(repositoryName="reviews")["pullRequestIds"] == [second, number]
assert admin.list_pull_requests(repositoryName="reviews", authorArn=eve)["pullRequestIds"] == [number]
page = admin.list_pull_requests(repositoryName="reviews", maxResults=1)
assert admin.list_pull_requests(repositoryName="reviews", nextToken=page["nextToken"])["pullRequestIds"] == [number]
assert admin.update_pull_request_status(pullRequestId=second, pullRequestStatus="CLOSED")["pullRequest"]["pullRequestStatus"] == "CLOSED"
refused("InvalidPullRequestStatusUpdateException", admin.update_pull_request_status, pullRequestId=second, pullRequestStatus="OPEN")
refused("PullRequestAlreadyClosedException", admin.update_pull_request_title, pullRequestId=second, title="x")
assert admin.list_pull_requests(repositoryName="reviews", pullRequestStatus="OPEN")["pullRequestIds"] == [number]
assert admin.list_pull_requests(repositoryName="reviews", pullRequestStatus="CLOSED")["pullRequestIds"] == [second]

# Comments
commits = dict(pullRequestId=number, repositoryName="reviews", beforeCommitId=base, afterCommitId=topic)
place = {"filePath": "src/a.txt", "filePosition": 2, "relativeFileVersion": "AFTER"}
posted = admin.post_comment_for_pull_request(**commits, location=place, content="why so **loud**?", clientRequestToken="c1")
assert posted["location"] == place and posted["afterBlobId"] == in_work("rev-parse", "topic:src/a.txt").strip(), posted
comment = posted["comment"]["commentId"]
again = admin.post_comment_for_pull_request(**commits, location=place, content="why so **loud**?", clientRequestToken="c1")
assert again["comment"]["commentId"] == comment
refused("IdempotencyParameterMismatchException", admin.post_comment_for_pull_request, **commits, content="else", clientRequestToken="c1")
refused("InvalidFilePositionException", admin.post_comment_for_pull_request, **commits, location={**place, "filePosition": 4}, content="x")
refused("PathDoesNotExistException", admin.post_comment_for_pull_request, **commits, location={**place, "filePath": "nope"}, content="x")
refused("CommentContentRequiredException", admin.post_comment_for_pull_request, **commits, content=" ")
refused("CommentContentSizeLimitExceededException", admin.post_comment_for_pull_request, **commits, content="x" * 10241)
refused("RepositoryNotAssociatedWithPullRequestException", admin.post_comment_for_pull_request, **{**commits, "repositoryName": "edits"}, content="x")
refused("CommitDoesNotExistException", admin.post_comment_for_pull_request, **{**commits, "afterCommitId": "1" * 40}, content="x")
answer = other.post_comment_reply(inReplyTo=comment, content="because")["comment"]
assert answer["inReplyTo"] == comment and answer["authorArn"] == eve, answer
general = admin.post_comment_for_pull_request(**commits, content="in general")["comment"]["commentId"]
threads = admin.get_comments_for_pull_request(pullRequestId=number)["commentsForPullRequestData"]
assert [[one["commentId"] for one in thread["comments"]] for thread in threads] == [[comment, answer["commentId"]], [general]], threads
assert threads[0]["location"] == place and "location" not in threads[1] and threads[0]["beforeCommitId"] == base
assert len(list(admin.get_paginator("get_comments_for_pull_request").paginate(pullRequestId=number, maxResults=1))) == 2
[thread] = admin.get_comments_for_pull_request(pullRequestId=number, afterCommitId=base)["commentsForPullRequestData"]
assert thread["comments"][0]["commentId"] == general and thread["afterCommitId"] == base, thread
refused("CommentNotCreatedByCallerException", other.update_comment, commentId=comment, content="mine")
assert admin.update_comment(commentId=comment, content="why?")["comment"]["content"] == "why?"
other.put_comment_reaction(commentId=comment, reactionValue=":thumbsup:")
other.put_comment_reaction(commentId=comment, reactionValue="U+2764")
admin.put_comment_reaction(commentId=comment, reactionValue="\u2764\ufe0f")
refused("InvalidReactionValueException", admin.put_comment_reaction, commentId=comment, reactionValue=":nope:")
shown = admin.get_comment(commentId=comment)["comment"]
assert shown["reactionCounts"] == {":heart:": 2} and shown["callerReactions"] == [":heart:"], shown
[reaction] = admin.get_comment_reactions(commentId=comment)["reactionsForComment"]
assert reaction["reactionUsers"][0] == eve and len(reaction["reactionUsers"]) == 2 and reaction["reaction"]["unicode"] == "U+2764", reaction
other.put_comment_reaction(commentId=comment, reactionValue="none")
assert admin.get_comment(commentId=comment)["comment"]["reactionCounts"] == {":heart:": 1}
gone = admin.delete_comment_content(commentId=comment)["comment"]
assert gone["deleted"] and "content" not in gone, gone
refused("CommentDeletedException", admin.update_comment, commentId=comment, content="x")
refused("CommentDeletedException", admin.get_comment, commentId=comment)
assert len(admin.get_comments_for_pull_request(pullRequestId=number)["commentsForPullRequestData"][0]["comments"]) == 2
refused("InvalidCommentIdException", admin.get_comment, commentId="x")
refused("CommentDoesNotExistException", admin.get_comment, commentId=comment[:-4] + "ffff")
compared = admin.post_comment_for_compared_commit(repositoryName="reviews", beforeCommitId=base, afterCommitId=topic, location={**place, "relativeFileVersion": "BEFORE"}, content="was better")
assert compared["beforeBlobId"] == in_work("rev-parse", "main:src/a.txt").strip()
[thread] = admin.get_comments_for_compared_commit(repositoryName="reviews", beforeCommitId=base, afterCommitId=topic)["commentsForComparedCommitData"]
assert thread["comments"][0]["commentId"] == compared["comment"]["commentId"], thread
assert admin.get_comments_for_compared_commit(repositoryName="reviews", afterCommitId=topic)["commentsForComparedCommitData"] == []
refused("BeforeCommitIdAndAfterCommitIdAreSameException", admin.post_comment_for_compared_commit, repositoryName="reviews", beforeCommitId=topic, afterCommitId=topic, content="x")

# Approvals are of one revision: a push begins another one.
revision = pull["revisionId"]
evaluated = lambda: admin.evaluate_pull_request_approval_rules(pullRequestId=number, revisionId=revision)["evaluation"]
assert evaluated() == {"approved": False, "overridden": False, "approvalRulesSatisfied": [], "approvalRulesNotSatisfied": ["one-for-main"]}, evaluated()
approve = lambda who, state="APPROVE", **changed: who.update_pull_request_approval_state(**{"pullRequestId": number, "revisionId": revision, "approvalState": state, **changed})
refused("PullRequestCannotBeApprovedByAuthorException", approve, other)
refused("InvalidRevisionIdException", approve, admin, revisionId="f" * 64)
refused("InvalidApprovalStateException", approve, admin, "PERHAPS")
approve(admin)
assert evaluated()["approved"] and evaluated()["approvalRulesSatisfied"] == ["one-for-main"]
states = lambda: admin.get_pull_request_approval_states(pullRequestId=number, revisionId=revision)["approvals"]
assert states() == [{"userArn": f"arn:aws:iam::{account}:user/admin", "approvalState": "APPROVE"}], states()
approve(admin, "REVOKE")
assert not evaluated()["approved"] and states()[0]["approvalState"] == "REVOKE"
approve(admin)
rule = dict(pullRequestId=number, approvalRuleName="nobody")
made = admin.create_pull_request_approval_rule(**rule, approvalRuleContent=needs(1, [f"arn:aws:iam::{account}:user/nobody"]))["approvalRule"]
refused("ApprovalRuleNameAlreadyExistsException", admin.create_pull_request_approval_rule, **rule, approvalRuleContent=needs(1))
refused("InvalidApprovalRuleContentException", admin.create_pull_request_approval_rule, pullRequestId=number, approvalRuleName="x", approvalRuleContent="[]")
assert evaluated()["approvalRulesNotSatisfied"] == ["nobody"]
refused("CannotModifyApprovalRuleFromTemplateException", admin.update_pull_request_approval_rule_content, pullRequestId=number, approvalRuleName="one-for-main", newRuleContent=needs(1))
refused("InvalidRuleContentSha256Exception", admin.update_pull_request_approval_rule_content, **rule, newRuleContent=needs(2), existingRuleContentSha256="0" * 64)
admin.update_pull_request_approval_rule_content(**rule, newRuleContent=needs(2), existingRuleContentSha256=made["ruleContentSha256"])
refused("ApprovalRuleDoesNotExistException", admin.update_pull_request_approval_rule_content, pullRequestId=number, approvalRuleName="nope", newRuleContent=needs(2))
override = lambda state: admin.override_pull_request_approval_rules(pullRequestId=number, revisionId=revision, overrideStatus=state)
override("OVERRIDE")
refused("OverrideAlreadySetException", override, "OVERRIDE")
assert evaluated()["overridden"] and evaluated()["approved"]
assert admin.get_pull_request_override_state(pullRequestId=number, revisionId=revision) | {"ResponseMetadata": 0} == {"overridden": True, "overrider": f"arn:aws:iam::{account}:user/admin", "ResponseMetadata": 0}
override("REVOKE")
assert not admin.get_pull_request_override_state(pullRequestId=number, revisionId=revision)["overridden"]
assert admin.delete_pull_request_approval_rule(**rule)["approvalRuleId"] == made["approvalRuleId"]
newer = commit_file("src/b.txt", "b\n", "more")
in_work("push", "-q", "origin", "topic")
now = admin.get_pull_request(pullRequestId=number)["pullRequest"]
assert now["revisionId"] != revision and now["pullRequestTargets"][0]["sourceCommit"] == newer, now
refused("RevisionNotCurrentException", approve, admin)
refused("RevisionNotCurrentException", evaluated)
assert states()[0]["approvalState"] == "APPROVE"
revision = now["revisionId"]
# A comment follows its line through pushes, and is not shown where the line is gone.
placed = admin.post_comment_for_pull_request(**commits, location={**place, "filePosition": 3}, content="on three")["comment"]["commentId"]
moved = commit_file("src/a.txt", "zero\none\ntwo!\nthree\n", "moved")
in_work("push", "-q", "origin", "topic")
shown = admin.get_comments_for_pull_request(pullRequestId=number, beforeCommitId=base, afterCommitId=moved)["commentsForPullRequestData"]
lines_of = {thread["comments"][0]["commentId"]: thread.get("location", {}).get("filePosition") for thread in shown}
assert lines_of == {general: None, placed: 4}, lines_of
assert all(thread["afterCommitId"] == moved for thread in shown)
topic, newer = newer, moved
revision = admin.get_pull_request(pullRequestId=number)["pullRequest"]["revisionId"]
assert states() == [] and not evaluated()["approved"]
assert f"{newer}\trefs/pull/{number}/head" in git("ls-remote", reviews)
in_work("fetch", "-q", "origin", f"refs/pull/{number}/head")
assert in_work("rev-parse", "FETCH_HEAD").strip() == newer
assert "belong to the server" in in_work("push", "origin", f"+{base}:refs/pull/{number}/head", fails=True)

assert merge_fetched(newer, base) != first_merge
assert first_merge not in git("ls-remote", reviews)
# In conflict there is none, and with the conflict gone there is one again; with the pull request closed there is none.
in_work("push", "-q", "origin", f"{base}:refs/heads/into")
third = admin.create_pull_request(title="third", targets=[{**target, "destinationReference": "into"}])["pullRequest"]["pullRequestId"]
merge_fetched(newer, base, third)
in_work("checkout", "-q", "-b", "beside", base)
commit_file("src/a.txt", "else\n", "beside")
in_work("push", "-q", "origin", "beside:into")
assert f"refs/pull/{third}/merge" not in git("ls-remote", reviews)
beside = commit_file("src/a.txt", "one\ntwo\nthree\n", "as it was")
in_work("push", "-q", "origin", "beside:into")
merge_fetched(newer, beside, third)
in_work("checkout", "-q", "topic")
admin.update_pull_request_status(pullRequestId=third, pullRequestStatus="CLOSED")
assert f"refs/pull/{third}/merge" not in git("ls-remote", reviews)
assert "belong to the server" in in_work("push", "origin", f"+{base}:refs/pull/{number}/merge", fails=True)
git("clone", "-q", reviews, "cloned-with-pulls")
git("-C", "cloned-with-pulls", "fsck", "--strict")

# What was pushed by Git into the destination is merged.
in_work("push", "-q", "origin", "topic:main")
merged = admin.get_pull_request(pullRequestId=number)["pullRequest"]
assert merged["pullRequestStatus"] == "CLOSED", merged
assert merged["pullRequestTargets"][0]["mergeMetadata"] == {
    "isMerged": True, "mergedBy": f"arn:aws:iam::{account}:user/admin", "mergeCommitId": newer, "mergeOption": "FAST_FORWARD_MERGE"
}, merged
refused("PullRequestAlreadyClosedException", approve, admin)
assert "/merge" not in git("ls-remote", reviews)
events = admin.describe_pull_request_events(pullRequestId=number)["pullRequestEvents"]
assert [event["pullRequestEventType"].removeprefix("PULL_REQUEST_") for event in events] == [
    "CREATED", "APPROVAL_RULE_CREATED",
    "APPROVAL_STATE_CHANGED", "APPROVAL_STATE_CHANGED", "APPROVAL_STATE_CHANGED",
    "APPROVAL_RULE_CREATED", "APPROVAL_RULE_UPDATED", "APPROVAL_RULE_OVERRIDDEN", "APPROVAL_RULE_OVERRIDDEN", "APPROVAL_RULE_DELETED",
    "SOURCE_REFERENCE_UPDATED", "SOURCE_REFERENCE_UPDATED", "MERGE_STATE_CHANGED", "STATUS_CHANGED",
], events
updated = events[11]["pullRequestSourceReferenceUpdatedEventMetadata"]
assert updated == {"repositoryName": "reviews", "beforeCommitId": topic, "afterCommitId": newer, "mergeBase": base}, updated
assert [event["pullRequestEventType"] for event in admin.describe_pull_request_events(pullRequestId=number, actorArn=eve)["pullRequestEvents"]] == ["PULL_REQUEST_CREATED", "PULL_REQUEST_APPROVAL_RULE_CREATED"]
assert len(admin.describe_pull_request_events(pullRequestId=number, pullRequestEventType="PULL_REQUEST_APPROVAL_STATE_CHANGED")["pullRequestEvents"]) == 3
assert sum(len(page["pullRequestEvents"]) for page in admin.get_paginator("describe_pull_request_events").paginate(pullRequestId=number, maxResults=5)) == 14

# Somebody who may not know of the repository does not learn that there is such a pull request, or comment.
git("init", "-q", "-b", "main", "hidden")
head_of_api = in_api = admin.get_branch(repositoryName="api", branchName="main")["branch"]["commitId"]
admin.create_branch(repositoryName="api", branchName="topic", commitId=head_of_api)
hidden = admin.create_pull_request(title="hidden", targets=[{"repositoryName": "api", "sourceReference": "topic", "destinationReference": "main"}])["pullRequest"]
at = dict(pullRequestId=hidden["pullRequestId"])
note = admin.post_comment_for_pull_request(**at, repositoryName="api", beforeCommitId=head_of_api, afterCommitId=head_of_api, content="x")["comment"]["commentId"]
revised = dict(**at, revisionId=hidden["revisionId"])
for call, arguments in [
    (other.get_pull_request, at),
    (other.update_pull_request_title, {**at, "title": "x"}),
    (other.update_pull_request_description, {**at, "description": "x"}),
    (other.update_pull_request_status, {**at, "pullRequestStatus": "CLOSED"}),
    (other.describe_pull_request_events, at),
    (other.update_pull_request_approval_state, {**revised, "approvalState": "APPROVE"}),
    (other.get_pull_request_approval_states, revised),
    (other.evaluate_pull_request_approval_rules, revised),
    (other.override_pull_request_approval_rules, {**revised, "overrideStatus": "OVERRIDE"}),
    (other.get_pull_request_override_state, revised),
    (other.create_pull_request_approval_rule, {**at, "approvalRuleName": "x", "approvalRuleContent": needs(1)}),
    (other.update_pull_request_approval_rule_content, {**at, "approvalRuleName": "x", "newRuleContent": needs(1)}),
    (other.delete_pull_request_approval_rule, {**at, "approvalRuleName": "x"}),
    (other.post_comment_for_pull_request, {**at, "repositoryName": "api", "beforeCommitId": head_of_api, "afterCommitId": head_of_api, "content": "x"}),
    (other.get_comments_for_pull_request, at),
]:
    refused("PullRequestDoesNotExistException", call, **arguments)
for call, arguments in [
    (other.get_comment, {}), (other.update_comment, {"content": "x"}), (other.delete_comment_content, {}),
    (other.put_comment_reaction, {"reactionValue": ":heart:"}), (other.get_comment_reactions, {}),
]:
    refused("CommentDoesNotExistException", call, commentId=note, **arguments)
refused("CommentDoesNotExistException", other.post_comment_reply, inReplyTo=note, content="x")
refused("AccessDeniedException", other.list_pull_requests, repositoryName="api")
refused("AccessDeniedException", other.create_pull_request, title="x", targets=[{"repositoryName": "api", "sourceReference": "topic"}])
assert admin.get_pull_request(**at)["pullRequest"] == hidden

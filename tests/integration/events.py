"""Drives EventBridge's operations through boto3, holds each answer against botocore's own model, and looks at what targets are told.

Prints the operations that were called, one a line, for the test that runs this.
"""

import asyncio, base64, datetime, hashlib, hmac, http.server, json, os, queue, sys, threading, time

import boto3, botocore.exceptions, nats
from botocore.config import Config

from model import held

endpoint, ca, account, key, secret, folder = sys.argv[1:7]
other_key, other_secret, sqs_url, nats_url = sys.argv[7:11]
called = set()
hold = held("events", called)
region = "us-east-1"


def client(key, secret, service="events"):
    made = boto3.session.Session(key, secret, region_name=region)
    made = made.client(service, endpoint_url=endpoint, verify=ca, config=Config(retries={"max_attempts": 0}))
    if service == "events":
        made.meta.events.register("before-parse.events.*", hold)
    return made


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return str(error)
    raise AssertionError(f"{call} was not refused")


def lockgate_call(name, **arguments):
    """A call of Lockgate's own service, signed as boto3 signs."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    from botocore.httpsession import URLLib3Session

    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"Lockgate_20261123.{name}"}
    request = AWSRequest("POST", endpoint + "/", headers=headers, data=json.dumps(arguments))
    SigV4Auth(Credentials(key, secret), "lockgate", region).add_auth(request)
    answer = URLLib3Session(verify=ca).send(request.prepare())
    assert answer.status_code == 200, answer.content
    return json.loads(answer.content)


class Hook:
    """A receiver of webhooks: what came, by path; and what it answers."""

    def __init__(self):
        hook = self
        self.came, self.fails = {}, set()
        self.lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                with hook.lock:
                    hook.of(self.path).put((dict(self.headers), body.decode()))
                self.send_response(500 if self.path in hook.fails else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            do_PUT = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def of(self, path):
        return self.came.setdefault(path, queue.Queue())

    def next(self, path):
        with self.lock:
            waiting = self.of(path)
        return waiting.get(timeout=60)

    def event(self, path):
        return json.loads(self.next(path)[1])


events, other = client(key, secret), client(other_key, other_secret)
codecommit = client(key, secret, "codecommit")
hook = Hook()
arn = f"arn:aws:events:{region}:{account}"

# ---------------------------------------------------------------- buses
made = events.create_event_bus(Name="orders", Description="d", Tags=[{"Key": "team", "Value": "a"}])
assert made["EventBusArn"] == f"{arn}:event-bus/orders", made
refused("ResourceAlreadyExistsException", events.create_event_bus, Name="orders")
refused("ResourceAlreadyExistsException", events.create_event_bus, Name="default")
refused("ValidationException", events.create_event_bus, Name="a b")
assert events.describe_event_bus(Name="orders")["Description"] == "d"
assert events.describe_event_bus()["Name"] == "default"
assert events.update_event_bus(Name="orders", Description="e")["Name"] == "orders"
assert [bus["Name"] for bus in events.list_event_buses()["EventBuses"]] == ["default", "orders"]
page = events.list_event_buses(Limit=1)
assert [bus["Name"] for bus in events.list_event_buses(Limit=1, NextToken=page["NextToken"])["EventBuses"]] == ["orders"]
assert events.list_event_buses(NamePrefix="or")["EventBuses"][0]["Arn"] == made["EventBusArn"]
assert events.list_tags_for_resource(ResourceARN=made["EventBusArn"])["Tags"] == [{"Key": "team", "Value": "a"}]
events.tag_resource(ResourceARN=made["EventBusArn"], Tags=[{"Key": "x", "Value": "y"}])
events.untag_resource(ResourceARN=made["EventBusArn"], TagKeys=["team"])
assert events.list_tags_for_resource(ResourceARN=made["EventBusArn"])["Tags"] == [{"Key": "x", "Value": "y"}]
why = refused("OperationDisabledException", events.put_permission, EventBusName="orders", Action="events:PutEvents",
              Principal="222222222222", StatementId="s")
assert f"policies/{account}/trust" in why, why
refused("ResourceNotFoundException", events.remove_permission, EventBusName="orders", StatementId="s")
refused("ResourceNotFoundException", events.describe_event_bus, Name="nowhere")

# ---------------------------------------------------------------- rules
everything = json.dumps({"source": ["aws.codecommit", "lockgate"]})
rule = events.put_rule(Name="all", EventPattern=everything, Description="what happens", Tags=[{"Key": "k", "Value": "v"}])
assert rule["RuleArn"] == f"{arn}:rule/all"
on_orders = events.put_rule(Name="big", EventBusName="orders", EventPattern='{"detail": {"n": [{"numeric": [">", 10]}]}}')
assert on_orders["RuleArn"] == f"{arn}:rule/orders/big"
refused("InvalidEventPatternException", events.put_rule, Name="bad", EventPattern='{"source": "x"}')
refused("ValidationException", events.put_rule, Name="bad")
refused("ValidationException", events.put_rule, Name="bad", ScheduleExpression="rate(1 minutes)")
refused("ResourceNotFoundException", events.put_rule, Name="bad", EventBusName="nowhere", EventPattern=everything)
told = events.describe_rule(Name="all")
assert (told["EventPattern"], told["State"], told["CreatedBy"]) == (everything, "ENABLED", account), told
events.disable_rule(Name="all")
assert events.describe_rule(Name="all")["State"] == "DISABLED"
events.enable_rule(Name="all")
assert [one["Name"] for one in events.list_rules()["Rules"]] == ["all"]
assert [one["Name"] for one in events.list_rules(EventBusName="orders", NamePrefix="b")["Rules"]] == ["big"]
assert events.list_tags_for_resource(ResourceARN=rule["RuleArn"])["Tags"] == [{"Key": "k", "Value": "v"}]
sample = {"id": "1", "account": account, "source": "x", "time": "t", "region": region, "resources": [], "detail-type": "d"}
assert events.test_event_pattern(EventPattern='{"source": [{"prefix": "x"}]}', Event=json.dumps(sample))["Result"]
assert not events.test_event_pattern(EventPattern='{"source": ["y"]}', Event=json.dumps(sample))["Result"]
refused("InvalidEventPatternException", events.test_event_pattern, EventPattern="{}", Event=json.dumps(sample))

# ---------------------------------------------------------------- what happens in a repository, in its order
put = events.put_targets(Rule="all", Targets=[{"Id": "hook", "Arn": hook.url + "/all"}])
assert put["FailedEntryCount"] == 0, put
wrong = events.put_targets(Rule="all", Targets=[
    {"Id": "lambda", "Arn": f"arn:aws:lambda:{region}:{account}:function:f"},
    {"Id": "two", "Arn": hook.url, "Input": "1", "InputPath": "$"},
    {"Id": "words", "Arn": hook.url, "InputTransformer": {"InputTemplate": '"<nothing>"'}},
    {"Id": "gone", "Arn": f"{arn}:api-destination/gone/1"},
])
assert wrong["FailedEntryCount"] == 4 and [one["TargetId"] for one in wrong["FailedEntries"]] == ["two", "lambda", "words", "gone"], wrong
refused("ResourceNotFoundException", events.put_targets, Rule="none", Targets=[{"Id": "a", "Arn": hook.url}])
assert events.list_rule_names_by_target(TargetArn=hook.url + "/all")["RuleNames"] == ["all"]
refused("ValidationException", events.delete_rule, Name="all")

codecommit.create_repository(repositoryName="shop")
first = codecommit.put_file(repositoryName="shop", branchName="main", fileContent=b"1\n", filePath="a")["commitId"]
came = hook.event("/all")
repository = codecommit.get_repository(repositoryName="shop")["repositoryMetadata"]
me = f"arn:aws:iam::{account}:user/admin"
assert came["detail-type"] == "CodeCommit Repository State Change" and came["version"] == "0", came
assert came["resources"] == [repository["Arn"]] and came["account"] == account and came["region"] == region, came
assert came["detail"] == {
    "event": "referenceCreated", "repositoryName": "shop", "repositoryId": repository["repositoryId"],
    "referenceType": "branch", "referenceName": "main", "referenceFullName": "refs/heads/main",
    "commitId": first, "callerUserArn": me,
}, came
codecommit.create_branch(repositoryName="shop", branchName="topic", commitId=first)
assert hook.event("/all")["detail"]["referenceName"] == "topic"
second = codecommit.put_file(repositoryName="shop", branchName="topic", fileContent=b"2\n", filePath="a", parentCommitId=first)["commitId"]
came = hook.event("/all")["detail"]
assert (came["event"], came["oldCommitId"], came["commitId"]) == ("referenceUpdated", first, second), came
pull = codecommit.create_pull_request(title='A "title"', targets=[{"repositoryName": "shop", "sourceReference": "topic", "destinationReference": "main"}])["pullRequest"]
number = pull["pullRequestId"]
came = hook.event("/all")
assert came["detail-type"] == "CodeCommit Pull Request State Change", came
detail = came["detail"]
assert (detail["event"], detail["pullRequestId"], detail["isMerged"], detail["pullRequestStatus"]) == ("pullRequestCreated", number, "False", "Open"), detail
assert (detail["sourceReference"], detail["destinationReference"], detail["sourceCommit"]) == ("refs/heads/topic", "refs/heads/main", second), detail
assert detail["revisionId"] == pull["revisionId"] and detail["repositoryNames"] == ["shop"] and detail["author"] == me, detail
comment = codecommit.post_comment_for_pull_request(pullRequestId=number, repositoryName="shop", beforeCommitId=first, afterCommitId=second, content="hm")["comment"]["commentId"]
came = hook.event("/all")
assert (came["detail-type"], came["detail"]["event"]) == ("CodeCommit Comment on Pull Request", "commentOnPullRequestCreated"), came
assert "hm" not in json.dumps(came)
codecommit.put_comment_reaction(commentId=comment, reactionValue=":thumbsup:")
came = hook.event("/all")
assert (came["detail-type"], came["detail"]["reactionShortcodes"]) == ("CodeCommit Comment Reaction Change", [":thumbsup:"]), came
codecommit.update_comment(commentId=comment, content="ha")
assert hook.event("/all")["detail"]["event"] == "commentOnPullRequestUpdated"
codecommit.create_pull_request_approval_rule(pullRequestId=number, approvalRuleName="r", approvalRuleContent=json.dumps({"Version": "2018-11-08", "Statements": [{"Type": "Approvers", "NumberOfApprovalsNeeded": 1}]}))
came = hook.event("/all")["detail"]
assert (came["event"], came["approvalRuleName"]) == ("pullRequestApprovalRuleCreated", "r"), came
theirs = client(other_key, other_secret, "codecommit")
theirs.update_pull_request_approval_state(pullRequestId=number, revisionId=pull["revisionId"], approvalState="APPROVE")
came = hook.event("/all")["detail"]
assert (came["event"], came["approvalStatus"], came["callerUserArn"]) == ("pullRequestApprovalStateChanged", "APPROVE", f"arn:aws:iam::{account}:user/eve"), came
lockgate_call("PutCommitStatus", repositoryName="shop", commitId=second, context="build", state="SUCCESS")
came = hook.event("/all")
assert (came["source"], came["detail-type"], came["detail"]["state"]) == ("lockgate", "Lockgate Commit Status Change", "SUCCESS"), came
codecommit.merge_pull_request_by_fast_forward(pullRequestId=number, repositoryName="shop")
came = [hook.event("/all")["detail"] for _ in range(3)]
assert [one["event"] for one in came] == ["referenceUpdated", "pullRequestMergeStatusUpdated", "pullRequestStatusChanged"], came
assert came[0]["mergeOption"] == "FAST_FORWARD_MERGE" and came[0]["sourceCommitId"] == second and came[0]["destinationCommitId"] == first, came[0]
assert (came[1]["isMerged"], came[1]["pullRequestStatus"]) == ("True", "Closed"), came[1]
codecommit.delete_branch(repositoryName="shop", branchName="topic")
came = hook.event("/all")["detail"]
assert (came["event"], came["oldCommitId"], "commitId" in came) == ("referenceDeleted", second, False), came
content = json.dumps({"Version": "2018-11-08", "Statements": [{"Type": "Approvers", "NumberOfApprovalsNeeded": 1}]})
codecommit.create_approval_rule_template(approvalRuleTemplateName="t", approvalRuleTemplateContent=content)
codecommit.associate_approval_rule_template_with_repository(approvalRuleTemplateName="t", repositoryName="shop")
codecommit.disassociate_approval_rule_template_from_repository(approvalRuleTemplateName="t", repositoryName="shop")
codecommit.delete_approval_rule_template(approvalRuleTemplateName="t")
came = [hook.event("/all") for _ in range(4)]
short = "approvalRuleTemplate"
assert {one["detail"]["event"] for one in came} == {short + end for end in ["Created", "AssociatedWithRepository", "DisassociatedFromRepository", "Deleted"]}, came

# ---------------------------------------------------------------- inputs, requests, signatures
connection = events.create_connection(Name="signed", AuthorizationType="API_KEY", AuthParameters={
    "ApiKeyAuthParameters": {"ApiKeyName": "webhook-signature", "ApiKeyValue": "first"},
    "InvocationHttpParameters": {"HeaderParameters": [{"Key": "x-team", "Value": "a", "IsValueSecret": False}]},
})
assert connection["ConnectionState"] == "AUTHORIZED"
shown = events.describe_connection(Name="signed")
assert shown["AuthParameters"]["ApiKeyAuthParameters"] == {"ApiKeyName": "webhook-signature"}, shown
assert [one["Name"] for one in events.list_connections()["Connections"]] == ["signed"]
api = events.create_api_destination(Name="api", ConnectionArn=connection["ConnectionArn"], InvocationEndpoint=hook.url + "/api/*", HttpMethod="PUT")
assert events.describe_api_destination(Name="api")["InvocationEndpoint"] == hook.url + "/api/*"
assert events.list_api_destinations()["ApiDestinations"][0]["ApiDestinationArn"] == api["ApiDestinationArn"]
for bad in ["file:///etc/passwd", "https://*.example.com/", "https://example.com:*/x"]:
    refused("ValidationException", events.update_api_destination, Name="api", InvocationEndpoint=bad)
events.update_api_destination(Name="api", InvocationRateLimitPerSecond=10)
events.put_targets(Rule="big", EventBusName="orders", Targets=[
    {"Id": "api", "Arn": api["ApiDestinationArn"], "InputPath": "$.detail",
     "HttpParameters": {"PathParameterValues": ["a b"], "QueryStringParameters": {"q": "1&2"}, "HeaderParameters": {"x-h": "h"}}},
    {"Id": "words", "Arn": hook.url + "/words", "InputTransformer": {"InputPathsMap": {"n": "$.detail.n", "who": "$.detail.who"}, "InputTemplate": '{"text": "<who> has <n>", "rule": <aws.events.rule-name>}'}},
    {"Id": "constant", "Arn": hook.url + "/constant", "Input": '{"a": 1}', "RetryPolicy": {"MaximumRetryAttempts": 3, "MaximumEventAgeInSeconds": 60}},
])
listed = events.list_targets_by_rule(Rule="big", EventBusName="orders")["Targets"]
assert [one["Id"] for one in listed] == ["api", "constant", "words"], listed
assert listed[0]["HttpParameters"]["QueryStringParameters"] == {"q": "1&2"} and listed[1]["RetryPolicy"]["MaximumRetryAttempts"] == 3, listed
assert listed[2]["InputTransformer"]["InputPathsMap"] == {"n": "$.detail.n", "who": "$.detail.who"}, listed


def put_event(n, who="ann", bus="orders", source="shop", **more):
    return events.put_events(Entries=[{"Source": source, "DetailType": "order", "Detail": json.dumps({"n": n, "who": who}), "EventBusName": bus, **more}])


answer = events.put_events(Entries=[
    {"Source": "shop", "DetailType": "order", "Detail": '{"n": 5}', "EventBusName": "orders"},
    {"Source": "aws.codecommit", "DetailType": "order", "Detail": "{}", "EventBusName": "orders"},
    {"Source": "shop", "DetailType": "order", "Detail": "[]", "EventBusName": "orders"},
    {"Source": "shop", "DetailType": "order", "Detail": "{}", "EventBusName": "nowhere"},
    {"Source": "shop", "Detail": "{}"},
])
codes = [entry.get("ErrorCode") for entry in answer["Entries"]]
assert codes == [None, "NotAuthorizedForSourceException", "MalformedDetail", "ResourceNotFoundException", "InvalidArgument"], answer
assert answer["FailedEntryCount"] == 4
refused("ValidationException", events.put_events, Entries=[{"Source": "s", "DetailType": "d", "Detail": "{}"}] * 11)
assert put_event(11, 'ann", "admin": "')["FailedEntryCount"] == 0


def signature(headers, body, secret):
    signed = ".".join([headers["webhook-id"], headers["webhook-timestamp"], body])
    return "v1," + base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()


headers, body = hook.next("/api/a%20b?q=1%262")
assert json.loads(body) == {"n": 11, "who": 'ann", "admin": "'}, body
assert headers["webhook-signature"] == signature(headers, body, "first") and headers["x-team"] == "a" and headers["x-h"] == "h", headers
assert "first" not in json.dumps(headers)
assert hook.event("/words") == {"text": 'ann", "admin": " has 11', "rule": "big"}
assert hook.event("/constant") == {"a": 1}
# A secret that is replaced goes on signing for a day, so that receivers change over when they like.
events.update_connection(Name="signed", AuthorizationType="API_KEY", AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "webhook-signature", "ApiKeyValue": "second"}})
put_event(12)
headers, body = hook.next("/api/a%20b?q=1%262")
assert headers["webhook-signature"] == signature(headers, body, "second") + " " + signature(headers, body, "first"), headers
refused("IllegalStatusException", events.delete_connection, Name="signed")
for path in ["/words", "/constant"]:
    hook.next(path)

# ---------------------------------------------------------------- queues, brokers, commands; what cannot be delivered
sqs = boto3.client("sqs", endpoint_url=sqs_url, region_name=region, aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="secret")
# The stand-in has one account of its own; the queue is where the server looks.
jobs, dead = [sqs.create_queue(QueueName=name)["QueueUrl"] for name in ["jobs", "dead"]]


def taken(url):
    deadline = time.time() + 60
    while time.time() < deadline:
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=1, MessageAttributeNames=["All"]).get("Messages", []):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            return message
    raise AssertionError(f"nothing came to {url}")


async def stream():
    connection = await nats.connect(nats_url)
    await connection.jetstream().add_stream(name="events", subjects=["lockgate.events"])
    await connection.close()


async def from_stream():
    connection = await nats.connect(nats_url)
    subscription = await connection.jetstream().pull_subscribe("lockgate.events", durable="test")
    [message] = await subscription.fetch(1, timeout=60)
    await message.ack()
    await connection.close()
    return message


asyncio.run(stream())
target = lambda what, name: f"arn:aws:lockgate:{region}:{account}:{what}/{name}"
events.put_rule(Name="brokers", EventBusName="orders", EventPattern='{"detail": {"n": [1]}}')
put = events.put_targets(Rule="brokers", EventBusName="orders", Targets=[
    {"Id": "queue", "Arn": f"arn:aws:sqs:{region}:{account}:jobs"},
    {"Id": "nats", "Arn": target("nats", "main")},
    {"Id": "command", "Arn": target("command", "note"), "InputPath": "$.detail"},
])
assert put["FailedEntryCount"] == 0, put
unknown = events.put_targets(Rule="brokers", EventBusName="orders", Targets=[{"Id": "x", "Arn": target("command", "sh")}, {"Id": "y", "Arn": target("nats", "no")}])
assert unknown["FailedEntryCount"] == 2, unknown
put_event(1)
assert json.loads(taken(jobs)["Body"])["detail"]["n"] == 1
message = asyncio.run(from_stream())
assert json.loads(message.data)["detail"]["n"] == 1 and message.headers["Lockgate-Event"] == "order", message
note = os.path.join(folder, "noted")
deadline = time.time() + 60
while not os.path.exists(note) or not open(note).read():
    assert time.time() < deadline
    time.sleep(0.02)
assert json.loads(open(note).read()) == {"n": 1, "who": "ann"}

hook.fails.add("/down")
events.put_rule(Name="lost", EventBusName="orders", EventPattern='{"detail": {"n": [2]}}')
events.put_targets(Rule="lost", EventBusName="orders", Targets=[{
    "Id": "down", "Arn": hook.url + "/down", "RetryPolicy": {"MaximumRetryAttempts": 1, "MaximumEventAgeInSeconds": 60},
    "DeadLetterConfig": {"Arn": f"arn:aws:sqs:{region}:{account}:dead"},
}])
put_event(2)
ids = {hook.next("/down")[0]["webhook-id"] for _ in range(2)}
assert len(ids) == 1
message = taken(dead)
assert json.loads(message["Body"])["detail"]["n"] == 2
assert message["MessageAttributes"]["RETRY_ATTEMPTS"]["StringValue"] == "1", message
assert message["MessageAttributes"]["RULE_ARN"]["StringValue"] == f"{arn}:rule/orders/lost", message
# The log says so, and tells once more.
found = [one for one in lockgate_call("ListDeliveries")["deliveries"] if one["destination"].endswith("/down")]
assert [(one["state"], one["attempts"], one["lastError"].endswith("answers 500")) for one in found] == [("FAILED", 2, True)], found
hook.fails.clear()
lockgate_call("Redeliver", deliveryId=found[0]["deliveryId"])
assert hook.next("/down")[0]["webhook-id"] in ids
deadline = time.time() + 60
while lockgate_call("GetDelivery", deliveryId=found[0]["deliveryId"])["delivery"]["state"] != "DELIVERED":
    assert time.time() < deadline
    time.sleep(0.02)
got = lockgate_call("GetDelivery", deliveryId=found[0]["deliveryId"])
assert [("error" in one) for one in got["attempts"]] == [True, True, False] and json.loads(got["body"])["detail"]["n"] == 2, got

# ---------------------------------------------------------------- archives and replays
started = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(minutes=1)
archive = events.create_archive(ArchiveName="kept", EventSourceArn=f"{arn}:event-bus/orders", EventPattern='{"detail": {"n": [{"numeric": [">", 99]}]}}', RetentionDays=3)
refused("ResourceAlreadyExistsException", events.create_archive, ArchiveName="kept", EventSourceArn=f"{arn}:event-bus/orders")
events.update_archive(ArchiveName="kept", Description="of orders")
events.put_rule(Name="again", EventBusName="orders", EventPattern='{"detail": {"n": [{"numeric": [">", 99]}]}}')
events.put_targets(Rule="again", EventBusName="orders", Targets=[{"Id": "hook", "Arn": hook.url + "/again"}])
events.disable_rule(Name="big", EventBusName="orders")
for n in [100, 7, 101, 102]:
    put_event(n)
once = [hook.event("/again") for _ in range(3)]
assert [one["detail"]["n"] for one in once] == [100, 101, 102], once
described = events.describe_archive(ArchiveName="kept")
assert (described["EventCount"], described["RetentionDays"], described["Description"]) == (3, 3, "of orders"), described
assert [one["ArchiveName"] for one in events.list_archives()["Archives"]] == ["kept"]
until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(minutes=1)
times = dict(EventStartTime=started, EventEndTime=until, Destination={"Arn": f"{arn}:event-bus/orders"})
refused("ValidationException", events.start_replay, ReplayName="r", EventSourceArn=f"{arn}:archive/kept", **{**times, "EventEndTime": started})
events.start_replay(ReplayName="r", EventSourceArn=f"{arn}:archive/kept", **times)
again = [hook.event("/again") for _ in range(3)]
assert [one.pop("replay-name") for one in again] == ["r"] * 3 and again == once, again
deadline = time.time() + 60
while events.describe_replay(ReplayName="r")["State"] != "COMPLETED":
    assert time.time() < deadline
    time.sleep(0.02)
refused("IllegalStatusException", events.cancel_replay, ReplayName="r")
assert events.list_replays(State="COMPLETED")["Replays"][0]["ReplayName"] == "r"
events.delete_archive(ArchiveName="kept")
refused("ResourceNotFoundException", events.describe_archive, ArchiveName="kept")

# ---------------------------------------------------------------- from bus to bus
events.put_rule(Name="on", EventBusName="orders", EventPattern='{"detail": {"n": [3]}}')
events.put_targets(Rule="on", EventBusName="orders", Targets=[{"Id": "bus", "Arn": f"{arn}:event-bus/default"}])
events.put_rule(Name="from-orders", EventPattern='{"source": ["shop"]}')
events.put_targets(Rule="from-orders", Targets=[{"Id": "hook", "Arn": hook.url + "/handed"}])
put_event(3)
assert hook.event("/handed")["detail"]["n"] == 3
# A bus of another account takes nothing that its account's trust policies do not let through.
refused_there = events.put_events(Entries=[{"Source": "shop", "DetailType": "d", "Detail": "{}", "EventBusName": f"arn:aws:events:{region}:222222222222:event-bus/default"}])
assert refused_there["Entries"][0]["ErrorCode"] == "AccessDenied", refused_there

# ---------------------------------------------------------------- who hears (K2)
# Eve sets up a rule for everything; of a repository that she may not know of she hears nothing, also what happened while she could.
refused("AccessDeniedException", other.put_rule, Name="refused", EventPattern=everything)
other.put_rule(Name="eves", EventPattern='{"source": ["aws.codecommit"]}')
other.put_targets(Rule="eves", Targets=[{"Id": "hook", "Arn": hook.url + "/eve"}])
codecommit.create_repository(repositoryName="vault")
codecommit.put_file(repositoryName="vault", branchName="main", fileContent=b"1\n", filePath="a")
codecommit.create_branch(repositoryName="shop", branchName="other", commitId=second)
assert hook.event("/eve")["detail"]["repositoryName"] == "shop"
deadline = time.time() + 60
while True:
    log = lockgate_call("ListDeliveries")["deliveries"]
    vault = [one for one in log if one["destination"].endswith("/eve") and one["state"] == "FAILED"]
    if vault:
        break
    assert time.time() < deadline, log
    time.sleep(0.02)
assert "may not know of the repository" in vault[0]["lastError"], vault
assert hook.of("/eve").empty()

# ---------------------------------------------------------------- by the clock
refused("ValidationException", events.put_rule, Name="clock", EventBusName="orders", ScheduleExpression="rate(1 minute)")
events.put_rule(Name="clock", ScheduleExpression="cron(0 12 * * ? *)")
assert events.describe_rule(Name="clock")["ScheduleExpression"] == "cron(0 12 * * ? *)"

# ---------------------------------------------------------------- taken away
refused("ValidationException", events.delete_event_bus, Name="default")
refused("IllegalStatusException", events.delete_event_bus, Name="orders")
for bus, names in [("orders", ["again", "big", "brokers", "lost", "on"]), ("default", ["all", "clock", "eves", "from-orders"])]:
    for name in names:
        ids = [one["Id"] for one in events.list_targets_by_rule(Rule=name, EventBusName=bus)["Targets"]]
        if ids:
            removed = events.remove_targets(Rule=name, EventBusName=bus, Ids=ids + ["none"])
            assert [one["TargetId"] for one in removed["FailedEntries"]] == ["none"], removed
        events.delete_rule(Name=name, EventBusName=bus)
events.delete_rule(Name="all")
events.delete_event_bus(Name="orders")
events.delete_event_bus(Name="orders")
events.deauthorize_connection(Name="signed")
assert events.describe_connection(Name="signed")["ConnectionState"] == "DEAUTHORIZED"
events.delete_api_destination(Name="api")
events.delete_connection(Name="signed")
refused("ResourceNotFoundException", events.describe_api_destination, Name="api")

print("\n".join(sorted(called)))

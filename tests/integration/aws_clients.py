"""Drives each operation of STS and IAM through boto3, and looks for its effect through another one.

Prints the operations that were called, one a line, for the test that runs this.
"""

import base64, csv, hashlib, hmac, io, json, struct, sys, time

import boto3, botocore.exceptions
from botocore.config import Config

endpoint, ca, account, key, secret = sys.argv[1:6]
called = set()


def session(key, secret, token=None):
    made = boto3.session.Session(key, secret, token, region_name="us-east-1")
    # The operations' own names, as they go over the wire.
    made.events.register("before-call", lambda model, **_: called.add(f"{model.service_model.service_name}:{model.name}"))
    config = Config(retries={"max_attempts": 0})
    return lambda service: made.client(service, endpoint_url=endpoint, verify=ca, config=config)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        assert error.response["ResponseMetadata"]["RequestId"], error
        return str(error)
    raise AssertionError(f"{call} was not refused")


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action, resource="*"):
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def trust(arn):
    return {"Effect": "Allow", "Principal": {"AWS": arn}, "Action": "sts:AssumeRole"}


admin = session(key, secret)
iam, sts = admin("iam"), admin("sts")

# Who
assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{account}:user/admin"
assert sts.get_access_key_info(AccessKeyId=key)["Account"] == account
refused("ValidationError", sts.get_access_key_info, AccessKeyId="AKIAIOSFODNN7EXAMPLE")
refused("InvalidClientTokenId", session("AKIAIOSFODNN7EXAMPLE", secret)("sts").get_caller_identity)
refused("SignatureDoesNotMatch", session(key, "x" * 40)("sts").get_caller_identity)
refused("InvalidClientTokenId", session(key, secret, "token")("sts").get_caller_identity)
refused(
    "InvalidIdentityToken", sts.assume_role_with_web_identity,
    RoleArn=f"arn:aws:iam::{account}:role/r", RoleSessionName="s1", WebIdentityToken="a.b.c.d",
)
refused("UnknownOperationException", admin("kms").list_keys)
refused("InvalidAction", iam.list_server_certificates)

# Users
alice = iam.create_user(UserName="alice", Tags=[{"Key": "team", "Value": "a"}])["User"]
assert alice["Arn"] == f"arn:aws:iam::{account}:user/alice"
refused("EntityAlreadyExists", iam.create_user, UserName="Alice")
refused("ValidationError", iam.create_user, UserName="bob", Path="/a/")
assert iam.get_user(UserName="alice")["User"]["UserId"] == alice["UserId"]
assert iam.get_user()["User"]["UserName"] == "admin"
refused("NoSuchEntity", iam.get_user, UserName="nobody")
iam.tag_user(UserName="alice", Tags=[{"Key": "b", "Value": "<&>"}])
iam.untag_user(UserName="alice", TagKeys=["team"])
assert iam.list_user_tags(UserName="alice")["Tags"] == [{"Key": "b", "Value": "<&>"}]
iam.create_user(UserName="bob")
pages = list(iam.get_paginator("list_users").paginate(PaginationConfig={"PageSize": 1}))
assert [user["UserName"] for page in pages for user in page["Users"]] == ["admin", "alice", "bob"], pages

# Groups
iam.create_group(GroupName="readers")
iam.add_user_to_group(GroupName="readers", UserName="alice")
assert [user["UserName"] for user in iam.get_group(GroupName="readers")["Users"]] == ["alice"]
assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="alice")["Groups"]] == ["readers"]
assert "readers" in [group["GroupName"] for group in iam.list_groups()["Groups"]]
refused("DeleteConflict", iam.delete_group, GroupName="readers")

# Access keys: what they open changes with their status
made = iam.create_access_key(UserName="alice")["AccessKey"]
alices = session(made["AccessKeyId"], made["SecretAccessKey"])
assert alices("sts").get_caller_identity()["UserId"] == alice["UserId"]
last = iam.get_access_key_last_used(AccessKeyId=made["AccessKeyId"])
assert last["UserName"] == "alice" and last["AccessKeyLastUsed"]["ServiceName"] == "sts", last
iam.update_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"], Status="Inactive")
refused("InvalidClientTokenId", alices("sts").get_caller_identity)
iam.update_access_key(UserName="alice", AccessKeyId=made["AccessKeyId"], Status="Active")
assert [k["Status"] for k in iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]] == ["Active"]
iam.create_access_key(UserName="alice")
refused("LimitExceeded", iam.create_access_key, UserName="alice")
for k in iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]:
    if k["AccessKeyId"] != made["AccessKeyId"]:
        iam.delete_access_key(UserName="alice", AccessKeyId=k["AccessKeyId"])
assert len(iam.list_access_keys(UserName="alice")["AccessKeyMetadata"]) == 1

# Policies of its own: kept as given, and in force at once
text = refused("AccessDenied", alices("iam").list_groups)
assert f"arn:aws:iam::{account}:user/alice is not authorized to perform: iam:ListGroups" in text, text
given = document(allow("iam:ListGroups")) + "  "
iam.put_user_policy(UserName="alice", PolicyName="lists", PolicyDocument=given)
assert iam.list_user_policies(UserName="alice")["PolicyNames"] == ["lists"]
assert iam.get_user_policy(UserName="alice", PolicyName="lists")["PolicyDocument"] == json.loads(given)
assert alices("iam").list_groups()["Groups"]
refused("MalformedPolicyDocument", iam.put_user_policy, UserName="alice", PolicyName="x", PolicyDocument="{}")
decision = refused("AccessDenied", alices("iam").list_users).split("(decision ")[1].rstrip(")")
decoded = sts.decode_authorization_message(EncodedMessage=decision)["DecodedMessage"]
assert json.loads(decoded)["action"] == "iam:ListUsers", decoded
refused("AccessDenied", alices("sts").decode_authorization_message, EncodedMessage=decision)
iam.delete_user_policy(UserName="alice", PolicyName="lists")
refused("AccessDenied", alices("iam").list_groups)
for kind, whom in (("group", {"GroupName": "readers"}), ("role", {"RoleName": "deployer"})):
    if kind == "role":
        iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=document(trust(alice["Arn"])), Description="deploys")
    getattr(iam, f"put_{kind}_policy")(PolicyName="p", PolicyDocument=document(allow("iam:ListUsers")), **whom)
    assert getattr(iam, f"list_{kind}_policies")(**whom)["PolicyNames"] == ["p"]
    assert getattr(iam, f"get_{kind}_policy")(PolicyName="p", **whom)["PolicyDocument"]["Statement"]
    if kind == "group":
        assert alices("iam").list_users()["Users"]
    getattr(iam, f"delete_{kind}_policy")(PolicyName="p", **whom)
    assert getattr(iam, f"list_{kind}_policies")(**whom)["PolicyNames"] == []

# Managed policies
policy = iam.create_policy(PolicyName="listing", PolicyDocument=document(allow("iam:ListUsers")), Description="d")["Policy"]
arn = policy["Arn"]
assert policy["DefaultVersionId"] == "v1" and iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == 0
for kind, whom in (("user", {"UserName": "alice"}), ("group", {"GroupName": "readers"}), ("role", {"RoleName": "deployer"})):
    getattr(iam, f"attach_{kind}_policy")(PolicyArn=arn, **whom)
    held = getattr(iam, f"list_attached_{kind}_policies")(**whom)["AttachedPolicies"]
    assert held == [{"PolicyName": "listing", "PolicyArn": arn}], held
entities = iam.list_entities_for_policy(PolicyArn=arn)
assert [role["RoleName"] for role in entities["PolicyRoles"]] == ["deployer"], entities
assert alices("iam").list_users()["Users"]
second = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(allow("iam:ListRoles")), SetAsDefault=True)
assert second["PolicyVersion"]["VersionId"] == "v2"
refused("AccessDenied", alices("iam").list_users)
assert alices("iam").list_roles()["Roles"]
assert [v["VersionId"] for v in iam.list_policy_versions(PolicyArn=arn)["Versions"]] == ["v1", "v2"]
iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
assert iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["IsDefaultVersion"]
iam.delete_policy_version(PolicyArn=arn, VersionId="v2")
refused("DeleteConflict", iam.delete_policy, PolicyArn=arn)
assert [p["PolicyName"] for p in iam.list_policies(Scope="Local", OnlyAttached=True)["Policies"]] == ["listing"]
iam.detach_user_policy(PolicyArn=arn, UserName="alice")
iam.detach_role_policy(PolicyArn=arn, RoleName="deployer")
iam.tag_policy(PolicyArn=arn, Tags=[{"Key": k, "Value": "1"} for k in "abc"])
iam.tag_policy(PolicyArn=arn, Tags=[{"Key": "c", "Value": "2"}])
iam.untag_policy(PolicyArn=arn, TagKeys=["b"])
assert iam.get_policy(PolicyArn=arn)["Policy"]["Tags"] == iam.list_policy_tags(PolicyArn=arn)["Tags"]
pages = list(iam.get_paginator("list_policy_tags").paginate(PolicyArn=arn, PaginationConfig={"PageSize": 1}))
assert [page["Tags"] for page in pages] == [[{"Key": "a", "Value": "1"}], [{"Key": "c", "Value": "2"}]], pages
refused("NoSuchEntity", iam.tag_policy, PolicyArn=arn + "x", Tags=[{"Key": "a", "Value": "1"}])
refused("LimitExceeded", iam.tag_policy, PolicyArn=arn, Tags=[{"Key": f"k{n}", "Value": ""} for n in range(49)])

# Roles
role_arn = f"arn:aws:iam::{account}:role/deployer"
assume = alices("sts").assume_role
refused("AccessDenied", assume, RoleArn=role_arn, RoleSessionName="s1")
iam.put_user_policy(UserName="alice", PolicyName="assume", PolicyDocument=document(allow("sts:AssumeRole")))
taken = assume(RoleArn=role_arn, RoleSessionName="s1", Tags=[{"Key": "t", "Value": "v"}], SourceIdentity="alice")
assert taken["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{account}:assumed-role/deployer/s1"
assert taken["SourceIdentity"] == "alice"
role_of = lambda c: session(c["AccessKeyId"], c["SecretAccessKey"], c["SessionToken"])
as_role = role_of(taken["Credentials"])
assert as_role("sts").get_caller_identity()["Arn"] == taken["AssumedRoleUser"]["Arn"]
refused("InvalidClientTokenId", session(taken["Credentials"]["AccessKeyId"], taken["Credentials"]["SecretAccessKey"])("sts").get_caller_identity)
refused("AccessDenied", as_role("iam").list_users)
iam.put_role_policy(RoleName="deployer", PolicyName="p", PolicyDocument=document(allow(["iam:ListUsers", "iam:ListRoles"])))
assert as_role("iam").list_users()["Users"] and as_role("iam").list_roles()["Roles"]
narrow = assume(RoleArn=role_arn, RoleSessionName="s2", Policy=document(allow(["iam:ListRoles", "iam:ListGroups"])))
narrow = role_of(narrow["Credentials"])("iam")
assert narrow.list_roles()["Roles"]
refused("AccessDenied", narrow.list_users)
refused("AccessDenied", narrow.list_groups)
refused("MalformedPolicyDocument", assume, RoleArn=role_arn, RoleSessionName="s3", Policy="{}")
refused("ValidationError", assume, RoleArn=role_arn, RoleSessionName="s3", DurationSeconds=7200)
refused("AccessDenied", as_role("sts").get_session_token)
iam.update_role(RoleName="deployer", MaxSessionDuration=7200, Description="new")
assert iam.get_role(RoleName="deployer")["Role"]["Description"] == "new"
assume(RoleArn=role_arn, RoleSessionName="s3", DurationSeconds=7200)
assert iam.update_role_description(RoleName="deployer", Description="newer")["Role"]["Description"] == "newer"
iam.tag_role(RoleName="deployer", Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
iam.untag_role(RoleName="deployer", TagKeys=["a"])
assert iam.list_role_tags(RoleName="deployer")["Tags"] == [{"Key": "b", "Value": "2"}]
with_id = trust(alice["Arn"]) | {"Condition": {"StringEquals": {"sts:ExternalId": "x-1"}}}
iam.update_assume_role_policy(RoleName="deployer", PolicyDocument=document(with_id))
refused("AccessDenied", assume, RoleArn=role_arn, RoleSessionName="s4")
assume(RoleArn=role_arn, RoleSessionName="s4", ExternalId="x-1")
assert iam.list_instance_profiles_for_role(RoleName="deployer")["InstanceProfiles"] == []
refused("DeleteConflict", iam.delete_role, RoleName="deployer")
iam.delete_role_policy(RoleName="deployer", PolicyName="p")

# One-time codes
device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
seed = base64.b32decode(device["Base32StringSeed"])


def code(step):
    digest = hmac.new(seed, struct.pack(">q", step), hashlib.sha1).digest()
    return f"{(struct.unpack_from('>I', digest, digest[19] & 15)[0] & 0x7FFFFFFF) % 1000000:06}"


serial = device["SerialNumber"]
now = int(time.time()) // 30
refused("InvalidAuthenticationCode", iam.enable_mfa_device, UserName="alice", SerialNumber=serial, AuthenticationCode1="000000", AuthenticationCode2="000000")
iam.enable_mfa_device(UserName="alice", SerialNumber=serial, AuthenticationCode1=code(now - 1), AuthenticationCode2=code(now))
assert [d["SerialNumber"] for d in iam.list_mfa_devices(UserName="alice")["MFADevices"]] == [serial]
assert iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"][0]["User"]["UserName"] == "alice"
with_mfa = trust(alice["Arn"]) | {"Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}}}
iam.update_assume_role_policy(RoleName="deployer", PolicyDocument=document(with_mfa))
refused("AccessDenied", assume, RoleArn=role_arn, RoleSessionName="s5")
refused("AccessDenied", assume, RoleArn=role_arn, RoleSessionName="s5", SerialNumber=serial, TokenCode="000000")
assume(RoleArn=role_arn, RoleSessionName="s5", SerialNumber=serial, TokenCode=code(now))
refused("AccessDenied", assume, RoleArn=role_arn, RoleSessionName="s5", SerialNumber=serial, TokenCode=code(now))
own = alices("sts").get_session_token(SerialNumber=serial, TokenCode=code(now + 1))["Credentials"]
role_of(own)("sts").assume_role(RoleArn=role_arn, RoleSessionName="s6")
# A clock that is off: neither its codes count, nor those from before one that was taken; then it is found again.
ahead = now + 40
of_phone = {"UserName": "alice", "SerialNumber": serial}
token = alices("sts").get_session_token
refused("AccessDenied", token, SerialNumber=serial, TokenCode=code(ahead + 2))
resync = iam.resync_mfa_device
refused("InvalidAuthenticationCode", resync, AuthenticationCode1=code(ahead + 1), AuthenticationCode2=code(ahead), **of_phone)
refused("InvalidAuthenticationCode", resync, AuthenticationCode1=code(now - 3), AuthenticationCode2=code(now - 2), **of_phone)
refused("NoSuchEntity", resync, AuthenticationCode1=code(ahead), AuthenticationCode2=code(ahead + 1), UserName="bob", SerialNumber=serial)
resync(AuthenticationCode1=code(ahead), AuthenticationCode2=code(ahead + 1), **of_phone)
refused("AccessDenied", token, SerialNumber=serial, TokenCode=code(ahead + 1))
token(SerialNumber=serial, TokenCode=code(ahead + 2))
refused("DeleteConflict", iam.delete_virtual_mfa_device, SerialNumber=serial)
iam.deactivate_mfa_device(UserName="alice", SerialNumber=serial)
iam.delete_virtual_mfa_device(SerialNumber=serial)
iam.delete_role(RoleName="deployer")
refused("InvalidClientTokenId", as_role("sts").get_caller_identity)

# Credentials for Git
git = "codecommit.amazonaws.com"
cred = iam.create_service_specific_credential(UserName="bob", ServiceName=git)["ServiceSpecificCredential"]
number = cred["ServiceSpecificCredentialId"]
iam.update_service_specific_credential(UserName="bob", ServiceSpecificCredentialId=number, Status="Inactive")
assert iam.list_service_specific_credentials(UserName="bob")["ServiceSpecificCredentials"][0]["Status"] == "Inactive"
again = iam.reset_service_specific_credential(UserName="bob", ServiceSpecificCredentialId=number)["ServiceSpecificCredential"]
assert again["ServicePassword"] != cred["ServicePassword"]
refused("DeleteConflict", iam.delete_user, UserName="bob")
iam.delete_service_specific_credential(UserName="bob", ServiceSpecificCredentialId=number)
body = "ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(range(32))).decode()
public = iam.upload_ssh_public_key(UserName="bob", SSHPublicKeyBody=body)["SSHPublicKey"]
refused("DuplicateSSHPublicKey", iam.upload_ssh_public_key, UserName="alice", SSHPublicKeyBody=body)
iam.update_ssh_public_key(UserName="bob", SSHPublicKeyId=public["SSHPublicKeyId"], Status="Inactive")
got = iam.get_ssh_public_key(UserName="bob", SSHPublicKeyId=public["SSHPublicKeyId"], Encoding="SSH")["SSHPublicKey"]
assert got["Status"] == "Inactive" and got["SSHPublicKeyBody"] == body, got
assert len(iam.list_ssh_public_keys(UserName="bob")["SSHPublicKeys"]) == 1
iam.delete_ssh_public_key(UserName="bob", SSHPublicKeyId=public["SSHPublicKeyId"])

# Identity providers
provider = iam.create_open_id_connect_provider(Url="https://issuer.example.com/a", ClientIDList=["one"])["OpenIDConnectProviderArn"]
assert provider == f"arn:aws:iam::{account}:oidc-provider/issuer.example.com/a"
assert iam.get_open_id_connect_provider(OpenIDConnectProviderArn=provider)["ClientIDList"] == ["one"]
assert [p["Arn"] for p in iam.list_open_id_connect_providers()["OpenIDConnectProviderList"]] == [provider]
refused("InvalidInput", iam.create_open_id_connect_provider, Url="https://issuer.example.com/a?b=c")
of_provider = {"OpenIDConnectProviderArn": provider}
of_none = {"OpenIDConnectProviderArn": provider + "b"}
for _ in range(2):
    iam.add_client_id_to_open_id_connect_provider(ClientID="two", **of_provider)
assert sorted(iam.get_open_id_connect_provider(**of_provider)["ClientIDList"]) == ["one", "two"]
for _ in range(2):
    iam.remove_client_id_from_open_id_connect_provider(ClientID="one", **of_provider)
assert iam.get_open_id_connect_provider(**of_provider)["ClientIDList"] == ["two"]
refused("NoSuchEntity", iam.add_client_id_to_open_id_connect_provider, ClientID="two", **of_none)
refused("NoSuchEntity", iam.remove_client_id_from_open_id_connect_provider, ClientID="two", **of_none)
refused("ValidationError", iam.add_client_id_to_open_id_connect_provider, ClientID="x" * 256, **of_provider)
for number in range(99):
    iam.add_client_id_to_open_id_connect_provider(ClientID=f"client-{number}", **of_provider)
refused("LimitExceeded", iam.add_client_id_to_open_id_connect_provider, ClientID="one too many", **of_provider)
prints = ["ab" * 20, "01" * 20]
iam.update_open_id_connect_provider_thumbprint(ThumbprintList=prints, **of_provider)
assert iam.get_open_id_connect_provider(**of_provider)["ThumbprintList"] == prints
refused("ValidationError", iam.update_open_id_connect_provider_thumbprint, ThumbprintList=["xy" * 20], **of_provider)
refused("NoSuchEntity", iam.update_open_id_connect_provider_thumbprint, ThumbprintList=prints, **of_none)
iam.tag_open_id_connect_provider(Tags=[{"Key": k, "Value": "1"} for k in "abc"], **of_provider)
iam.untag_open_id_connect_provider(TagKeys=["b", "none"], **of_provider)
first = iam.list_open_id_connect_provider_tags(MaxItems=1, **of_provider)
assert first["Tags"] == [{"Key": "a", "Value": "1"}] and first["IsTruncated"], first
rest = iam.list_open_id_connect_provider_tags(Marker=first["Marker"], **of_provider)
assert rest["Tags"] == [{"Key": "c", "Value": "1"}] and not rest["IsTruncated"], rest
refused("NoSuchEntity", iam.tag_open_id_connect_provider, Tags=[{"Key": "a", "Value": "1"}], **of_none)
refused("InvalidInput", iam.tag_open_id_connect_provider, Tags=[{"Key": "aws:a", "Value": "1"}], **of_provider)
# Tags of a provider count for policies.
tagged = allow("iam:GetOpenIDConnectProvider") | {"Condition": {"StringEquals": {"aws:ResourceTag/c": "1"}}}
iam.put_user_policy(UserName="alice", PolicyName="tagged", PolicyDocument=document(tagged))
assert alices("iam").get_open_id_connect_provider(**of_provider)["Url"]
iam.untag_open_id_connect_provider(TagKeys=["c"], **of_provider)
refused("AccessDenied", alices("iam").get_open_id_connect_provider, **of_provider)
iam.delete_user_policy(UserName="alice", PolicyName="tagged")
iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
refused("NoSuchEntity", iam.get_open_id_connect_provider, OpenIDConnectProviderArn=provider)

# What somebody may do, and who holds what
def simulated(source, actions, **more):
    answer = iam.simulate_principal_policy(PolicySourceArn=source, ActionNames=actions, **more)
    return [found["EvalDecision"] for found in answer["EvaluationResults"]]


def context(name, value):
    return {"ContextKeyName": name, "ContextKeyValues": [value], "ContextKeyType": "string"}


someone = f"arn:aws:iam::{account}:user/alice"
shop = f"arn:aws:codecommit:us-east-1:{account}:shop"
main = context("codecommit:References", "refs/heads/main")
assert simulated(someone, ["codecommit:GitPush"], ResourceArns=[shop], ContextEntries=[main]) == ["implicitDeny"]
allowing = [document(allow("codecommit:GitPush"))]
assert simulated(
    someone, ["codecommit:GitPush", "iam:CreateUser"], ResourceArns=["*"], ContextEntries=[main], PolicyInputList=allowing
) == ["allowed", "implicitDeny"]
denying = allowing + [document({"Effect": "Deny", "Action": "codecommit:*", "Resource": shop})]
answer = iam.simulate_principal_policy(
    PolicySourceArn=someone, ActionNames=["codecommit:GitPush"], ResourceArns=[shop], PolicyInputList=denying
)["EvaluationResults"][0]
assert answer["EvalDecision"] == "explicitDeny" and answer["MissingContextValues"] == ["codecommit:References"], answer
assert answer["MatchedStatements"][0]["SourcePolicyId"].endswith("simulated/2#statement-1"), answer
administrator = [f"arn:aws:iam::{account}:{kind}" for kind in ("user/admin", "group/administrators")]
for source in administrator:
    assert simulated(source, ["iam:CreateUser", "codecommit:DeleteRepository"]) == ["allowed"] * 2
pages = iam.get_paginator("simulate_principal_policy").paginate(
    PolicySourceArn=someone, ActionNames=["iam:GetUser", "iam:GetGroup", "iam:GetRole"], PaginationConfig={"PageSize": 2}
)
assert [found["EvalActionName"] for page in pages for found in page["EvaluationResults"]] == [
    "iam:GetUser", "iam:GetGroup", "iam:GetRole"
]
refused("NoSuchEntity", iam.simulate_principal_policy, PolicySourceArn=someone + "x", ActionNames=["iam:GetUser"])
refused("InvalidInput", iam.simulate_principal_policy, PolicySourceArn=someone, ActionNames=["iam:GetUsers"])
refused(
    "InvalidInput", iam.simulate_principal_policy, PolicySourceArn=someone, ActionNames=["iam:GetUser"], ResourceArns=[shop]
)
assert iam.generate_credential_report()["State"] == "COMPLETE"
report = iam.get_credential_report()
assert report["ReportFormat"] == "text/csv"
rows = {row["user"]: row for row in csv.DictReader(io.StringIO(report["Content"].decode()))}
assert rows["<root_account>"]["access_key_1_active"] == "false"
assert rows["admin"]["access_key_1_active"] == "true" and rows["admin"]["access_key_1_last_used_service"] == "iam", rows
assert rows["admin"]["access_key_2_last_rotated"] == "N/A" and rows["admin"]["arn"].endswith(":user/admin")

# The end
assert iam.get_account_summary()["SummaryMap"]["Users"] == 3
iam.detach_group_policy(PolicyArn=arn, GroupName="readers")
iam.delete_policy(PolicyArn=arn)
refused("NoSuchEntity", iam.get_policy, PolicyArn=arn)
iam.remove_user_from_group(GroupName="readers", UserName="alice")
iam.delete_group(GroupName="readers")
iam.delete_user(UserName="bob")
refused("NoSuchEntity", iam.get_user, UserName="bob")
# A name is never given again.
refused("EntityAlreadyExists", iam.create_user, UserName="bob")

# Other names: who it is and what it holds stays, what was begun under the old name is over
carol = iam.create_user(UserName="carol")["User"]
iam.create_group(GroupName="team")
iam.add_user_to_group(GroupName="team", UserName="carol")
iam.put_group_policy(GroupName="team", PolicyName="p", PolicyDocument=document(allow("iam:ListUsers")))
iam.put_user_policy(UserName="carol", PolicyName="p", PolicyDocument=document(allow("iam:ListGroups")))
made = iam.create_access_key(UserName="carol")["AccessKey"]
carols = session(made["AccessKeyId"], made["SecretAccessKey"])
begun = role_of(carols("sts").get_session_token()["Credentials"])
assert begun("sts").get_caller_identity()["Arn"] == carol["Arn"]
refused("EntityAlreadyExists", iam.update_user, UserName="carol", NewUserName="Alice")
refused("EntityAlreadyExists", iam.update_user, UserName="carol", NewUserName="bob")
refused("ValidationError", iam.update_user, UserName="carol", NewPath="/a/")
refused("NoSuchEntity", iam.update_user, UserName="nobody", NewUserName="somebody")
iam.update_user(UserName="carol", NewPath="/")
# Not while somebody's policy speaks of the name, its own included.
iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=document(trust(carol["Arn"])))
text = refused("EntityTemporarilyUnmodifiable", iam.update_user, UserName="carol", NewUserName="caroline")
assert f"{account}/role/trusting/trust#" in text, text
iam.delete_role(RoleName="trusting")
iam.put_user_policy(UserName="carol", PolicyName="own", PolicyDocument=document(allow("iam:GetUser", carol["Arn"])))
text = refused("EntityTemporarilyUnmodifiable", iam.update_user, UserName="carol", NewUserName="caroline")
assert f"{account}/user/carol" in text, text
iam.delete_user_policy(UserName="carol", PolicyName="own")
iam.update_user(UserName="carol", NewUserName="caroline")
refused("InvalidClientTokenId", begun("sts").get_caller_identity)
who = carols("sts").get_caller_identity()
assert who["UserId"] == carol["UserId"] and who["Arn"].endswith(":user/caroline"), who
assert carols("iam").list_users()["Users"] and carols("iam").list_groups()["Groups"]
assert [user["UserName"] for user in iam.get_group(GroupName="team")["Users"]] == ["caroline"]
refused("NoSuchEntity", iam.get_user, UserName="carol")
refused("EntityAlreadyExists", iam.create_user, UserName="carol")
refused("EntityAlreadyExists", iam.update_user, UserName="caroline", NewUserName="Carol")
refused("EntityTemporarilyUnmodifiable", iam.update_group, GroupName="administrators", NewGroupName="roots")
refused("EntityAlreadyExists", iam.update_group, GroupName="team", NewGroupName="readers")
refused("NoSuchEntity", iam.update_group, GroupName="nobody", NewGroupName="somebody")
iam.update_group(GroupName="team", NewGroupName="crew")
assert [group["GroupName"] for group in iam.list_groups_for_user(UserName="caroline")["Groups"]] == ["crew"]
assert carols("iam").list_users()["Users"]
refused("EntityAlreadyExists", iam.create_group, GroupName="team")
# Who may rename some may not give them any name.
renames = document(allow("iam:UpdateUser", f"arn:aws:iam::{account}:user/dev-*"))
iam.put_user_policy(UserName="caroline", PolicyName="p", PolicyDocument=renames)
iam.create_user(UserName="dev-a")
carols("iam").update_user(UserName="dev-a", NewUserName="dev-b")
refused("AccessDenied", carols("iam").update_user, UserName="dev-b", NewUserName="root")
refused("AccessDenied", carols("iam").update_user, UserName="alice", NewUserName="dev-c")

# What is tagged how
def tagged(**tags):
    return [{"Key": key, "Value": value} for key, value in tags.items()]


of_team = allow("iam:CreateUser") | {
    "Condition": {"StringEquals": {"aws:RequestTag/team": "a"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["team", "note"]}}
}
no_team = allow(["iam:TagUser", "iam:UntagUser"]) | {"Condition": {"ForAllValues:StringNotEquals": {"aws:TagKeys": "team"}}}
iam.put_user_policy(UserName="caroline", PolicyName="p", PolicyDocument=document(of_team, no_team))
create = carols("iam").create_user
for tags in ({}, {"team": "b"}, {"team": "a", "other": "x"}, {"note": "x"}):
    refused("AccessDenied", create, UserName="dan", Tags=tagged(**tags))
create(UserName="dan", Tags=tagged(team="a", note="x"))
refused("AccessDenied", carols("iam").tag_user, UserName="dan", Tags=tagged(team="b", other="x"))
refused("AccessDenied", carols("iam").untag_user, UserName="dan", TagKeys=["note", "team"])
carols("iam").untag_user(UserName="dan", TagKeys=["note"])
carols("iam").tag_user(UserName="dan", Tags=tagged(other="x"))
assert iam.list_user_tags(UserName="dan")["Tags"] == tagged(other="x", team="a")
someone = f"arn:aws:iam::{account}:user/caroline"
team = context("aws:RequestTag/team", "a")
other = {"ContextKeyName": "aws:TagKeys", "ContextKeyValues": ["note", "other"], "ContextKeyType": "stringList"}
assert simulated(someone, ["iam:CreateUser"]) == ["implicitDeny"]
assert simulated(someone, ["iam:CreateUser"], ContextEntries=[team]) == ["allowed"]
assert simulated(someone, ["iam:CreateUser"], ContextEntries=[team, other]) == ["implicitDeny"]
many = other | {"ContextKeyValues": [f"k{number}" for number in range(51)]}
refused(
    "InvalidInput", iam.simulate_principal_policy, PolicySourceArn=someone, ActionNames=["iam:CreateUser"], ContextEntries=[many]
)
# The same of roles, policies and providers.
of_team["Action"] = ["iam:CreateRole", "iam:TagRole", "iam:CreatePolicy", "iam:TagPolicy", "iam:CreateOpenIDConnectProvider", "iam:TagOpenIDConnectProvider"]
iam.put_user_policy(UserName="caroline", PolicyName="p", PolicyDocument=document(of_team))
theirs, trusting, url = carols("iam"), document(trust(someone)), "https://other.example.com"
arn, provider = f"arn:aws:iam::{account}:policy/teams", f"arn:aws:iam::{account}:oidc-provider/other.example.com"
for call, arguments in (
    (theirs.create_role, {"RoleName": "teams", "AssumeRolePolicyDocument": trusting}),
    (theirs.tag_role, {"RoleName": "teams"}),
    (theirs.create_policy, {"PolicyName": "teams", "PolicyDocument": document(allow("iam:ListUsers"))}),
    (theirs.tag_policy, {"PolicyArn": arn}),
    (theirs.create_open_id_connect_provider, {"Url": url, "ClientIDList": ["one"]}),
    (theirs.tag_open_id_connect_provider, {"OpenIDConnectProviderArn": provider}),
):
    refused("AccessDenied", call, Tags=tagged(team="b"), **arguments)
    refused("AccessDenied", call, Tags=tagged(team="a", other="x"), **arguments)
    call(Tags=tagged(team="a"), **arguments)
    # A key that is given twice is refused, and not the one looked at and the other kept.
    refused("InvalidInput", call, Tags=tagged(team="a") + tagged(team="b"), **arguments)

print("\n".join(sorted(called)))

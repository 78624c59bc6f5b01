"""Takes a role by tokens of an OpenID provider, through boto3."""

import json, sys

import boto3, botocore.exceptions
from botocore.config import Config

endpoint, ca, account, key, secret, issuer = sys.argv[1:7]
tokens = json.load(sys.stdin)


def client(service, *credentials):
    made = boto3.session.Session(*credentials, region_name="us-east-1")
    config = Config(retries={"max_attempts": 0})
    return made.client(service, endpoint_url=endpoint, verify=ca, config=config)


def refused(code, call, **arguments):
    try:
        call(**arguments)
    except botocore.exceptions.ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        return str(error)
    raise AssertionError(f"{call} was not refused")


iam = client("iam", key, secret)
host = issuer.removeprefix("https://")
role = f"arn:aws:iam::{account}:role/builder"
# Nobody's credentials: the token is all there is.
sts = client("sts", "", "")


def take(token, **more):
    return dict(RoleArn=role, RoleSessionName="build-7", WebIdentityToken=tokens[token], **more)


refused("InvalidIdentityToken", sts.assume_role_with_web_identity, **take("right"))
provider = iam.create_open_id_connect_provider(Url=issuer, ClientIDList=["sts.amazonaws.com"])["OpenIDConnectProviderArn"]
assert provider == f"arn:aws:iam::{account}:oidc-provider/{host}"
assert "no policy permits it" in refused("AccessDenied", sts.assume_role_with_web_identity, **take("right"))
trust = {
    "Effect": "Allow",
    "Principal": {"Federated": provider},
    "Action": "sts:AssumeRoleWithWebIdentity",
    "Condition": {
        "StringEquals": {f"{host}:aud": "sts.amazonaws.com", f"{host}:actor": "alice"},
        "StringLike": {f"{host}:sub": "repo:acme/shop:*"},
    },
}
document = {"Version": "2012-10-17", "Statement": [trust]}
iam.create_role(RoleName="builder", AssumeRolePolicyDocument=json.dumps(document))
allow = {"Effect": "Allow", "Action": ["iam:GetRole", "sts:AssumeRole"], "Resource": role}
iam.put_role_policy(
    RoleName="builder", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [allow]})
)

taken = sts.assume_role_with_web_identity(**take("right"))
assert taken["SubjectFromWebIdentityToken"] == "repo:acme/shop:ref:refs/heads/main", taken
assert taken["Audience"] == "sts.amazonaws.com" and taken["Provider"] == issuer, taken
assert taken["SourceIdentity"] == "alice", taken
credentials = taken["Credentials"]
session = credentials["AccessKeyId"], credentials["SecretAccessKey"], credentials["SessionToken"]
arn = f"arn:aws:sts::{account}:assumed-role/builder/build-7"
assert client("sts", *session).get_caller_identity()["Arn"] == arn
assert client("iam", *session).get_role(RoleName="builder")["Role"]["Arn"] == role
refused("AccessDenied", client("iam", *session).list_users)
narrow = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]})
less = sts.assume_role_with_web_identity(**take("right", Policy=narrow, DurationSeconds=900))["Credentials"]
refused("AccessDenied", client("iam", less["AccessKeyId"], less["SecretAccessKey"], less["SessionToken"]).get_role, RoleName="builder")

for token, code in [
    ("other subject", "AccessDenied"),
    ("other actor", "AccessDenied"),
    ("other audience", "IDPRejectedClaim"),
    ("expired", "ExpiredTokenException"),
    ("future", "InvalidIdentityToken"),
    ("other key", "InvalidIdentityToken"),
    ("none", "InvalidIdentityToken"),
    ("other issuer", "InvalidIdentityToken"),
    ("inside", "InvalidIdentityToken"),
]:
    refused(code, sts.assume_role_with_web_identity, **take(token))
refused("ValidationError", sts.assume_role_with_web_identity, **take("right", DurationSeconds=43201))
refused("ValidationError", sts.assume_role_with_web_identity, **take("right", ProviderId="www.amazon.com"))

# Without the provider its tokens open nothing; what was begun goes on until the role's sessions are ended.
iam.delete_open_id_connect_provider(OpenIDConnectProviderArn=provider)
refused("InvalidIdentityToken", sts.assume_role_with_web_identity, **take("right"))
assert client("sts", *session).get_caller_identity()["Arn"] == arn
iam.delete_role_policy(RoleName="builder", PolicyName="p")
iam.delete_role(RoleName="builder")
refused("InvalidClientTokenId", client("sts", *session).get_caller_identity)

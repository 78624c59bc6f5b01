//! The table of operations, and requests of all kinds at the API's own door, signed as clients sign.

use super::*;
use crate::operations::tests::Inside;
use crate::sigv4::signer;

const NOW: &str = "20231114T221320Z";

#[test]
fn each_operation_says_what_it_asks() {
    let all = operations().unwrap();
    let deciding: Vec<&str> = all.iter().filter(|(_, _, op)| op.action().is_err()).map(|(_, name, _)| name).collect();
    // Whoever adds one here says why it asks nothing, or asks by itself.
    assert_eq!(
        deciding,
        [
            "AssumeRole",
            "AssumeRoleWithWebIdentity",
            "GetAccessKeyInfo",
            "GetCallerIdentity",
            "GetSessionToken",
            "BatchAssociateApprovalRuleTemplateWithRepositories",
            "BatchDisassociateApprovalRuleTemplateFromRepositories",
            "BatchGetRepositories",
            "PutEvents"
        ]
    );
    assert!(all.iter().count() > 80);
    for (service, name, operation) in all.iter() {
        assert!(all.get(service, name).is_some());
        if let Ok(action) = operation.action() {
            let prefix = action.as_str().split(':').next().unwrap();
            // What is ours alone may be about anything.
            let is_own = prefix == "lockgate" || service == Service::Lockgate;
            assert!(prefix == service.signing_name() || is_own, "{name}: {}", action.as_str());
        }
    }
    assert!(all.get(Service::Iam, "GetCallerIdentity").is_none());
}

/// A server's inside and its administrator's key.
struct Setting {
    inside: Inside,
    door: ApiDoor,
    id: String,
    secret: String,
}

/// A request before it is signed.
#[derive(Clone)]
struct Request<'a> {
    host: &'static str,
    headers: Vec<(&'static str, &'a str)>,
    body: String,
    service: &'static str,
    at: &'static str,
}

fn form(body: &str) -> Request<'static> {
    Request { host: "localhost:8443", headers: Vec::new(), body: body.to_owned(), service: "iam", at: NOW }
}

fn codecommit(body: &str) -> Request<'static> {
    let headers =
        vec![("content-type", "application/x-amz-json-1.1"), ("x-amz-target", "CodeCommit_20150413.NoSuchOperation")];
    Request { headers, service: "codecommit", ..form(body) }
}

impl Setting {
    fn new() -> Setting {
        let inside = Inside::new();
        let path = inside.folder.path().join("keys/admin.json");
        let admin: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let of = |key: &str| admin[key].as_str().unwrap().to_owned();
        let door = ApiDoor(Arc::new(Api::new(inside.host.clone()).unwrap()));
        Setting { door, id: of("accessKeyId"), secret: of("secretAccessKey"), inside }
    }

    fn head(&self, request: &Request<'_>) -> ApiHead {
        let headers = [("host", request.host), ("x-amz-date", request.at)].into_iter().chain(request.headers.clone());
        let headers = headers.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).collect();
        let (method, path) = ("POST".to_owned(), "/".to_owned());
        let source = std::net::Ipv4Addr::LOCALHOST.into();
        ApiHead { method, path, query: None, headers, source, request_id: Uuid::now_v7() }
    }

    fn signed(&self, request: &Request<'_>) -> ApiHead {
        let mut head = self.head(request);
        let key = (self.id.as_str(), self.secret.as_str());
        let text = signer::authorization(
            &view(&head),
            request.body.as_bytes(),
            key,
            (request.service, "us-east-1"),
            request.at,
        );
        head.headers.push(("authorization".to_owned(), text.into_bytes()));
        head
    }

    /// What becomes of a head and a body: the status, and the text of the answer.
    fn send(&self, head: ApiHead, body: &str) -> (u16, String) {
        let _inside = self.inside.runtime.enter();
        let answer = match self.door.begin(head) {
            Ok(call) => call.finish(body.as_bytes().to_vec()),
            Err(answer) => answer,
        };
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    fn ask(&self, request: &Request<'_>) -> (u16, String) {
        self.send(self.signed(request), &request.body)
    }

    fn n_users(&self) -> usize {
        let account = crate::names::AccountId::parse("111111111111").unwrap();
        self.inside.host.identity().directory().users(&account).count()
    }
}

const CREATE: &str = "Action=CreateUser&Version=2010-05-08&UserName=eve";

// C3 C4 I2: each in its place, and nothing is made.
#[test]
fn a_request_that_is_not_whole_makes_nothing() {
    let host = Setting::new();
    let n_users = host.n_users();
    let refused = |(status, body): (u16, String), code: &str| {
        assert!((400..500).contains(&status) && body.contains(code), "{status} {body}");
        assert!(!body.contains(&host.secret));
        assert_eq!(host.n_users(), n_users, "{body}");
    };
    // Nobody, and strangers.
    refused(host.send(host.head(&form(CREATE)), CREATE), "MissingAuthenticationToken");
    let stranger = Setting { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret: host.secret.clone(), ..Setting::new() };
    refused(host.send(stranger.signed(&form(CREATE)), CREATE), "InvalidClientTokenId");
    let guessing = Setting { id: host.id.clone(), secret: "x".repeat(40), ..Setting::new() };
    refused(host.send(guessing.signed(&form(CREATE)), CREATE), "SignatureDoesNotMatch");
    // Another body, another time, another service, another host.
    refused(host.send(host.signed(&form(CREATE)), &CREATE.replace("eve", "mallory")), "SignatureDoesNotMatch");
    refused(host.ask(&Request { at: "20231114T215819Z", ..form(CREATE) }), "Signature expired");
    refused(host.ask(&Request { at: "20231114T222821Z", ..form(CREATE) }), "not yet current");
    refused(host.ask(&Request { service: "sts", ..form(CREATE) }), "InvalidAction");
    refused(host.ask(&Request { service: "s3", ..form(CREATE) }), "InvalidAction");
    for other in ["git.example.com", "localhost.example.com:8443", "", "127.0.0.2"] {
        refused(host.ask(&Request { host: other, ..form(CREATE) }), "no name of this server");
    }
    // Something besides that is not signed.
    let mut head = host.signed(&form(CREATE));
    head.headers.push(("x-amz-security-token".to_owned(), b"t".to_vec()));
    refused(host.send(head, CREATE), "has to be signed");
    let mut head = host.signed(&form(CREATE));
    head.query = Some("Action=DeleteUser".to_owned());
    refused(host.send(head, CREATE), "SignatureDoesNotMatch");
    // Forms and JSON that two readers could read differently; C5: names given twice or as lists.
    for (body, code) in [
        ("Action=CreateUser&UserName=eve&UserName=mallory", "given twice"),
        ("Action=CreateUser&UserName.member.1=eve", "UserName"),
        ("Action=CreateUser&Action=DeleteUser&UserName=eve", "given twice"),
        ("Action=CreateUser&UserName=%00", "ValidationError"),
        ("Action=CreateUser", "UserName"),
        ("UserName=eve", "MissingAction"),
        ("Action=createuser&UserName=eve", "InvalidAction"),
        ("", "MissingAction"),
    ] {
        refused(host.ask(&form(body)), code);
    }
    refused(host.ask(&codecommit(r#"{"a": 1, "a": 2}"#)), "gives a member twice");
    refused(host.ask(&codecommit("{}")), "\"__type\":\"UnknownOperationException\"");
    // And what is whole is done.
    let (status, body) = host.ask(&form(CREATE));
    assert!(status == 200 && body.contains("<UserName>eve</UserName>"), "{status} {body}");
    assert_eq!(host.n_users(), n_users + 1);
    for own in ["localhost", "LOCALHOST:1", "127.0.0.1:8443", "[::1]:8443"] {
        let get = Request { host: own, ..form("Action=GetUser&UserName=eve") };
        assert_eq!(host.ask(&get).0, 200, "{own}");
    }
}

// C1 C3: nobody and strangers get nowhere, whatever they call.
#[test]
fn each_operation_is_closed_to_nobody_and_to_strangers() {
    let host = Setting::new();
    let stranger = Setting { id: "AKIAIOSFODNN7EXAMPLE".to_owned(), secret: host.secret.clone(), ..Setting::new() };
    let guessing = Setting { id: host.id.clone(), secret: "x".repeat(40), ..Setting::new() };
    let before = host.inside.host.identity().directory().counter();
    let all = operations().unwrap();
    for (service, name, _) in all.iter() {
        let target = format!("{}.{name}", service.target_prefix().unwrap_or_default());
        let mut request = Request { service: service.signing_name(), ..form(&format!("Action={name}&UserName=admin")) };
        if service.protocol() == Protocol::Json11 {
            request.headers = vec![("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
            request.body = r#"{"repositoryName": "shop"}"#.to_owned();
        }
        let unsigned = host.send(host.head(&request), &request.body);
        let unknown = host.send(stranger.signed(&request), &request.body);
        let guessed = host.send(guessing.signed(&request), &request.body);
        for (who, (status, body)) in [("nobody", unsigned), ("a stranger", unknown), ("a guess", guessed)] {
            // The one call that nobody signs asks for a token, and gets none.
            let is_by_token = name == "AssumeRoleWithWebIdentity" && who == "nobody";
            let codes = ["MissingAuthenticationToken", "UnrecognizedClientException", "InvalidClientTokenId"];
            let more = ["SignatureDoesNotMatch", "InvalidSignatureException"];
            let is_refused = codes.iter().chain(&more).any(|code| body.contains(code))
                || is_by_token && body.contains("ValidationError");
            assert!((400..500).contains(&status) && is_refused, "{name} by {who}: {status} {body}");
            assert!(!body.contains("shop") && !body.contains(&host.secret), "{name} by {who}: {body}");
        }
    }
    assert_eq!(host.inside.host.identity().directory().counter(), before);
}

// D4 D11: whoever has no permit learns it, by each operation that asks for one.
#[test]
fn somebody_without_rights_is_refused_by_each_operation() {
    let mut host = Setting::new();
    let account = crate::names::AccountId::parse("111111111111").unwrap();
    let dan = crate::names::PrincipalName::parse("dan").unwrap();
    let made = host.inside.runtime.block_on(host.inside.host.identity().create_access_key(&account, &dan)).unwrap();
    (host.id, host.secret) = (made.id, secrecy::ExposeSecret::expose_secret(&made.secret).to_owned());
    {
        let _inside = host.inside.runtime.enter();
        let nothing = r#"@id("dan-does-nothing") forbid (principal == User::"111111111111/dan", action, resource);"#;
        Inside::apply(&host.inside.host, nothing);
    }
    let before = host.inside.host.identity().directory().counter();
    // One value for everything that some operation needs.
    let names = ["UserName=admin", "GroupName=administrators", "RoleName=r"];
    let all = "PolicyName=p&PolicyArn=arn:aws:iam::111111111111:policy/p&PolicyDocument=x&AssumeRolePolicyDocument=x&Description=d&VersionId=v1&AccessKeyId=AKIAIOSFODNN7EXAMPLE&Status=Active&ServiceName=codecommit.amazonaws.com&ServiceSpecificCredentialId=x&SSHPublicKeyBody=x&SSHPublicKeyId=x&VirtualMFADeviceName=x&SerialNumber=x&AuthenticationCode1=1&AuthenticationCode2=2&Url=https://idp.example&OpenIDConnectProviderArn=arn:aws:iam::111111111111:oidc-provider/idp.example&ClientID=x&EncodedMessage=x&PolicySourceArn=arn:aws:iam::111111111111:user/admin&ActionNames.member.1=iam:GetUser";
    for (service, name, operation) in operations().unwrap().iter() {
        if operation.action().is_err() {
            continue;
        }
        // Where it says whose policies it is about, the other names are too many.
        let held = ["User", "Group", "Role"].iter().position(|kind| name.contains(&format!("{kind}Polic")));
        let names = held.map_or(names.join("&"), |at| names[at].to_owned());
        let mut request = Request { service: service.signing_name(), ..form(&format!("Action={name}&{names}&{all}")) };
        let target = format!("{}.{name}", service.target_prefix().unwrap_or_default());
        if service.protocol() == Protocol::Json11 {
            request.headers = vec![("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
            request.body =
                r#"{"Name": "x", "Rule": "x", "ArchiveName": "x", "ReplayName": "x", "StatementId": "x",
                "ResourceARN": "arn:aws:events:us-east-1:111111111111:rule/x", "deliveryId": "x", "PublicKey": "x", "state": "SUCCESS", "UserName": "admin", "Proof": "x", "SigningKeyId": "x",
                "repositoryName": "shop", "oldName": "shop", "newName": "new", "branchName": "main",
                "defaultBranchName": "topic", "tags": {"a": "b"}, "tagKeys": ["a"], "pullRequestId": "1",
                "commentId": "00000000-0000-0000-0000-000000000000:00000000-0000-0000-0000-000000000000",
                "inReplyTo": "00000000-0000-0000-0000-000000000000:00000000-0000-0000-0000-000000000000",
                "targets": [{"repositoryName": "shop", "sourceReference": "topic"}], "sourceCommitSpecifier": "topic",
                "destinationCommitSpecifier": "main", "context": "build",
                "resourceArn": "arn:aws:codecommit:us-east-1:111111111111:shop"}"#
                    .to_owned();
        }
        let (status, body) = host.ask(&request);
        let action = operation.action().unwrap().as_str();
        // JSON services refuse with 400, whatever it is.
        let expected = if request.headers.is_empty() { 403 } else { 400 };
        // What is known by a number alone does not exist for those who may not know of it; tests/integration/codecommit_reviews.py
        // asks for some that do.
        let is_hidden = ["PullRequestDoesNotExistException", "CommentDoesNotExistException"]
            .iter()
            .any(|code| body.contains(code) && (name.contains("PullRequest") || name.contains("Comment")));
        assert!(
            status == expected && (is_hidden || body.contains(&format!("perform: {action} on resource"))),
            "{name}: {status} {body}"
        );
    }
    assert_eq!(host.inside.host.identity().directory().counter(), before);
}

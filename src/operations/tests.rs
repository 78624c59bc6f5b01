//! The inside as a whole: what happens between a decision and its publishing is made to happen there.

use std::io::{self, Cursor, Read, Write};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use parking_lot::Mutex;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::admin::{AdminCommand, AdminHost, AdminRequest, ImportSource, RepoCommand};
use super::lockgate::Lockgate;
use super::policies::{Applied, ApplyOptions};
use super::*;
use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::identity::{Holder, NameKind, RepositoryRecord, UserPrincipal};
use crate::names::{ObjectId, PolicyName, PrincipalName, RefName};
use crate::policy::PolicyFiles;
use crate::store::faults::Faults;
use crate::store::keyring::rotation::StateChange;

const ACCOUNT: &str = "111111111111";

/// A server's inside with a repository `shop` that has the branches `main` and `topic`, and the developer `dan`.
pub(crate) struct Inside {
    // Before the folder that it writes to.
    pub(crate) host: Lockgate,
    faults: Faults,
    clock: Clock,
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) folder: TempDir,
}

impl Inside {
    pub(crate) fn new() -> Inside {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(folder.path().join(name));
        let overrides =
            Overrides { data: at("data"), keys: at("keys"), policies: at("policies"), ..Overrides::default() };
        let config = Config::from_toml(Path::new("lockgate.toml"), "", &overrides).unwrap();
        let faults = Faults::waiting_at("publish:before-transaction");
        let clock = Clock::manual(1_700_000_000_000);
        let host = {
            let _inside = runtime.enter();
            Lockgate::open_with(&config, clock.clone(), faults.clone()).unwrap()
        };
        let inside = Inside { host, faults, clock, runtime, folder };
        let identity = inside.host.identity();
        inside.runtime.block_on(identity.create_user(&account(), &name("dan"), &[name("developers")])).unwrap();
        let source = inside.folder.path().join("source");
        let git = |arguments: &[&str]| {
            let mut git = Command::new("git");
            git.args(["-c", "user.name=A", "-c", "user.email=a@example.com"]).args(arguments);
            assert!(git.current_dir(inside.folder.path()).status().unwrap().success());
        };
        git(&["init", "-q", "-b", "main", "source"]);
        git(&["-C", "source", "commit", "-q", "--allow-empty", "-m", "first"]);
        git(&["-C", "source", "branch", "topic"]);
        let import =
            RepoCommand::Import { source: ImportSource::Path(source), name: RepositoryName::parse("shop").unwrap() };
        let request = AdminRequest { account: None, command: AdminCommand::Repo(import) };
        let _inside = inside.runtime.enter();
        inside.host.administer(request, &mut |_| {}).unwrap();
        drop(_inside);
        inside
    }

    pub(crate) fn shop(&self) -> RepositoryRecord {
        let name = RepositoryName::parse("shop").unwrap();
        self.host.identity().directory().repository(&account(), &name).cloned().unwrap()
    }

    pub(crate) fn tip(&self, branch: &str) -> Option<ObjectId> {
        let repository = self.host.repository(&self.shop()).unwrap();
        repository.snapshot().refs.get(&RefName::branch(branch).unwrap()).map(|entry| entry.id)
    }

    /// A call of `dan`'s.
    pub(crate) fn as_dan(&self) -> OpContext {
        let directory = self.host.identity().directory();
        let dan = directory.user(&account(), &name("dan")).unwrap();
        OpContext {
            principal: Principal::User(UserPrincipal::new(dan, None)),
            request_id: Uuid::now_v7(),
            source: None,
            transport: Transport::Ssh,
        }
    }

    /// `dan` pushes the deletion of `topic`; gives what the client reads.
    fn delete_topic(&self) -> String {
        let _inside = self.runtime.enter();
        let ctx = self.as_dan();
        let session = GitSession {
            service: GitService::ReceivePack,
            repository: RepositoryPath::OwnAccount(RepositoryName::parse("shop").unwrap()),
            protocol_version: 0,
            mode: GitMode::StatelessRpc,
        };
        let line = format!("{} {} refs/heads/topic\0 report-status\n", self.tip("topic").unwrap(), "0".repeat(40));
        let input = format!("{:04x}{line}0000", line.len() + 4).into_bytes();
        let output = Shared::default();
        self.host.open(&ctx, &session).unwrap().run(Box::new(Cursor::new(input)), Box::new(output.clone())).unwrap();
        let output = output.0.lock();
        String::from_utf8_lossy(&output).into_owned()
    }

    /// Applies the starter policies and one more.
    pub(crate) fn apply(host: &Lockgate, text: &str) -> i64 {
        let mut files = PolicyFiles::read_folder(host.policies_dir()).unwrap();
        files.insert("111111111111/more.cedar", text.as_bytes().to_vec()).unwrap();
        let applied =
            host.policies().apply(host.store(), host.identity(), &files, &ApplyOptions::by("test", false)).unwrap();
        let Applied::Active { generation, .. } = applied else { panic!("not applied") };
        generation
    }
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn account() -> AccountId {
    AccountId::parse(ACCOUNT).unwrap()
}

fn name(name: &str) -> PrincipalName {
    PrincipalName::parse(name).unwrap()
}

const NO_DELETIONS: &str = r#"@id("no-deletions") forbid (principal, action in Action::"codecommit:ChangeRef", resource)
when { context.change == "delete" };"#;

#[test]
fn without_interference_a_branch_is_deleted() {
    let inside = Inside::new();
    let said = inside.delete_topic();
    assert!(said.contains("ok refs/heads/topic"), "{said}");
    assert_eq!(inside.tip("topic"), None);
    assert!(inside.tip("main").is_some());
}

// D8
#[test]
fn a_push_that_old_policies_allowed_is_decided_again() {
    let inside = Inside::new();
    let host = inside.host.clone();
    inside.faults.meanwhile(move || {
        Inside::apply(&host, NO_DELETIONS);
    });
    let said = inside.delete_topic();
    assert!(said.contains("ng refs/heads/topic denied by policy no-deletions"), "{said}");
    assert!(inside.tip("topic").is_some());
}

// D8
#[test]
fn a_push_by_somebody_who_was_taken_from_the_group_meanwhile_is_refused() {
    let inside = Inside::new();
    let host = inside.host.clone();
    inside.faults.meanwhile(move || {
        let (account, developers, dan) = (account(), name("developers"), name("dan"));
        host.store().wait(host.identity().remove_from_group(&account, &developers, &dan)).unwrap();
    });
    let said = inside.delete_topic();
    assert!(said.contains("ng refs/heads/topic no policy permits it"), "{said}");
    assert!(inside.tip("topic").is_some());
}

// C8 D8: what comes after the first byte is not read.
#[test]
fn a_transfer_ends_with_the_rights_of_its_caller() {
    struct Interrupted<F>(Cursor<Vec<u8>>, Option<F>);
    impl<F: FnOnce()> io::Read for Interrupted<F> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let n_read = self.0.read(&mut buffer[..1])?;
            self.1.take().into_iter().for_each(|meanwhile| meanwhile());
            Ok(n_read)
        }
    }
    for service in [GitService::ReceivePack, GitService::UploadPack] {
        let inside = Inside::new();
        let _inside = inside.runtime.enter();
        let ctx = inside.as_dan();
        let session = GitSession {
            service,
            repository: RepositoryPath::OwnAccount(RepositoryName::parse("shop").unwrap()),
            protocol_version: 0,
            mode: GitMode::StatelessRpc,
        };
        let tip = inside.tip("topic").unwrap();
        let request = match service {
            GitService::ReceivePack => {
                let line = format!("{tip} {} refs/heads/topic\0 report-status\n", "0".repeat(40));
                format!("{:04x}{line}0000", line.len() + 4)
            }
            _ => format!("0032want {tip}\n00000009done\n"),
        };
        let run = |meanwhile: Option<Box<dyn FnOnce() + Send>>| {
            let output = Shared::default();
            let input = Interrupted(Cursor::new(request.clone().into_bytes()), meanwhile);
            let transfer = inside.host.open(&ctx, &session).unwrap();
            let ended = transfer.run(Box::new(input), Box::new(output.clone()));
            (ended.map_err(|error| error.to_string()), output.0.lock().len())
        };
        if service == GitService::UploadPack {
            let (ended, n_bytes) = run(None);
            assert!(ended.is_ok() && n_bytes > 8, "{ended:?}");
        }
        let host = inside.host.clone();
        let (ended, n_bytes) = run(Some(Box::new(move || {
            host.store().wait(host.identity().set_user_disabled(&account(), &name("dan"), true)).unwrap();
        })));
        assert!(ended.is_err() && n_bytes == 0, "{ended:?}");
        assert_eq!(inside.tip("topic"), Some(tip));
        // What comes next is not let in either.
        assert!(!inside.host.identity().is_active(&ctx.principal));
    }
}

// D8: over a connection that was opened in time, nothing new begins once the session is over.
#[test]
fn an_open_connection_outlives_no_session() {
    let inside = Inside::new();
    let _inside = inside.runtime.enter();
    let mut ctx = inside.as_dan();
    let Principal::User(dan) = &mut ctx.principal else { panic!("a user") };
    let issued_ms = inside.clock.now_ms();
    dan.session = Some(crate::identity::UserSession { id: Uuid::now_v7(), issued_ms, expires_ms: issued_ms + 900_000 });
    let session = GitSession {
        service: GitService::UploadPack,
        repository: RepositoryPath::OwnAccount(RepositoryName::parse("shop").unwrap()),
        protocol_version: 2,
        mode: GitMode::StatelessRpc,
    };
    let open = |ctx: &OpContext| inside.host.open(ctx, &session).map(drop);
    assert!(open(&ctx).is_ok());
    inside.clock.advance_ms(899_999);
    assert!(open(&ctx).is_ok());
    inside.clock.advance_ms(1);
    assert!(matches!(open(&ctx), Err(GitRefusal::Forbidden(said)) if said.contains("has ended")));
    // Who has no session and is disabled meanwhile reads the same.
    let dan = inside.as_dan();
    assert!(open(&dan).is_ok());
    inside.host.store().wait(inside.host.identity().set_user_disabled(&account(), &name("dan"), true)).unwrap();
    assert!(matches!(open(&dan), Err(GitRefusal::Forbidden(said)) if said.contains("has ended")));
}

#[test]
fn what_is_written_ends_with_the_rights_of_its_reader() {
    let inside = Inside::new();
    let _inside = inside.runtime.enter();
    let ctx = inside.as_dan();
    let (host, output) = (&inside.host, Shared::default());
    let repository = host.repository(&inside.shop()).unwrap();
    let live = || super::live::Live::new(host.identity(), &ctx.principal, repository.keys());
    let mut guarded = live().guard(output.clone());
    guarded.write_all(b"first").unwrap();
    let change = |change| host.store().keyring().change_account_state(&account(), change).unwrap();
    change(StateChange::Disable);
    let refused = live().guard(Cursor::new(b"x")).read(&mut [0]).unwrap_err();
    assert_eq!(refused.to_string(), "the account's key is disabled; an administrator can enable it");
    assert!(guarded.write_all(b"not").is_err());
    change(StateChange::Enable);
    // Changes that are not about the caller end nothing.
    host.store().wait(host.identity().create_group(&account(), &name("others"))).unwrap();
    guarded.write_all(b" second").unwrap();
    host.store().wait(host.identity().set_user_disabled(&account(), &name("dan"), true)).unwrap();
    assert_eq!(guarded.write_all(b" third").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(&*output.0.lock(), b"first second");
}

// J5
#[test]
fn time_finishes_rotations_and_carries_out_destructions() {
    let inside = Inside::new();
    let _inside = inside.runtime.enter();
    let (host, record) = (&inside.host, inside.shop());
    let keyring = host.store().keyring();
    let id = record.id.as_bytes();
    let epochs = || -> Vec<u32> {
        let entry = keyring.repository_state(&account(), id).unwrap();
        entry.epochs.iter().filter(|epoch| epoch.key.is_some()).map(|epoch| epoch.number).collect()
    };
    let tip = inside.tip("main");
    // Broken off after the new epoch was made.
    keyring.rotate_repository(&account(), id).unwrap();
    key_upkeep::look_after_keys(host);
    assert_eq!(epochs(), [1, 2]);
    assert_eq!(host.repository(&record).unwrap().epochs_in_use().unwrap(), [2].into());
    inside.clock.advance_ms(DAY_MS - 1);
    key_upkeep::look_after_keys(host);
    assert_eq!(epochs(), [1, 2]);
    inside.clock.advance_ms(1);
    key_upkeep::look_after_keys(host);
    assert_eq!(epochs(), [2]);
    assert_eq!(inside.tip("main"), tip);

    let ctx = inside.as_dan();
    let session = GitSession {
        service: GitService::UploadPack,
        repository: RepositoryPath::OwnAccount(record.name.clone()),
        protocol_version: 2,
        mode: GitMode::StatelessRpc,
    };
    let held = host.repository(&record).unwrap();
    let doom = StateChange::Doom { at_ms: inside.clock.now_ms() + DAY_MS };
    keyring.change_repository_state(&account(), id, doom).unwrap();
    key_upkeep::look_after_keys(host);
    assert_eq!(epochs(), [2]);
    let refused = host.open(&ctx, &session).err();
    assert!(matches!(refused, Some(GitRefusal::Forbidden(said)) if said.contains("will be destroyed at")));
    inside.clock.advance_ms(DAY_MS);
    key_upkeep::look_after_keys(host);
    assert!(epochs().is_empty());
    assert!(held.catch_up().is_ok(), "what was read before is not asked for again");
    assert!(host.store().open_file(held.keys(), &held.snapshot().manifests[0].pack).is_err());
    let refused = host.open(&ctx, &session).err();
    assert!(matches!(refused, Some(GitRefusal::Forbidden(said)) if said.contains("was destroyed at")));
    // It is still listed, can be deleted, and its name is not given again.
    let identity = host.identity();
    host.store().wait(identity.delete_repository(&account(), &record.name)).unwrap();
    let (account, main) = (account(), RefName::branch("main").unwrap());
    assert!(host.store().wait(identity.create_repository(&account, &record.name, &main)).is_err());
}

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

// D8
#[test]
fn a_push_by_somebody_who_was_disabled_meanwhile_is_refused() {
    let inside = Inside::new();
    let host = inside.host.clone();
    inside.faults.meanwhile(move || {
        host.store().wait(host.identity().set_user_disabled(&account(), &name("dan"), true)).unwrap();
    });
    let said = inside.delete_topic();
    assert!(said.contains("ng refs/heads/topic your access has ended"), "{said}");
    assert!(inside.tip("topic").is_some());
}

#[test]
fn what_is_attached_counts_at_once_and_until_it_is_taken_off() {
    let inside = Inside::new();
    let identity = inside.host.identity();
    let store = inside.host.store();
    let deny = r#"{"Version": "2012-10-17", "Statement": [
        {"Sid": "NoPush", "Effect": "Deny", "Action": "codecommit:GitPush", "Resource": "*"}]}"#;
    let developers = Holder { kind: NameKind::Group, name: name("developers") };
    let freeze = PolicyName::parse("freeze").unwrap();
    let _inside = inside.runtime.enter();
    store.wait(identity.create_managed_policy(&account(), &freeze, None, deny, Default::default())).unwrap();
    store.wait(identity.attach_policy(&account(), &developers, &freeze)).unwrap();
    drop(_inside);
    let said = inside.delete_topic();
    assert!(said.contains("denied by policy 111111111111/group/developers/policy/freeze#NoPush"), "{said}");
    assert!(inside.tip("topic").is_some());
    // It is not deleted while it is attached, and another version counts when it is made the default.
    let _inside = inside.runtime.enter();
    assert!(store.wait(identity.delete_managed_policy(&account(), &freeze)).is_err());
    let allow = deny.replace("Deny", "Allow");
    store.wait(identity.create_policy_version(&account(), &freeze, &allow, false)).unwrap();
    drop(_inside);
    assert!(inside.delete_topic().contains("denied by policy"));
    let _inside = inside.runtime.enter();
    store.wait(identity.set_default_policy_version(&account(), &freeze, 2)).unwrap();
    drop(_inside);
    let said = inside.delete_topic();
    assert!(said.contains("ok refs/heads/topic"), "{said}");
}

#[test]
fn of_policies_that_are_applied_at_once_each_becomes_a_generation_of_its_own() {
    let inside = Inside::new();
    let before = inside.host.policies().active().generation();
    let numbers: Vec<i64> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                let (host, handle) = (inside.host.clone(), inside.runtime.handle().clone());
                scope.spawn(move || {
                    let _inside = handle.enter();
                    Inside::apply(&host, &NO_DELETIONS.replace("no-deletions", &format!("no-deletions-{n}")))
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut sorted = numbers.clone();
    sorted.sort();
    assert_eq!(sorted, (before + 1..=before + 4).collect::<Vec<_>>());
    // The last one is active, here and for whoever opens the store anew, and each is there as it was applied.
    let _inside = inside.runtime.enter();
    let policies = inside.host.policies();
    assert_eq!(policies.active().generation(), before + 4);
    for (n, number) in numbers.iter().enumerate() {
        let generation = policies.generation(inside.host.store(), inside.host.identity(), *number).unwrap();
        assert!(generation.text(&format!("no-deletions-{n}")).is_some());
    }
}

// C3
#[test]
fn a_signed_password_opens_what_it_was_signed_for_while_it_counts() {
    let inside = Inside::new();
    let (identity, store) = (inside.host.identity(), inside.host.store());
    let _inside = inside.runtime.enter();
    let key = store.wait(identity.create_access_key(&account(), &name("dan"))).unwrap();
    // The clock stands at 2023-11-14 22:13:20.
    let (at, host, path) = ("20231114T221320Z", "localhost:8443", "/v1/repos/shop");
    let password = |host: &str, region: &str| {
        crate::sigv4::signer::git_password(host, path, key.secret.expose_secret(), region, at)
    };
    let open = |password: &str, host: &str, path: &str, is_first: bool| {
        let request = GitRequest { host: host.to_owned(), path: path.to_owned(), is_first };
        inside.host.authenticate_git(&key.id, password, &request, std::net::Ipv4Addr::LOCALHOST.into())
    };
    let signed = password(host, "us-east-1");
    // For this server's names, with and without the port, in any region; not for another's name, who could pass it on.
    assert!(open(&signed, host, path, true).is_ok());
    assert!(open(&password("localhost", "us-east-1"), host, path, true).is_ok());
    assert!(open(&password("127.0.0.1:1", "eu-west-3"), "127.0.0.1:1", path, true).is_ok());
    let other = "git.example.com";
    assert_eq!(open(&password(other, "us-east-1"), other, path, true), Err(AuthFailure::Wrong));
    assert_eq!(open(&password(other, "us-east-1"), host, path, true), Err(AuthFailure::Wrong));
    assert_eq!(open(&signed, host, "/v1/repos/other", true), Err(AuthFailure::Wrong));
    // A conversation that began in time goes on; one that would begin later does not, whatever it begins with.
    let late = password(host, "us-west-2");
    inside.clock.advance_ms(901_000);
    assert_eq!(open(&signed, host, path, true), Err(AuthFailure::Wrong));
    assert!(open(&signed, host, path, false).is_ok());
    assert_eq!(open(&late, host, path, false), Err(AuthFailure::Wrong));
    inside.clock.advance_ms(12 * 3_600_000);
    assert_eq!(open(&signed, host, path, false), Err(AuthFailure::Wrong));
    inside.clock.advance_ms(-12 * 3_600_000);
    // D8: and not with a key that is no more.
    assert!(open(&signed, host, path, false).is_ok());
    store.wait(identity.revoke_credential(&account(), &name("dan"), &key.id)).unwrap();
    assert_eq!(open(&signed, host, path, false), Err(AuthFailure::Wrong));
}

// D6
#[test]
fn a_chain_of_roles_only_narrows() {
    use super::sessions::{RoleRequest, SessionError};
    use crate::identity::{RoleChange, SessionPrincipal};

    let inside = Inside::new();
    let host = &inside.host;
    let (identity, store) = (host.identity(), host.store());
    let _inside = inside.runtime.enter();
    let role = |role: &str, trusted: &str| {
        let trust = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "Allow", "Principal": {{"AWS": "arn:aws:iam::111111111111:{trusted}"}}, "Action": "sts:AssumeRole"}}]}}"#
        );
        let change = RoleChange { trust: Some(trust.into()), max_session_seconds: Some(7200), ..RoleChange::default() };
        store.wait(identity.create_role_with(&account(), &name(role), change)).unwrap()
    };
    role("first", "user/dan");
    role("second", "role/first");
    Inside::apply(
        host,
        r#"@id("all-take-roles") permit (principal in Account::"111111111111", action == Action::"sts:AssumeRole", resource);"#,
    );
    let ctx = |principal: &Principal| OpContext {
        principal: principal.clone(),
        request_id: Uuid::now_v7(),
        source: None,
        transport: Transport::Api,
    };
    let ask = |role: &str| RoleRequest::plain(&account(), &name(role), &name("s1"));
    let tags = |list: &[(&str, &str)]| list.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    let directory = identity.directory();
    let mut dan = UserPrincipal::new(directory.user(&account(), &name("dan")).unwrap(), None);
    dan.mfa = true;
    let dan = Principal::User(dan);
    let session = |from: &Principal, request: &RoleRequest| -> SessionPrincipal {
        host.assume_role(&ctx(from), request).unwrap().session
    };
    let invalid = |from: &Principal, request: RoleRequest, said: &str| {
        let refused = host.assume_role(&ctx(from), &request).unwrap_err();
        assert!(matches!(refused, SessionError::Invalid(_)), "{refused}");
        assert!(refused.to_string().contains(said), "{refused}");
    };
    let forbidden = |from: &Principal, request: RoleRequest| {
        let refused = host.assume_role(&ctx(from), &request).unwrap_err();
        assert!(matches!(refused, SessionError::NotAllowed(_)), "{refused}");
    };

    // Only those whom a role trusts take it: dan by way of the first, never the second directly.
    forbidden(&dan, ask("second"));
    forbidden(&dan, ask("nope"));
    let first = session(
        &dan,
        &RoleRequest {
            tags: tags(&[("team", "a"), ("step", "1")]),
            transitive_tags: ["team".to_owned()].into(),
            source_identity: Some(name("dan")),
            duration_seconds: Some(7200),
            ..ask("first")
        },
    );
    assert!(first.mfa && first.expires_ms - first.issued_ms == 7_200_000);
    let first = Principal::Session(Box::new(first));
    // What was said stays, and only what is to stay goes along.
    let second = session(&first, &ask("second"));
    assert_eq!(second.tags, tags(&[("team", "a")]));
    assert_eq!(second.source_identity, Some(name("dan")));
    assert_eq!(second.original_user.as_ref().map(|user| user.name.clone()), Some(name("dan")));
    assert!(!second.mfa && second.expires_ms - second.issued_ms == 3_600_000);
    let more = |request: RoleRequest, said: &str| invalid(&first, request, said);
    more(RoleRequest { tags: tags(&[("team", "b")]), ..ask("second") }, "`team` is kept");
    more(RoleRequest { tags: tags(&[("TEAM", "b")]), ..ask("second") }, "`team` is kept");
    more(RoleRequest { source_identity: Some(name("sue")), ..ask("second") }, "cannot be changed");
    more(RoleRequest { duration_seconds: Some(7200), ..ask("second") }, "role chaining");
    more(RoleRequest { duration_seconds: Some(899), ..ask("second") }, "at least 900");
    invalid(&dan, RoleRequest { tags: tags(&[("a", "1"), ("A", "2")]), ..ask("first") }, "given twice");
    invalid(&dan, RoleRequest { transitive_tags: ["x".to_owned()].into(), ..ask("first") }, "no tag of the session");
    // A right that a session dropped is not regained by a further role.
    let narrow = RoleRequest {
        policy: Some(r#"permit (principal, action == Action::"codecommit:GitPull", resource);"#.to_owned()),
        ..ask("first")
    };
    forbidden(&Principal::Session(Box::new(session(&dan, &narrow))), ask("second"));
    let long = RoleRequest { policy: Some("// x\n".repeat(3000) + narrow.policy.as_deref().unwrap()), ..ask("first") };
    assert!(matches!(host.assume_role(&ctx(&dan), &long), Err(SessionError::TooLarge { .. })));
    // D8: with the one who began it, all of it ends.
    let second = Principal::Session(Box::new(second));
    assert!(identity.is_active(&second));
    store.wait(identity.set_user_disabled(&account(), &name("dan"), true)).unwrap();
    assert!(!identity.is_active(&second) && !identity.is_active(&first));
}

//! EventBridge's operations by AWS's own clients; what is told to whom, by real receivers, queues and brokers; and that nothing is
//! lost when the server dies.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::aws_clients::{StandIn, admin, clients, plain, url};
use crate::support::{Person, TestHost, text};

/// A broker of the registries, on a free port, with its streams in memory.
struct Broker {
    server: Child,
    url: String,
}

impl Broker {
    fn start(bin: &Path, folder: &Path) -> Broker {
        let mut command = Command::new(bin.join("nats-server"));
        command.args(["-a", "127.0.0.1", "-p", "-1", "-js", "-sd"]).arg(folder.join("streams"));
        let mut server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let mut address = None;
        for line in lines.by_ref().map(Result::unwrap) {
            if let Some((_, found)) = line.split_once("Listening for client connections on ") {
                address = Some(found.trim().to_owned());
            }
            if line.contains("Server is ready") {
                break;
            }
        }
        let url = format!("nats://{}", address.expect("the broker starts"));
        // It goes on logging, and must not wait for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        Broker { server, url }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Lets the server reach receivers of this machine.
const LOOPBACK: &str = "[outbound]\nallow_addresses = [\"127.0.0.0/8\"]\nallow_http = true\n";

// K2
#[test]
fn each_operation_of_eventbridge_has_its_effect() {
    let Some(bin) = clients() else { return };
    let mut host = TestHost::start();
    let queues = StandIn::start(&bin);
    let broker = Broker::start(&bin, &host.path(""));
    let noted = host.path("noted");
    let settings = format!(
        "{LOOPBACK}[events]\nsqs_endpoint = \"{}\"\n[[events.nats]]\nname = \"main\"\nurl = \"{}\"\n\
         subject = \"lockgate.events\"\n[[events.commands]]\nname = \"note\"\nprogram = \"/bin/dd\"\n\
         arguments = [\"of={}\"]\n",
        queues.url,
        broker.url,
        noted.display()
    );
    host.down();
    std::fs::write(host.path("lockgate.toml"), settings).unwrap();
    let admin = admin(&host);
    let of = |key: &str| admin[key].as_str().unwrap();
    host.up(&[("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")]);
    host.admin(&["user", "create", "eve", "--group", "developers"]);
    let policy = r#"@id("eve-reviews") permit (principal == User::"111111111111/eve", action in [Action::"codecommit:Read", Action::"codecommit:UpdatePullRequestApprovalState"], resource);
@id("eve-hears") permit (principal == User::"111111111111/eve", action in Action::"events:Admin", resource);
@id("eve-puts-her-own-rules") forbid (principal == User::"111111111111/eve", action == Action::"events:PutRule", resource)
unless { resource == EventRule::"111111111111/default/eves" };
@id("vault-is-hidden") forbid (principal == User::"111111111111/eve", action, resource)
when { resource is Repository && resource.name == "vault" };"#;
    std::fs::write(host.path("policies/111111111111/eve.cedar"), policy).unwrap();
    host.admin(&["policy", "apply"]);
    let other = host.admin(&["--output", "json", "credential", "access-key", "create", "eve"]);
    let other: serde_json::Value = serde_json::from_str(&other).unwrap();
    let output = plain(&bin.join("python3"), &host)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/events.py"))
        .args([&url(&host), host.path("keys/ca.pem").to_str().unwrap()])
        .args([of("account"), of("accessKeyId"), of("secretAccessKey"), host.path("").to_str().unwrap()])
        .args([other["accessKeyId"].as_str().unwrap(), other["secretAccessKey"].as_str().unwrap()])
        .args([&queues.url, &broker.url])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}{}\n{}", text(&output.stdout), text(&output.stderr), host.log());
    let called: BTreeSet<String> = text(&output.stdout).lines().map(str::to_string).collect();
    let all = lockgate::api::operations().unwrap();
    let missing: Vec<String> = all
        .iter()
        .filter(|(service, ..)| service.signing_name() == "events")
        .map(|(_, name, _)| format!("events:{name}"))
        .filter(|name| !called.contains(name))
        .collect();
    assert!(missing.is_empty(), "not driven: {missing:?}");
    let log = host.admin(&["event", "log"]);
    assert!(log.contains("delivered") && log.contains("failed"), "{log}");
}

/// Requests to a port, in the order in which they come; each is answered as taken.
fn receive(listener: &TcpListener, until: impl Fn(&[serde_json::Value]) -> bool) -> Vec<serde_json::Value> {
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut all = Vec::new();
    while !until(&all) {
        assert!(Instant::now() < deadline, "{all:#?}");
        let Ok((mut stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(5));
            continue;
        };
        stream.set_nonblocking(false).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut n_bytes = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 || line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                n_bytes = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; n_bytes];
        // A server that dies breaks off.
        if n_bytes > 0 && reader.read_exact(&mut body).is_ok() {
            all.push(serde_json::from_slice(&body).unwrap());
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    }
    all
}

fn aws(bin: &Path, host: &TestHost, arguments: &[&str]) -> String {
    let output = plain(&bin.join("aws"), host)
        .envs([("AWS_CONFIG_FILE", host.path("keys/aws/config"))])
        .envs([("AWS_SHARED_CREDENTIALS_FILE", host.path("keys/aws/credentials"))])
        .args(["--profile", "lockgate", "--endpoint-url", &url(host)])
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A server with a rule that tells a port of everything that happens in repositories.
fn with_rule(bin: &Path, listener: &TcpListener) -> (TestHost, Person) {
    let mut host = TestHost::start();
    host.down();
    std::fs::write(host.path("lockgate.toml"), LOOPBACK).unwrap();
    host.up(&[]);
    let alice = host.person("alice", &["developers"]);
    host.admin(&["repo", "create", "shop"]);
    alice.history(&host.path("work"));
    let target = format!("Id=port,Arn=http://{}/", listener.local_addr().unwrap());
    aws(bin, &host, &["events", "put-rule", "--name", "all", "--event-pattern", r#"{"source": ["aws.codecommit"]}"#]);
    aws(bin, &host, &["events", "put-targets", "--rule", "all", "--targets", &target]);
    (host, alice)
}

/// What an event says that has been pushed: the ref and where it went.
fn moves(events: &[serde_json::Value]) -> Vec<(String, String)> {
    let of = |event: &serde_json::Value| {
        let detail = &event["detail"];
        let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
        (text("referenceFullName"), text("commitId"))
    };
    let mut all: Vec<(String, String)> = events.iter().map(of).collect();
    // What was told twice, for the server died before it had noted that it was taken.
    all.dedup();
    all
}

// F5: at each step between a change and the note that it was told, the process dies. Each event arrives, in order, and none that was
// not.
#[test]
fn no_event_is_lost_and_none_invented_though_the_server_dies_at_each_step() {
    let Some(bin) = clients() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut host, alice) = with_rule(&bin, &listener);
    let work = host.path("work");
    let steps = [
        ("publish:before-commit", false),
        ("publish:after-commit", true),
        ("route:before-commit", true),
        ("route:after-commit", true),
        ("deliver:after-telling", true),
        ("settle:before-commit", true),
        ("settle:after-commit", true),
    ];
    let mut expected = Vec::new();
    for (i, (point, is_made)) in steps.into_iter().enumerate() {
        host.down();
        host.up(&[("LOCKGATE_CRASH_AT", point)]);
        let alice = alice.at(&host);
        alice.git(&work, &["commit", "--allow-empty", "-m", point]);
        let branch = format!("refs/heads/step-{i}");
        // Whether the client hears of it or not: the process dies on the way, or behind it.
        let mut push = alice.command("git");
        push.current_dir(&work).args(["push", "-q", &alice.https("shop"), &format!("HEAD:{branch}")]).output().unwrap();
        let came = std::thread::scope(|scope| {
            // What is told on the way to the death is taken, too.
            let receiving = scope.spawn(|| {
                let told = |events: &[serde_json::Value]| moves(events).iter().any(|(name, _)| *name == branch);
                if is_made { receive(&listener, told) } else { Vec::new() }
            });
            host.await_death();
            host.up(&[]);
            receiving.join().unwrap()
        });
        let tip = alice.git(&work, &["rev-parse", "HEAD"]).trim().to_owned();
        if is_made {
            expected.push((branch, tip));
            // What is told again, for the server died before it noted that it was taken, comes before what is new.
            let at = |told: &(String, String)| expected.iter().position(|made| made == told);
            let places: Vec<Option<usize>> = moves(&came).iter().map(at).collect();
            assert!(places.is_sorted() && places[0].is_some(), "{point}: {came:#?}");
            assert_eq!(places.last(), Some(&Some(expected.len() - 1)), "{point}");
        }
    }
    // What comes last comes after all that was, and nothing of the change that was not made is among it.
    let alice = alice.at(&host);
    alice.git(&work, &["push", "-q", &alice.https("shop"), "HEAD:refs/heads/last"]);
    let last = |events: &[serde_json::Value]| moves(events).iter().any(|(name, _)| name == "refs/heads/last");
    let names: BTreeSet<String> = moves(&receive(&listener, last)).into_iter().map(|(name, _)| name).collect();
    assert!(!names.contains("refs/heads/step-0"), "{names:?}");
}

// F5: a receiver that is down is told later, in order.
#[test]
fn a_target_that_was_down_is_told_in_order() {
    let Some(bin) = clients() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (host, alice) = with_rule(&bin, &listener);
    let address = listener.local_addr().unwrap();
    drop(listener);
    let work = host.path("work");
    let names: Vec<String> = (0..5).map(|i| format!("refs/heads/b{i}")).collect();
    for name in &names {
        alice.git(&work, &["push", "-q", &alice.https("shop"), &format!("HEAD:{name}")]);
    }
    let listener = TcpListener::bind(address).unwrap();
    let came = receive(&listener, |events| moves(events).len() == names.len());
    let told: Vec<String> = moves(&came).into_iter().map(|(name, _)| name).collect();
    assert_eq!(told, names);
}

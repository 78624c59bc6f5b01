//! What it costs to find out who calls, and whether they may: `cargo bench --bench authentication`.
//!
//! Calls go through the API's own door, without a network: the head, the body, the signature, the decision, the answer. One thread,
//! so a second of it is a second of one core. Accounts are filled with users and policies first; what is measured must not grow
//! with them. Asserts nothing: time is not a thing to assert.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lockgate::api::{Api, ApiDoor};
use lockgate::clock::Clock;
use lockgate::config::{Config, Overrides};
use lockgate::names::{AccountId, PrincipalName};
use lockgate::operations::lockgate::Lockgate;
use lockgate::operations::policies::ApplyOptions;
use lockgate::operations::{ApiHead, ApiService};
use lockgate::policy::PolicyFiles;
use lockgate::sigv4::{Head, signer};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// 2023-11-14T22:13:20Z, where the clock stands.
const NOW_MS: i64 = 1_700_000_000_000;
const AT: &str = "20231114T221320Z";
const N_CALLS: usize = 20_000;

fn main() -> Result<(), Failure> {
    let sizes = [(1, 10, 10), (1, 1_000, 1_000), (1_000, 1_000, 1_000), (1, 1_000, 100_000), (1, 100_000, 100_000)];
    for (n_accounts, n_users, n_policies) in sizes {
        measure(n_accounts, n_users, n_policies)?;
    }
    Ok(())
}

fn measure(n_accounts: usize, n_users: usize, n_policies: usize) -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    let of = |name: &str| Some(folder.path().join(name));
    let overrides = Overrides {
        data: of("data"),
        keys: of("keys"),
        policies: of("policies"),
        account_id: Some("111111111111".to_owned()),
        ..Overrides::default()
    };
    let config = Config::load(&overrides)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let opened = std::thread::scope(|scope| {
        let open = || {
            let _inside = runtime.enter();
            Lockgate::open(&config, Clock::manual(NOW_MS))
        };
        scope.spawn(open).join()
    });
    let host = opened.map_err(|_| "opening panicked")??;
    let _inside = runtime.enter();
    let account = AccountId::parse("111111111111")?;
    for n in 1..n_accounts {
        host.store().wait(host.identity().create_account(&format!("account{n}"), None))?;
    }
    let names = (0..n_users).map(|n| PrincipalName::parse(&format!("user{n}"))).collect::<Result<Vec<_>, _>>()?;
    for some in names.chunks(10_000) {
        host.store().wait(host.identity().create_users(&account, some))?;
    }
    // A hundred policies a file, as the benchmark of policies has it.
    let mut files = PolicyFiles::read_folder(host.policies_dir())?;
    for file in 0..n_policies.div_ceil(100) {
        let text: String = (0..100.min(n_policies))
            .map(|n| {
                format!(
                    "@id(\"p{file}-{n}\") forbid (principal, action in Action::\"codecommit:ChangeRef\", resource in Ref::\"111111111111/shop{file}/refs/heads/b{n}\");\n"
                )
            })
            .collect();
        files.insert(&format!("111111111111/more{file}.cedar"), text.into_bytes())?;
    }
    host.policies().apply(host.store(), host.identity(), &files, &ApplyOptions::by("benchmark", true))?;
    let admin: serde_json::Value = serde_json::from_slice(&std::fs::read(folder.path().join("keys/admin.json"))?)?;
    let key = |name: &str| admin[name].as_str().unwrap_or_default().to_owned();
    let caller =
        Caller { door: ApiDoor(Arc::new(Api::new(host)?)), id: key("accessKeyId"), secret: key("secretAccessKey") };

    say(&format!("{n_accounts} accounts, {n_users} users, {n_policies} policies besides the starter set"));
    caller.calls("sts", "Action=GetCallerIdentity&Version=2011-06-15", "signature alone       ")?;
    caller.calls("iam", "Action=GetUser&Version=2010-05-08&UserName=admin", "signature and decision")
}

struct Caller {
    door: ApiDoor,
    id: String,
    secret: String,
}

impl Caller {
    fn calls(&self, service: &str, body: &str, what: &str) -> Result<(), Failure> {
        let mut took = Vec::with_capacity(N_CALLS);
        let start = Instant::now();
        let mut signing = Duration::ZERO;
        for _ in 0..N_CALLS {
            let begun = Instant::now();
            let head = self.signed(service, body);
            signing += begun.elapsed();
            let begun = Instant::now();
            let call = self.door.begin(head).map_err(|answer| format!("refused with {}", answer.status))?;
            let answer = call.finish(body.as_bytes().to_vec());
            took.push(begun.elapsed());
            if answer.status != 200 {
                return Err(String::from_utf8_lossy(&answer.body).into_owned().into());
            }
        }
        let seconds = (start.elapsed() - signing).as_secs_f64();
        took.sort();
        let at = |percent: usize| took[(took.len() - 1) * percent / 100];
        #[expect(clippy::cast_precision_loss, reason = "a count of calls")]
        let per_second = N_CALLS as f64 / seconds;
        say(&format!("  {what}  p50 {:?}, p99 {:?}, {per_second:.0} a second", at(50), at(99)));
        Ok(())
    }

    fn signed(&self, service: &str, body: &str) -> ApiHead {
        let texts =
            [("host", "localhost:8443"), ("x-amz-date", AT), ("content-type", "application/x-www-form-urlencoded")];
        let mut headers: Vec<(String, Vec<u8>)> =
            texts.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        let head = Head { method: "POST", path: "/", query: None, headers: &headers };
        let signature =
            signer::authorization(&head, body.as_bytes(), (&self.id, &self.secret), (service, "us-east-1"), AT);
        headers.push(("authorization".to_owned(), signature.into_bytes()));
        let (method, path, source) = ("POST".to_owned(), "/".to_owned(), Ipv4Addr::LOCALHOST.into());
        ApiHead { method, path, query: None, headers, source, request_id: Uuid::now_v7() }
    }
}

fn say(line: &str) {
    use std::io::Write;
    // Nobody reads on: no reason to go on telling.
    let _ = writeln!(std::io::stdout(), "{line}");
}

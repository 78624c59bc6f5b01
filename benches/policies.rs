//! What compiling and asking policies costs: `cargo bench --bench policies`.
//!
//! Prints how long sets of 10,000 and 100,000 policies take to compile, for the first time and after a change of one file,
//! what a decision takes at each size, and how that compares with giving Cedar every policy. Asserts nothing: time is not a
//! thing to assert.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lockgate::names::{AccountId, PrincipalName, RefName, RepositoryName};
use lockgate::policy::{
    Action, ChangeKind, CompileOptions, CompiledPolicies, ContextFacts, DecisionRequest, EveryName, PathFacts,
    PolicyFiles, PrincipalFacts, RefChangeFacts, RefFacts, RepositoryFacts, RequestFacts, ResourceFacts, Tags,
    Transport, UserFacts,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    for n_accounts in [10, 100, 1000] {
        measure(n_accounts)?;
    }
    measure_paths()
}

/// What a push that writes 100,000 paths costs under 20 rules about paths, the diff of the trees left out.
fn measure_paths() -> Result<(), Failure> {
    let owner = account_number(0);
    let mut text = format!("@id(\"all\") permit (principal in Account::\"{owner}\", action, resource);\n");
    for n in 0..20 {
        let condition = match n % 4 {
            0 => format!("resource in Path::\"{owner}/r1/d{n}\""),
            1 => format!("resource.name like \"*/f{n}*.rs\""),
            2 => format!("[\"d1/f{n}\", \"x\"].contains(resource.name)"),
            _ => format!("resource.name == \"d{n}/f1.rs\" && resource is Path"),
        };
        text.push_str(&format!(
            "@id(\"r{n}\") forbid (principal, action == Action::\"codecommit:WritePath\", resource) when {{ {condition} }};\n"
        ));
    }
    let mut files = PolicyFiles::new();
    files.insert(&format!("{owner}/paths.cedar"), text.into_bytes())?;
    let compiled = CompiledPolicies::compile(&files, &EveryName, CompileOptions::default()).map_err(words)?.policies;
    let asked = Asked::random(&mut Random(7), 1)?;
    let repository = RepositoryFacts {
        account: AccountId::parse(&owner)?,
        name: RepositoryName::parse("r1")?,
        default_branch: None,
        tags: Tags::new(),
    };
    let on = RefName::parse(b"refs/heads/main")?;
    let paths: Vec<Vec<u8>> = (0..100_000).map(|n| format!("d{}/e{}/f{n}.rs", n % 40, n % 300).into_bytes()).collect();
    let mut took = Vec::new();
    let mut n_classes = 0;
    for _ in 0..9 {
        let start = Instant::now();
        let rules = compiled.path_rules(&asked.principal, &repository, None);
        let classes = rules.classes(&paths);
        n_classes = classes.len();
        for (path, _) in classes {
            let facts = PathFacts { repository: repository.clone(), on: on.clone(), path: path.to_vec() };
            std::hint::black_box(compiled.decide(&DecisionRequest {
                action: &Action::write_path(),
                resource: &ResourceFacts::Path(facts),
                context: &ContextFacts::WritePath,
                ..asked.request()
            }));
        }
        took.push(start.elapsed());
    }
    took.sort();
    say(&format!("100,000 paths, 20 rules: {:?}, at most {:?}, in {n_classes} classes", took[4], took[8]));
    Ok(())
}

/// Compiles [`PER_ACCOUNT`] policies for each of `n_accounts` accounts, and asks them.
fn measure(n_accounts: u64) -> Result<(), Failure> {
    let files = folder(n_accounts, 0)?;
    let asked = Asked::random(&mut Random(7), n_accounts)?;
    let start = Instant::now();
    let compiled = CompiledPolicies::compile(&files, &EveryName, CompileOptions::default()).map_err(words)?.policies;
    compiled.decide(&asked.request());
    let first = start.elapsed();
    let n_policies = compiled.texts().count();
    say(&format!("{n_policies} policies in {n_accounts} accounts"));
    say(&format!("  compile                {first:?}, first decision included"));
    let changed = folder(n_accounts, 1)?;
    let start = Instant::now();
    let again = CompiledPolicies::compile_after(&compiled, &changed, &EveryName, CompileOptions::default());
    let again = again.map_err(words)?.policies;
    again.decide(&asked.request());
    say(&format!("  one file changed       {:?}, first decision included", start.elapsed()));
    let compiled = again;

    let mut random = Random(42);
    let mut took = Vec::with_capacity(N_REQUESTS);
    let mut n_allowed = 0;
    for _ in 0..N_REQUESTS {
        let asked = Asked::random(&mut random, n_accounts)?;
        let request = asked.request();
        let start = Instant::now();
        let decision = compiled.decide(&request);
        took.push(start.elapsed());
        n_allowed += usize::from(decision.allowed);
    }
    took.sort();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    say(&format!("  decide                 p50 {:?}, p99 {:?}, of {N_REQUESTS}, {n_allowed} allowed", at(50), at(99)));
    if n_policies <= 1000 {
        let everything = everything(&files)?;
        say(&format!(
            "  every policy by Cedar  {everything:?} of evaluation alone, {:.1} times a whole decision",
            everything.as_secs_f64() / at(50).as_secs_f64()
        ));
    }
    Ok(())
}

/// The median time of one request that Cedar judges by every policy of the folder.
fn everything(files: &PolicyFiles) -> Result<Duration, Failure> {
    use cedar_policy::{Authorizer, Context, Entities, PolicySet, Request};
    let mut text = String::new();
    for (_, bytes) in files.iter() {
        text.push_str(std::str::from_utf8(bytes)?);
    }
    let policies: PolicySet = text.parse()?;
    let entities = Entities::from_json_str(
        r#"[{"uid": {"type": "User", "id": "100000000001/u1"}, "attrs": {}, "parents": [{"type": "Group", "id": "100000000001/g1"}]}]"#,
        None,
    )?;
    let request = Request::new(
        r#"User::"100000000001/u1""#.parse()?,
        r#"Action::"codecommit:GitPush""#.parse()?,
        r#"Ref::"100000000001/r1/refs/heads/b1""#.parse()?,
        Context::empty(),
        None,
    )?;
    let mut took = Vec::new();
    for _ in 0..200 {
        let start = Instant::now();
        std::hint::black_box(Authorizer::new().is_authorized(&request, &policies, &entities));
        took.push(start.elapsed());
    }
    took.sort();
    Ok(took[took.len() / 2])
}

/// Permits for groups on repositories, forbids on refs with conditions, some with `like`. `salt` changes the first file only.
fn folder(n_accounts: u64, salt: u64) -> Result<PolicyFiles, Failure> {
    let mut files = PolicyFiles::new();
    for n in 0..n_accounts {
        let owner = account_number(n);
        let mut text = if n == 0 { format!("// {salt}\n") } else { String::new() };
        for p in 0..PER_ACCOUNT {
            let (group, repository, branch) = (p % 7, p % 20, p % 30);
            text.push_str(&match p % 5 {
                0 => format!(
                    "@id(\"p{p}-{owner}\")\npermit (\n  principal in Group::\"{owner}/g{group}\",\n  action in [Action::\"codecommit:Read\", Action::\"codecommit:Review\"],\n  resource in Repository::\"{owner}/r{repository}\"\n);\n\n"
                ),
                1 => format!(
                    "@id(\"p{p}-{owner}\")\npermit (\n  principal in Group::\"{owner}/g{group}\",\n  action in Action::\"codecommit:ChangeRef\",\n  resource in Repository::\"{owner}/r{repository}\"\n);\n\n"
                ),
                2 => format!(
                    "@id(\"p{p}-{owner}\")\n@advice(\"ask group {group}\")\nforbid (\n  principal,\n  action in Action::\"codecommit:ChangeRef\",\n  resource == Ref::\"{owner}/r{repository}/refs/heads/b{branch}\"\n) unless {{ principal in Group::\"{owner}/g{group}\" }};\n\n"
                ),
                3 => format!(
                    "@id(\"p{p}-{owner}\")\nforbid (\n  principal,\n  action in Action::\"codecommit:ChangeRef\",\n  resource in Repository::\"{owner}/r{repository}\"\n) when {{ resource.name like \"refs/heads/release/{branch}/*\" && context.change == \"force\" }};\n\n"
                ),
                _ => format!(
                    "@id(\"p{p}-{owner}\")\nforbid (\n  principal,\n  action == Action::\"codecommit:GitPush\",\n  resource in Ref::\"{owner}/r{repository}/refs/heads/t{branch}\"\n) when {{ !context.request.mfa && context.change != \"fast-forward\" }} unless {{ principal in Group::\"{owner}/g{group}\" }};\n\n"
                ),
            });
        }
        files.insert(&format!("{owner}/all.cedar"), text.into_bytes())?;
    }
    Ok(files)
}

/// One request and the facts that it borrows.
struct Asked {
    principal: PrincipalFacts,
    action: Action,
    resource: ResourceFacts,
    request: RequestFacts,
    context: ContextFacts,
}

impl Asked {
    /// A push to a ref, half of them to a ref that policies name.
    fn random(random: &mut Random, n_accounts: u64) -> Result<Asked, Failure> {
        let owner = AccountId::parse(&account_number(random.below(n_accounts)))?;
        let groups: BTreeSet<u64> = (0..random.below(4)).map(|_| random.below(7)).collect();
        let groups = groups.iter().map(|group| PrincipalName::parse(&format!("g{group}")));
        let principal = PrincipalFacts::User(UserFacts {
            account: owner.clone(),
            name: PrincipalName::parse(&format!("u{}", random.below(50)))?,
            groups: groups.collect::<Result<_, _>>()?,
            mfa_enrolled: true,
            tags: Tags::new(),
        });
        let repository = RepositoryFacts {
            account: owner,
            name: RepositoryName::parse(&format!("r{}", random.below(20)))?,
            default_branch: Some(RefName::branch("main")?),
            tags: Tags::new(),
        };
        let branch = match random.below(4) {
            0 => format!("b{}", random.below(30)),
            1 => format!("t{}/x", random.below(30)),
            2 => format!("release/{}/1", random.below(30)),
            _ => format!("topic/{}", random.below(1000)),
        };
        let kind = [ChangeKind::Create, ChangeKind::FastForward, ChangeKind::Force][random.below(3) as usize];
        let request = RequestFacts {
            time_ms: 1_700_000_000_000 + random.below(1 << 30) as i64,
            source_ip: Some([10, 1, 2, 3].into()),
            transport: Transport::Ssh,
            mfa: random.below(2) == 0,
        };
        Ok(Asked {
            principal,
            action: Action::git_push(),
            resource: ResourceFacts::Ref(RefFacts { repository, name: RefName::branch(&branch)? }),
            request,
            context: ContextFacts::RefChange(RefChangeFacts::of_kind(kind)),
        })
    }

    fn request(&self) -> DecisionRequest<'_> {
        DecisionRequest {
            id: uuid::Uuid::nil(),
            principal: &self.principal,
            action: &self.action,
            resource: &self.resource,
            request: &self.request,
            context: &self.context,
            extra_context: None,
            session_policy: None,
        }
    }
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn account_number(n: u64) -> String {
    format!("{}", 100_000_000_000 + n)
}

fn words(problems: Vec<lockgate::policy::Problem>) -> Failure {
    problems.iter().map(|problem| format!("{problem}\n")).collect::<String>().into()
}

#[expect(clippy::print_stdout, reason = "a measurement is for whoever runs it")]
fn say(line: &str) {
    println!("{line}");
}

const PER_ACCOUNT: u64 = 100;
const N_REQUESTS: usize = 20_000;

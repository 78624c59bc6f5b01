//! The cookbook of `docs/policies.md`, run: each recipe's policies are compiled, and each of its requests decided.
//!
//! A recipe is a `### N. Title` in the section `## Cookbook`, with
//! - one line `Builds on: nothing`, `Builds on: the starter policies` or `... without NAME, NAME`, names in backticks,
//! - a line `Not asked yet: ...` if and only if some of its requests, or facts of them, are nothing that this server asks today,
//! - blocks of Cedar, each with the file that it stands in behind the word `cedar`,
//! - one block `requests` whose lines read as the section's beginning says.
//!
//! Besides that each line holds, each policy has to matter: without it, some request that was refused is allowed or the other
//! way round. Whatever is not understood fails, so that no line is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use uuid::Uuid;

use crate::names::{AccountId, PrincipalName, RefName, RepositoryName};
use crate::policy::*;

const DOCUMENT: &str = include_str!("../../../docs/policies.md");
const HOME: &str = "111111111111";

/// What Git's doors ask, and taking roles. The API's table says what it asks besides.
const ASKED: [&str; 7] = [
    "codecommit:GetRepository",
    "codecommit:GitPull",
    "codecommit:GitPush",
    "codecommit:WritePath",
    "sts:AssumeRole",
    "sts:AssumeRoleWithWebIdentity",
    "sts:GetSessionToken",
];

/// The table of services says which of them have actions that this server asks.
#[test]
fn the_page_says_what_is_asked() {
    let rows = DOCUMENT.lines().filter_map(|line| {
        let [service, asked] =
            line.strip_prefix("| `")?.strip_suffix(" |")?.split_once(":` | ").map(|(a, b)| [a, b])?;
        Some((service.to_owned(), asked != "none"))
    });
    let told: BTreeMap<String, bool> = rows.collect();
    let mut asked: BTreeMap<String, bool> = BTreeMap::new();
    for action in Action::all() {
        let service = action.as_str().split(':').next().unwrap().to_owned();
        *asked.entry(service).or_default() |= is_asked(&action);
    }
    assert_eq!(told, asked);
}

/// A policy's file and text.
type Text = (String, String);

#[derive(Debug, Default)]
struct Recipe {
    title: String,
    /// The starter policies that are left out; none for a recipe that builds on nothing.
    starter_without: Option<Vec<String>>,
    says_what_it_builds_on: bool,
    says_what_is_not_asked: bool,
    files: Vec<Text>,
    requests: Vec<String>,
}

/// One line of requests.
struct Line {
    principal: PrincipalFacts,
    action: Action,
    resource: ResourceFacts,
    request: RequestFacts,
    context: ContextFacts,
    /// Whether this server asks such a thing today, with facts that it has.
    is_asked: bool,
    allowed: bool,
    /// The policies that decide.
    by: BTreeSet<String>,
}

#[test]
fn each_recipe_does_what_it_says() {
    let recipes = recipes(DOCUMENT).unwrap();
    assert!(recipes.len() >= 20, "{} recipes", recipes.len());
    let failures: Vec<String> = recipes.iter().flat_map(Recipe::failures).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The checks of this file find what is wrong.
#[test]
fn a_recipe_that_does_not_hold_fails_with_its_title() {
    let fine = "\
## Cookbook
### 1. Dan reads
Builds on: nothing
```cedar 111111111111/dan.cedar
@id(\"dan-reads\") permit (principal == User::\"111111111111/dan\", action in Action::\"codecommit:Read\", resource);
@id(\"not-shop\") forbid (principal, action, resource in Repository::\"111111111111/shop\");
```
```requests
dan  codecommit:GitPull  tools  -> allowed by `dan-reads`
dan  codecommit:GitPull  shop   -> refused by `not-shop`
sue  codecommit:GitPull  tools  -> refused
dan  codecommit:GetRepository  other -> allowed
```
## Next
### 2. Not a recipe
";
    let failures = |text: &str| match recipes(text) {
        Ok(recipes) => recipes.iter().flat_map(Recipe::failures).collect::<Vec<_>>().join("\n"),
        Err(failed) => failed,
    };
    assert_eq!(failures(fine), "");
    for (part, other, said) in [
        ("tools  -> allowed", "tools  -> refused", "recipe 1. Dan reads: `dan  codecommit:GitPull  tools"),
        ("by `dan-reads`", "by `dan-writes`", "permitted by policy dan-reads"),
        ("by `not-shop`", "", "denied by policy not-shop"),
        ("dan  codecommit:GitPull  shop   -> refused by `not-shop`\n", "", "nothing changes without `not-shop`"),
        ("GitPull  shop ", "GitPul  shop ", "`codecommit:GitPul` is no action"),
        ("GitPull  shop ", "GitPull  shop change=force ", "`change` is not understood"),
        ("GitPull  shop ", "GitPush  shop ", "cannot be judged"),
        ("-> allowed", "-> alowed", "neither `allowed` nor `refused`"),
        ("Builds on: nothing", "Builds on: nothing\nNot asked yet: x", "everything is asked"),
        ("codecommit:GetRepository  other", "codecommit:GetUploadArchiveStatus  other", "something is not asked"),
        ("Builds on: nothing", "", "does not say what it builds on"),
        ("Builds on: nothing", "Builds on: the starter policies without `x`", "no starter policy `x`"),
        ("permit (principal ==", "permit (principal =", "111111111111/dan.cedar:1"),
        ("### 1.", "### 2.", "recipe 1 is expected"),
        ("```requests", "```request", "`request` is no block of a recipe"),
        ("sue  codecommit:GitPull  tools  -> refused\n", "sue  codecommit:GitPull  tools\n", "without ` -> `"),
    ] {
        let broken = fine.replace(part, other);
        assert_ne!(broken, fine, "{part}");
        assert!(failures(&broken).contains(said), "{part} -> {other}: {}", failures(&broken));
    }
}

impl Recipe {
    /// What does not hold, each with the recipe's title.
    fn failures(&self) -> Vec<String> {
        let failed = |what: String| format!("recipe {}: {what}", self.title);
        match self.run() {
            Ok(found) => found.into_iter().map(failed).collect(),
            Err(what) => vec![failed(what)],
        }
    }

    fn run(&self) -> Result<Vec<String>, String> {
        if !self.says_what_it_builds_on {
            return Err("it does not say what it builds on".to_owned());
        }
        let base = self.base()?;
        let whole = compile(base.iter().chain(&self.files))?;
        let lines = self.requests.iter().map(|line| Line::parse(line).map_err(|bad| format!("`{line}`: {bad}")));
        let lines = lines.collect::<Result<Vec<Line>, String>>()?;
        if !lines.iter().any(|line| line.allowed) || !lines.iter().any(|line| !line.allowed) {
            return Err("it shows nothing that is allowed, or nothing that is refused".to_owned());
        }
        let mut found = Vec::new();
        let all_asked = lines.iter().all(|line| line.is_asked);
        if all_asked == self.says_what_is_not_asked {
            let (has, is) = if all_asked { ("a", "everything is asked") } else { ("no", "something is not asked") };
            found.push(format!("it has {has} line `Not asked yet: `, and {is}"));
        }
        for (line, words) in lines.iter().zip(&self.requests) {
            let decision = line.decide(&whole);
            let by: BTreeSet<String> = decision.determining.iter().map(|policy| policy.id.clone()).collect();
            // What is allowed may leave out who permits it, what is refused says all that forbids it.
            let names = by == line.by || (line.allowed && line.by.is_empty());
            if decision.allowed != line.allowed || !names || decision.verdicts.is_empty() {
                found.push(format!("`{words}`: {}", decision.reason));
            }
        }
        let base_ids: BTreeSet<String> = compile(&base)?.texts().map(|text| text.id.clone()).collect();
        for own in whole.texts().filter(|text| !base_ids.contains(&text.id)) {
            let others =
                whole.texts().filter(|text| text.id != own.id).map(|text| (text.file.clone(), text.text.clone()));
            let without = compile(&others.collect::<Vec<Text>>())?;
            if lines.iter().all(|line| line.decide(&without).allowed == line.allowed) {
                found.push(format!("nothing changes without `{}`", own.id));
            }
        }
        Ok(found)
    }

    /// The policies that the recipe builds on.
    fn base(&self) -> Result<Vec<Text>, String> {
        let Some(left_out) = &self.starter_without else { return Ok(Vec::new()) };
        let starter = starter_files(&AccountId::parse(HOME).unwrap());
        let starter = CompiledPolicies::compile(&starter, &EveryName, CompileOptions::default()).unwrap().policies;
        if let Some(unknown) = left_out.iter().find(|id| starter.text(id).is_none()) {
            return Err(format!("there is no starter policy `{unknown}`"));
        }
        let kept = starter.texts().filter(|text| !left_out.contains(&text.id));
        Ok(kept.map(|text| (text.file.clone(), text.text.clone())).collect())
    }
}

fn compile<'a>(texts: impl IntoIterator<Item = &'a Text>) -> Result<CompiledPolicies, String> {
    let mut by_file: BTreeMap<&str, String> = BTreeMap::new();
    for (file, text) in texts {
        by_file.entry(file).or_default().push_str(&format!("{text}\n"));
    }
    let mut files = PolicyFiles::new();
    for (file, text) in by_file {
        files.insert(file, text.into_bytes()).map_err(|failed| failed.to_string())?;
    }
    let listed = |problems: Vec<Problem>| problems.iter().map(|p| format!("{p}\n")).collect::<String>();
    let compiled = CompiledPolicies::compile(&files, &EveryName, CompileOptions::default()).map_err(listed)?;
    match compiled.warnings.is_empty() {
        true => Ok(compiled.policies),
        false => Err(listed(compiled.warnings)),
    }
}

/// The recipes of a document, in order.
fn recipes(document: &str) -> Result<Vec<Recipe>, String> {
    let mut recipes: Vec<Recipe> = Vec::new();
    let (mut inside, mut block) = (false, None::<String>);
    for line in document.lines() {
        if let Some(fence) = line.strip_prefix("```") {
            block = match block {
                Some(_) => None,
                None => Some(fence.to_owned()),
            };
            let Some((recipe, opened)) = recipes.last_mut().filter(|_| inside).zip(block.as_ref()) else { continue };
            match opened.strip_prefix("cedar ") {
                Some(file) => recipe.files.push((file.to_owned(), String::new())),
                None if opened == "requests" => {}
                None => return Err(format!("recipe {}: `{opened}` is no block of a recipe", recipe.title)),
            }
            continue;
        }
        if block.is_none() && line.starts_with("## ") {
            inside = line == "## Cookbook";
        }
        if !inside {
            continue;
        }
        match (&block, recipes.last_mut()) {
            (None, _) if line.starts_with("### ") => {
                let title = line.trim_start_matches("### ").to_owned();
                let number = recipes.len() + 1;
                if !title.starts_with(&format!("{number}. ")) {
                    return Err(format!("`{title}`: recipe {number} is expected"));
                }
                recipes.push(Recipe { title, ..Recipe::default() });
            }
            (None, Some(recipe)) if line.starts_with("Not asked yet: ") => recipe.says_what_is_not_asked = true,
            (None, Some(recipe)) if line.starts_with("Builds on: ") => {
                recipe.says_what_it_builds_on = true;
                let words = line.trim_start_matches("Builds on: ");
                if let Some(rest) = words.strip_prefix("the starter policies") {
                    recipe.starter_without = Some(in_backticks(rest));
                } else if words != "nothing" {
                    return Err(format!("recipe {}: `{words}` is not understood", recipe.title));
                }
            }
            (Some(block), Some(recipe)) if block == "requests" && !line.trim().is_empty() => {
                recipe.requests.push(line.to_owned());
            }
            (Some(_), Some(recipe)) => {
                if let Some((_, text)) = recipe.files.last_mut() {
                    text.push_str(&format!("{line}\n"));
                }
            }
            _ => {}
        }
    }
    Ok(recipes)
}

fn in_backticks(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

impl Line {
    fn parse(line: &str) -> Result<Line, String> {
        let (asked, expected) = line.split_once(" -> ").ok_or("a line without ` -> `")?;
        let mut options = BTreeMap::new();
        let mut words = Vec::new();
        for word in asked.split_whitespace() {
            // A principal's own settings stand in brackets.
            match word.split_once('=').filter(|(key, _)| !key.contains('(')) {
                Some((key, value)) => drop(options.insert(key, value)),
                None => words.push(word),
            }
        }
        let [principal, action, resource @ ..] = words.as_slice() else {
            return Err("who, what and to what are expected".to_owned());
        };
        let action = Action::parse(action).map_err(|unknown| unknown.to_string())?;
        let is_asked = is_asked(&action);
        let mut options = Options(options);
        let line = Line {
            principal: principal_facts(principal)?,
            resource: resource_facts(resource, &mut options)?,
            request: options.request()?,
            context: options.context(&action)?,
            action,
            is_asked,
            allowed: match expected.split_whitespace().next() {
                Some("allowed") => true,
                Some("refused") => false,
                _ => return Err("neither `allowed` nor `refused`".to_owned()),
            },
            by: in_backticks(expected).into_iter().collect(),
        };
        match options.0.keys().next() {
            Some(unknown) => Err(format!("`{unknown}` is not understood here")),
            None => Ok(line),
        }
    }

    fn decide(&self, policies: &CompiledPolicies) -> Decision {
        policies.decide(&DecisionRequest {
            id: Uuid::nil(),
            principal: &self.principal,
            action: &self.action,
            resource: &self.resource,
            request: &self.request,
            context: &self.context,
            extra_context: None,
            session_policy: None,
        })
    }
}

/// `key=value` of a line, each taken once.
struct Options<'a>(BTreeMap<&'a str, &'a str>);

impl Options<'_> {
    fn text(&mut self, key: &str) -> Option<String> {
        self.0.remove(key).map(str::to_owned)
    }

    fn list(&mut self, key: &str) -> Option<BTreeSet<String>> {
        self.0.remove(key).map(|value| value.split(',').map(str::to_owned).collect())
    }

    fn parsed<T: std::str::FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        let Some(value) = self.0.remove(key) else { return Ok(None) };
        value.parse().map(Some).map_err(|_| format!("`{key}={value}` is not understood"))
    }

    fn yes(&mut self, key: &str) -> Result<Option<bool>, String> {
        match self.0.remove(key) {
            None => Ok(None),
            Some("yes") => Ok(Some(true)),
            Some("no") => Ok(Some(false)),
            Some(value) => Err(format!("`{key}={value}` is neither yes nor no")),
        }
    }

    fn users(&mut self, key: &str) -> Result<Vec<UserFacts>, String> {
        self.list(key).into_iter().flatten().map(|name| user_facts(&account(HOME)?, &name, &[])).collect()
    }

    fn request(&mut self) -> Result<RequestFacts, String> {
        let time: jiff::Timestamp = match self.parsed("time")? {
            Some(time) => time,
            None => "2026-11-23T10:00:00Z".parse().map_err(|failed: jiff::Error| failed.to_string())?,
        };
        let transport = match self.text("transport").as_deref() {
            None | Some("https") => Transport::Https,
            Some("ssh") => Transport::Ssh,
            Some("api") => Transport::Api,
            Some(other) => return Err(format!("`{other}` is no transport")),
        };
        Ok(RequestFacts {
            time_ms: time.as_millisecond(),
            source_ip: self.parsed("ip")?,
            transport,
            mfa: self.yes("mfa")?.unwrap_or(false),
        })
    }

    fn context(&mut self, action: &Action) -> Result<ContextFacts, String> {
        match action.as_str() {
            _ if action.changes_a_ref() => Ok(ContextFacts::RefChange(self.ref_change()?)),
            "codecommit:WritePath" => Ok(ContextFacts::WritePath),
            "sts:AssumeRole" => Ok(ContextFacts::AssumeRole(self.assume_role()?)),
            "sts:AssumeRoleWithWebIdentity" => Ok(ContextFacts::AssumeRoleWithWebIdentity(self.assume_role()?)),
            "codebuild:StartBuild" => Ok(ContextFacts::StartBuild {
                overrides: self.list("overrides").unwrap_or_default(),
                source_version: self.text("source-version"),
            }),
            "codepipeline:PutApprovalResult" => {
                Ok(ContextFacts::Approval { approved: true, is_author: self.yes("own")? })
            }
            "iam:PassRole" => {
                let passed_to = self.text("passed-to").ok_or("`passed-to` is expected")?;
                Ok(ContextFacts::PassRole { passed_to })
            }
            _ => match ContextFacts::least_for(action) {
                ContextFacts::Tagging { .. } => Ok(ContextFacts::tagging(self.tags("request-tags")?)),
                least => Ok(least),
            },
        }
    }

    /// `KEY:VALUE,...`
    fn tags(&mut self, option: &str) -> Result<Tags, String> {
        let tag = |word: &String| word.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tags: Option<Tags> = self.list(option).unwrap_or_default().iter().map(tag).collect();
        tags.ok_or_else(|| format!("tags are `{option}=KEY:VALUE,...`"))
    }

    fn assume_role(&mut self) -> Result<AssumeRoleFacts, String> {
        Ok(AssumeRoleFacts {
            session_name: self.text("session-name").unwrap_or_else(|| "session-1".to_owned()),
            external_id: self.text("external-id"),
            source_identity: self.text("source-identity"),
            source_arn: self.text("source-arn"),
            session_tags: self.tags("session-tags")?,
            transitive_tag_keys: self.list("transitive-tags").unwrap_or_default(),
        })
    }

    fn ref_change(&mut self) -> Result<RefChangeFacts, String> {
        let change = self.text("change").unwrap_or_else(|| "fast-forward".to_owned());
        let change = ChangeKind::parse(&change).ok_or_else(|| format!("`{change}` is no change of a ref"))?;
        let pull_request = match self.parsed("approvals")? {
            None => None,
            Some(approval_count) => Some(PullRequestFacts {
                is_author: self.yes("own")?.unwrap_or(false),
                approval_count,
                approvers: self.users("approvers")?,
                approval_rules_satisfied: self.list("rules").unwrap_or_default(),
                path_owners_approved: self.yes("owners-approved")?.unwrap_or(false),
            }),
        };
        Ok(RefChangeFacts {
            commit_count: self.parsed("commits")?,
            authors: self.list("authors"),
            committers: self.list("committers"),
            all_authors_registered: self.yes("registered")?,
            all_commits_signed: self.yes("signed")?.unwrap_or(false),
            signers: self.users("signers")?,
            pull_request,
            checks_passed: self.list("checks").unwrap_or_default(),
            push_options: self.list("push-options").unwrap_or_default().into_iter().collect(),
            ..RefChangeFacts::of_kind(change)
        })
    }
}

/// `web:ISSUER/SUBJECT`, `alice`, `alice(group,group)`, `session:role/name`, `session:role/name(sourceIdentity=alice)`, `service:name`.
fn principal_facts(word: &str) -> Result<PrincipalFacts, String> {
    if let Some(service) = word.strip_prefix("service:") {
        return Ok(PrincipalFacts::Service(service.to_owned()));
    }
    if let Some((issuer, subject)) = word.strip_prefix("web:").and_then(|web| web.split_once('/')) {
        return Ok(PrincipalFacts::WebIdentity(Box::new(WebIdentityFacts {
            account: account(HOME)?,
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            audience: "sts.amazonaws.com".to_owned(),
            authorized_party: None,
            provider_tags: Tags::new(),
            claims: Tags::new(),
        })));
    }
    let (owner, word) = owned(word)?;
    let (word, inside) = match word.strip_suffix(')').and_then(|word| word.split_once('(')) {
        Some((word, inside)) => (word, inside.split(',').collect()),
        None => (word, Vec::new()),
    };
    let Some(session) = word.strip_prefix("session:") else {
        return Ok(PrincipalFacts::User(user_facts(&owner, word, &inside)?));
    };
    let (role, session) = session.split_once('/').ok_or("a session is `session:ROLE/NAME`")?;
    let source_identity = match inside.as_slice() {
        [] => None,
        [one] => Some(one.strip_prefix("sourceIdentity=").ok_or_else(|| format!("`{one}` is not understood"))?),
        _ => return Err("a session has one setting at most".to_owned()),
    };
    Ok(PrincipalFacts::Session(Box::new(SessionFacts {
        role: RoleFacts { account: owner, name: name(role)?, tags: Tags::new() },
        name: name(session)?,
        source_identity: source_identity.map(str::to_owned),
        original_user: None,
        on_behalf_of: None,
        tags: Tags::new(),
    })))
}

/// `account`, `role:NAME`, `user:NAME`, `group:NAME`, `Stage:PIPELINE/STAGE` and so on, `REPOSITORY`, `REPOSITORY REF`, `REPOSITORY PATH on REF`.
fn resource_facts(words: &[&str], options: &mut Options<'_>) -> Result<ResourceFacts, String> {
    let [first, rest @ ..] = words else { return Err("no resource".to_owned()) };
    let (account, first) = owned(first)?;
    let tags = match options.text("tag") {
        None => Tags::new(),
        Some(tag) => {
            let (key, value) = tag.split_once(':').ok_or("a tag is `tag=KEY:VALUE`")?;
            Tags::from([(key.to_owned(), value.to_owned())])
        }
    };
    if first == "account" && rest.is_empty() {
        return Ok(ResourceFacts::Account(account));
    }
    if let Some(role) = first.strip_prefix("role:").filter(|_| rest.is_empty()) {
        return Ok(ResourceFacts::Role(RoleFacts { account, name: name(role)?, tags }));
    }
    if let Some(user) = first.strip_prefix("user:").filter(|_| rest.is_empty()) {
        return Ok(ResourceFacts::User(UserFacts { tags, ..user_facts(&account, user, &[])? }));
    }
    if let Some(group) = first.strip_prefix("group:").filter(|_| rest.is_empty()) {
        return Ok(ResourceFacts::Group(GroupFacts { account, name: name(group)? }));
    }
    let named = first.split_once(':').and_then(|(kind, id)| Some((NamedKind::of_type(kind)?, id)));
    if let (Some((kind, id)), []) = (named, rest) {
        let name = kind.name_of_id(id).ok_or_else(|| format!("`{id}` is no name of a {}", kind.type_name()))?;
        return Ok(ResourceFacts::Named(NamedFacts { kind, account, name, tags }));
    }
    let repository = RepositoryFacts {
        account,
        name: RepositoryName::parse(first).map_err(|bad| bad.to_string())?,
        default_branch: RefName::branch("main").ok(),
        tags,
    };
    let reference = |word: &str| RefName::parse(word.as_bytes()).map_err(|bad| bad.to_string());
    match rest {
        [] => Ok(ResourceFacts::Repository(repository)),
        [name] => Ok(ResourceFacts::Ref(RefFacts { repository, name: reference(name)? })),
        [path, "on", on] => {
            Ok(ResourceFacts::Path(PathFacts { repository, on: reference(on)?, path: path.as_bytes().to_vec() }))
        }
        _ => Err("no such resource".to_owned()),
    }
}

/// `ACCOUNT:rest`, or `rest` of the account that most recipes are about.
fn owned(word: &str) -> Result<(AccountId, &str), String> {
    match word.split_once(':') {
        Some((owner, rest)) if owner.bytes().all(|byte| byte.is_ascii_digit()) => Ok((account(owner)?, rest)),
        _ => Ok((account(HOME)?, word)),
    }
}

/// Whether some door asks for the action today.
fn is_asked(action: &Action) -> bool {
    static BY_API: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
        let all = crate::api::operations().unwrap();
        all.iter().filter_map(|(_, _, operation)| operation.action().ok().map(ToString::to_string)).collect()
    });
    ASKED.contains(&action.as_str()) || BY_API.contains(action.as_str())
}

fn account(id: &str) -> Result<AccountId, String> {
    AccountId::parse(id).map_err(|bad| bad.to_string())
}

fn name(name: &str) -> Result<PrincipalName, String> {
    PrincipalName::parse(name).map_err(|bad| bad.to_string())
}

fn user_facts(owner: &AccountId, user: &str, groups: &[&str]) -> Result<UserFacts, String> {
    Ok(UserFacts {
        account: owner.clone(),
        name: name(user)?,
        groups: groups.iter().map(|group| name(group)).collect::<Result<_, _>>()?,
        mfa_enrolled: false,
        tags: Tags::new(),
    })
}

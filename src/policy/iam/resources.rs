//! IAM's resources: ARNs and patterns of them, class by class, as what Cedar can ask of our resources.

use super::actions::Class;
use super::document::Names;
use super::expression::{Expression, entity};
use super::problem::{Why, shown, why};
use super::value::{Token, like_pattern, plain, tokens, variable_inside};
use crate::names::{AccountId, PrincipalName, RepositoryName};
use crate::policy::NamedKind;

/// What is known about the import as a whole.
pub(super) struct Surroundings<'a> {
    pub(super) region: &'a str,
    /// The user that the policy is for, if it is for one.
    pub(super) user_name: Option<&'a str>,
}

/// Which resources a statement speaks of, for one class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Resources {
    /// What the policy's scope says, such as `resource in Repository::"..."`.
    pub(super) scope: String,
    /// What remains to be asked.
    pub(super) condition: Expression,
}

/// What one pattern matches, of one class.
enum Found {
    Never,
    Any,
    /// `resource in E` or `resource == E`.
    Entity(String),
    Test(Expression),
}

impl Resources {
    /// Whatever the class's actions are asked for.
    pub(super) fn any() -> Resources {
        Resources { scope: "resource".to_owned(), condition: Expression::True }
    }

    pub(super) fn of(names: &Names, class: Class, surroundings: &Surroundings<'_>) -> Result<Resources, Why> {
        let mut found = Vec::new();
        for pattern in &names.list {
            found.push(matched(pattern, class, surroundings)?);
        }
        if !names.negated
            && let [Found::Entity(relation)] = found.as_slice()
        {
            return Ok(Resources { scope: format!("resource {relation}"), condition: Expression::True });
        }
        let any = Expression::any(found.into_iter().map(|found| match found {
            Found::Never => Expression::False,
            Found::Any => Expression::True,
            Found::Entity(relation) => Expression::test(format!("resource {relation}")),
            Found::Test(expression) => expression,
        }));
        Ok(Resources { scope: "resource".to_owned(), condition: if names.negated { any.not() } else { any } })
    }
}

fn matched(pattern: &str, class: Class, surroundings: &Surroundings<'_>) -> Result<Found, Why> {
    let tokens = tokens(pattern, true, surroundings.user_name)?;
    if tokens == [Token::Star] {
        return Ok(Found::Any);
    }
    let arn = Arn::parse(pattern, &tokens)?;
    match (arn.service.as_str(), class) {
        ("codecommit", Class::Repository | Class::Ref | Class::Path) => {
            arn.check_region(surroundings)?;
            repository(&arn, class)
        }
        ("iam", Class::AssumeRole | Class::AssumeRoleWithWebIdentity | Class::PassRole | Class::Role) => {
            arn.check_global()?;
            principal(&arn, "role", "Role")
        }
        ("iam", Class::User) => {
            arn.check_global()?;
            principal(&arn, "user", "User")
        }
        ("iam", Class::Group) => {
            arn.check_global()?;
            principal(&arn, "group", "Group")
        }
        (service, Class::Named(kind)) if service == kind.arn().service => {
            match kind.arn().has_region {
                true => arn.check_region(surroundings)?,
                false => arn.check_global()?,
            }
            named(&arn, kind)
        }
        _ => Ok(Found::Never),
    }
}

/// A resource pattern in its parts.
struct Arn {
    whole: String,
    service: String,
    region: Vec<Token>,
    /// None for `*`.
    account: Option<AccountId>,
    rest: Vec<Token>,
}

impl Arn {
    fn parse(whole: &str, tokens: &[Token]) -> Result<Arn, Why> {
        let bad = |said: &str| why(format!("`{}` {said}", shown(whole)), ARN_SHAPE);
        // The one variable that can stand in a resource is the caller's name, as the whole name of a user or of a user's device.
        let is_own =
            |token: &Token| matches!(token, Token::Variable(name) if name.eq_ignore_ascii_case("aws:username"));
        let owned = ["user/", "mfa/"].iter().any(|prefix| {
            let before: Vec<Token> = format!(":{prefix}").chars().map(Token::Char).collect();
            tokens.split_last().is_some_and(|(last, rest)| is_own(last) && rest.ends_with(&before))
        });
        let n_checked = tokens.len() - usize::from(owned);
        if let Some(Token::Variable(name)) = tokens[..n_checked].iter().find(|t| matches!(t, Token::Variable(_))) {
            return Err(variable_inside(name));
        }
        let parts: Vec<&[Token]> = tokens.splitn(6, |token| *token == Token::Char(':')).collect();
        let [arn, partition, service, region, account, rest] = parts.as_slice() else {
            return Err(bad("is neither `*` nor an ARN of six parts"));
        };
        if plain(arn).as_deref() != Some("arn") || !matches!(plain(partition).as_deref(), Some("aws")) {
            return Err(bad("does not begin with `arn:aws:`"));
        }
        let service = plain(service).filter(|service| !service.is_empty());
        let service = service.ok_or_else(|| bad("has no plain service name"))?;
        // Another service's ARNs look different, and nothing of them is here.
        let ours = service == "codecommit" || NamedKind::all().any(|kind| kind.arn().service == service);
        // Those of buckets have no account.
        let ours = ours && service != "s3";
        let account = match plain(account) {
            _ if !ours || *account == [Token::Star] => None,
            Some(id) => Some(AccountId::parse(&id).map_err(|_| bad("has no account of twelve digits, and not `*`"))?),
            None => return Err(bad("has a wildcard within the account's number")),
        };
        let (region, rest) = (region.to_vec(), rest.to_vec());
        Ok(Arn { whole: shown(whole), service, region, account, rest })
    }

    fn check_region(&self, surroundings: &Surroundings<'_>) -> Result<(), Why> {
        if self.region == [Token::Star] || plain(&self.region).as_deref() == Some(surroundings.region) {
            return Ok(());
        }
        Err(why(
            format!("`{}` speaks of another region than this server's, `{}`", self.whole, shown(surroundings.region)),
            "write `*` for the region, or leave it out if it is not meant for here",
        ))
    }

    fn check_global(&self) -> Result<(), Why> {
        if self.region.is_empty() || self.region == [Token::Star] {
            return Ok(());
        }
        Err(why(
            format!("`{}` has a region, which ARNs of IAM have not", self.whole),
            "write `arn:aws:iam::ACCOUNT:role/NAME`",
        ))
    }

    fn in_account(&self) -> Expression {
        match &self.account {
            Some(account) => Expression::test(format!("resource in {}", entity("Account", account.as_str()))),
            None => Expression::True,
        }
    }

    /// All of an account, or all there is.
    fn all(&self) -> Found {
        match &self.account {
            Some(account) => Found::Entity(format!("in {}", entity("Account", account.as_str()))),
            None => Found::Any,
        }
    }
}

fn repository(arn: &Arn, class: Class) -> Result<Found, Why> {
    if arn.rest == [Token::Star] {
        return Ok(arn.all());
    }
    if let (Some(name), Some(account)) = (plain(&arn.rest), &arn.account) {
        let name = RepositoryName::parse(&name).map_err(|invalid| {
            why(format!("`{}` names nothing that can be: {}", arn.whole, shown(&invalid.to_string())), ARN_SHAPE)
        })?;
        let id = format!("{account}/{name}");
        return Ok(Found::Entity(format!("in {}", entity("Repository", &id))));
    }
    if class != Class::Repository {
        return Err(why(
            format!(
                "`{}` is a pattern of repositories, and a change of a ref knows its repository only as a whole",
                arn.whole
            ),
            "name each repository, or write `*`",
        ));
    }
    let name = match plain(&arn.rest) {
        Some(name) => Expression::test(format!("resource.name == {}", super::expression::literal(&name))),
        None => Expression::test(format!("resource.name like {}", like_pattern(&arn.rest)?)),
    };
    Ok(Found::Test(Expression::all([arn.in_account(), name])))
}

/// `kind/NAME` of IAM: `role/deployer`.
fn principal(arn: &Arn, kind: &str, entity_type: &str) -> Result<Found, Why> {
    if arn.rest == [Token::Star] {
        return Ok(arn.all());
    }
    let Some(name) = behind(arn, &format!("{kind}/"))? else { return Ok(Found::Never) };
    if name == [Token::Star] {
        return Ok(arn.all());
    }
    let test = match (plain(name), &arn.account) {
        (Some(name), Some(account)) => {
            let name = PrincipalName::parse(&name).map_err(|_| {
                why(
                    format!("`{}` names no {kind} that can be", arn.whole),
                    format!("write `{kind}/NAME`; names have no path here"),
                )
            })?;
            return Ok(Found::Entity(format!("== {}", entity(entity_type, &format!("{account}/{name}")))));
        }
        (Some(name), None) if entity_type != "Group" => {
            Expression::test(format!("resource.name == {}", super::expression::literal(&name)))
        }
        (None, _) if matches!(name, [Token::Variable(_)]) => own_name(),
        (None, _) if entity_type != "Group" => Expression::test(format!("resource.name like {}", like_pattern(name)?)),
        _ => {
            return Err(why(
                format!("`{}` is a pattern of groups, which are known only as a whole here", arn.whole),
                "name each group with its account, or write `group/*`",
            ));
        }
    };
    Ok(Found::Test(Expression::all([arn.in_account(), test])))
}

/// The resource is called as the user is who asks.
fn own_name() -> Expression {
    Expression::all([Expression::test("principal is User"), Expression::test("resource.name == principal.name")])
}

/// What stands behind `prefix`; none if the pattern cannot begin so.
fn behind<'a>(arn: &'a Arn, prefix: &str) -> Result<Option<&'a [Token]>, Why> {
    let begin: String =
        arn.rest.iter().map_while(|token| if let Token::Char(c) = token { Some(*c) } else { None }).collect();
    if begin.starts_with(prefix) {
        return Ok(Some(&arn.rest[prefix.chars().count()..]));
    }
    match begin.chars().count() < arn.rest.len() && prefix.starts_with(&begin) {
        true => Err(why(
            format!("`{}` has a wildcard before `{prefix}` is over", arn.whole),
            format!("write `{prefix}NAME`, or `*` for all"),
        )),
        false => Ok(None),
    }
}

/// A thing that is known by its kind and name: as a whole, or all of an account.
fn named(arn: &Arn, kind: NamedKind) -> Result<Found, Why> {
    let shape = kind.arn();
    if !shape.is_exact {
        return Err(why(
            format!("`{}` is not translated: its form says less or more than a name does here", arn.whole),
            format!("write `*`, or a policy in Cedar that names a `{}`", kind.type_name()),
        ));
    }
    if arn.rest == [Token::Star] {
        return Ok(arn.all());
    }
    let Some(name) = behind(arn, shape.prefix)? else { return Ok(Found::Never) };
    if name == [Token::Star] && !shape.prefix.is_empty() {
        return Ok(arn.all());
    }
    if kind == NamedKind::MfaDevice && matches!(name, [Token::Variable(_)]) {
        return Ok(Found::Test(Expression::all([arn.in_account(), own_name()])));
    }
    let (Some(name), Some(account)) = (plain(name), &arn.account) else {
        return Err(why(
            format!("`{}` is a pattern, and such things are translated only by their whole names", arn.whole),
            format!("name each with its account, write `*`, or a policy in Cedar that names a `{}`", kind.type_name()),
        ));
    };
    let parts: Vec<&str> = match kind {
        // The name of a provider is an address, with slashes; other names have none.
        NamedKind::OidcProvider => vec![name.as_str()],
        _ => name.split('/').collect(),
    };
    if parts.len() != kind.n_parts() {
        return Ok(Found::Never);
    }
    if parts.iter().any(|part| part.is_empty()) {
        return Err(why(format!("`{}` names nothing that can be", arn.whole), "write out the name"));
    }
    Ok(Found::Entity(format!("== {}", kind.uid(account, &parts))))
}

const ARN_SHAPE: &str = "write `arn:aws:codecommit:*:ACCOUNT:REPOSITORY` or `arn:aws:iam::ACCOUNT:role/NAME`";

//! IAM's conditions: an operator, a key and values, as what Cedar can ask of our requests.
//!
//! Each key is described once ([`key`]): when it is there, and what it holds. Each operator is one test of one value;
//! what a missing key, several values and a negation mean is put together in [`translate`] alone.

use std::net::IpAddr;

use super::actions::Class;
use super::document::Condition;
use super::expression::{Expression, entity, literal};
use super::problem::{Why, shown, why};
use super::value::{Token, like_pattern, plain, tokens, variable_inside};
use crate::names::{AccountId, PrincipalName};
use crate::policy::NamedKind;

/// For which requests a condition is translated.
pub(super) struct Asked<'a> {
    pub(super) class: Class,
    /// The kinds of principals that the policy's scope lets in: `User`, `Session`, `Service`.
    pub(super) kinds: &'a [&'static str],
    /// The user that the policy is for, if it is for one.
    pub(super) user_name: Option<&'a str>,
}

/// What a condition key holds here.
struct Key {
    /// Whether the request has the key.
    present: Expression,
    value: Value,
}

/// The Cedar expression that holds a key's value, by its type.
enum Value {
    Text(String),
    /// Several texts; of those, it is said which set.
    Texts(String),
    /// The name of a ref, in which `%` stands as `%25`.
    RefName(String),
    Bool(Expression),
    Time(String),
    Address(String),
    /// `in` this variable: `principal` or `resource`.
    Account(&'static str),
    PrincipalArn,
    Service,
    /// Present and true, or else false or missing: which of them is not known.
    TrueOrNot(Expression),
}

/// An operator without its `ForAnyValue:`, `ForAllValues:` and `IfExists`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    Equals,
    Like,
    Arn,
    Bool,
    Address,
    Date(&'static str),
}

/// A condition as an expression for these requests.
pub(super) fn translate(condition: &Condition, asked: &Asked<'_>) -> Result<Expression, Why> {
    if condition.operator == "Null" {
        return null(condition, asked);
    }
    let (set, rest) = match condition.operator.split_once(':') {
        Some((set @ ("ForAnyValue" | "ForAllValues"), rest)) => (Some(set), rest),
        Some(_) => return Err(unknown_operator(&condition.operator)),
        None => (None, condition.operator.as_str()),
    };
    let (name, if_exists) = match rest.strip_suffix("IfExists") {
        Some(name) => (name, true),
        None => (rest, false),
    };
    let (test, negated) = test(name)?;
    let Key { present, value } = key(&condition.key, asked)?;
    if let Value::TrueOrNot(is_true) = &value {
        return true_or_not(condition, test, set, if_exists, is_true);
    }
    if let Value::Texts(held) = &value {
        let body = of_several(held, test, negated, set, &condition.values, asked)?;
        return Ok(match set == Some("ForAllValues") || if_exists {
            false => Expression::all([present, body]),
            true => Expression::all([present, body.not()]).not(),
        });
    }
    let mut tests = Vec::new();
    alternatives(test, &value, &condition.values, asked, negated, &mut tests)?;
    let any = Expression::any(tests);
    let body = if negated { any.not() } else { any };
    // Each other key here has one value at most. Over a missing key, "for any value" is false and "for all values" true,
    // whatever the operator.
    let when_missing = match set {
        Some("ForAllValues") => true,
        Some(_) => if_exists,
        None => if_exists || negated,
    };
    // Cedar lets `e.f` stand after `e has f &&` and nowhere else, so not as `!(e has f) || ...`.
    Ok(match when_missing {
        false => Expression::all([present, body]),
        true => Expression::all([present, body.not()]).not(),
    })
}

fn null(condition: &Condition, asked: &Asked<'_>) -> Result<Expression, Why> {
    let [value] = condition.values.as_slice() else {
        return Err(why("`Null` has several values", "write `\"true\"` or `\"false\"`"));
    };
    let Key { present, value: kind } = key(&condition.key, asked)?;
    if matches!(kind, Value::TrueOrNot(_)) {
        return Err(mfa_unknown());
    }
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(present.not()),
        "false" => Ok(present),
        _ => Err(why(format!("`{}` is neither true nor false", shown(value)), "write `\"true\"` or `\"false\"`")),
    }
}

fn test(name: &str) -> Result<(Test, bool), Why> {
    Ok(match name {
        "StringEquals" => (Test::Equals, false),
        "StringNotEquals" => (Test::Equals, true),
        "StringLike" => (Test::Like, false),
        "StringNotLike" => (Test::Like, true),
        "ArnEquals" | "ArnLike" => (Test::Arn, false),
        "ArnNotEquals" | "ArnNotLike" => (Test::Arn, true),
        "Bool" => (Test::Bool, false),
        "IpAddress" => (Test::Address, false),
        "NotIpAddress" => (Test::Address, true),
        "DateEquals" => (Test::Date("=="), false),
        "DateNotEquals" => (Test::Date("=="), true),
        "DateLessThan" => (Test::Date("<"), false),
        "DateLessThanEquals" => (Test::Date("<="), false),
        "DateGreaterThan" => (Test::Date(">"), false),
        "DateGreaterThanEquals" => (Test::Date(">="), false),
        "StringEqualsIgnoreCase" | "StringNotEqualsIgnoreCase" => {
            return Err(why(
                "Cedar cannot compare without regard to case",
                "write `StringEquals` with each spelling meant",
            ));
        }
        _ => return Err(unknown_operator(name)),
    })
}

fn unknown_operator(name: &str) -> Why {
    let nearest =
        OPERATORS.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let nearest = nearest.copied().unwrap_or_default();
    why(format!("no operator `{}` is translated", shown(name)), format!("the nearest one is `{nearest}`"))
}

/// What a condition key is for these requests. Names of keys have no case, those of tags have.
fn key(name: &str, asked: &Asked<'_>) -> Result<Key, Why> {
    let folded = name.to_ascii_lowercase();
    let always = |value| Ok(Key { present: Expression::True, value });
    let absent = || Ok(Key { present: Expression::False, value: Value::Text("\"\"".to_owned()) });
    let when = |present: &str, value| Ok(Key { present: Expression::test(present), value });
    let of_class = |classes: &[Class], key: Key| if classes.contains(&asked.class) { Ok(key) } else { absent() };
    if asked.kinds == ["WebIdentity"]
        && let Some((issuer, claim)) = name.rsplit_once(':')
        // A host, and no service.
        && issuer.contains('.')
    {
        return claim_key(issuer, claim);
    }
    if let Some((prefix, tag)) = name.split_once('/') {
        let tag = literal(tag);
        return match prefix.to_ascii_lowercase().as_str() {
            "aws:principaltag" => {
                if asked.kinds.contains(&"Session") {
                    return Err(why(
                        "AWS counts the tags of a session's role among its own, and here they are told apart",
                        "attach the policy to users or a group, or write it in Cedar with `principal.getTag`",
                    ));
                }
                Ok(Key {
                    present: Expression::all([
                        Expression::test("principal is User"),
                        Expression::test(format!("principal.hasTag({tag})")),
                    ]),
                    value: Value::Text(format!("principal.getTag({tag})")),
                })
            }
            "aws:resourcetag" => match asked.class {
                Class::Ref | Class::Path => Err(why(
                    "a change of a ref does not carry its repository's tags here",
                    "name the repositories in `Resource`, or take the actions that change refs into a statement of their own",
                )),
                Class::Account | Class::Group => absent(),
                Class::Named(kind) if !kind.has_tags() => absent(),
                _ => when(&format!("resource.hasTag({tag})"), Value::Text(format!("resource.getTag({tag})"))),
            },
            "aws:requesttag" => match asked.class {
                Class::AssumeRole | Class::AssumeRoleWithWebIdentity => when(
                    &format!("context.sessionTags.hasTag({tag})"),
                    Value::Text(format!("context.sessionTags.getTag({tag})")),
                ),
                class if may_tag(class) => Ok(Key {
                    present: Expression::all([
                        Expression::test("context has requestTags"),
                        Expression::test(format!("context.requestTags.hasTag({tag})")),
                    ]),
                    value: Value::Text(format!("context.requestTags.getTag({tag})")),
                }),
                Class::Group => absent(),
                _ => Err(tags_unknown()),
            },
            _ => Err(no_key(name)),
        };
    }
    match folded.as_str() {
        "aws:tagkeys" => match asked.class {
            Class::AssumeRole | Class::AssumeRoleWithWebIdentity => Ok(Key {
                present: Expression::test("context.sessionTagKeys.isEmpty()").not(),
                value: Value::Texts("context.sessionTagKeys".to_owned()),
            }),
            class if may_tag(class) => Ok(Key {
                present: Expression::all([
                    Expression::test("context has tagKeys"),
                    Expression::test("context.tagKeys.isEmpty()").not(),
                ]),
                value: Value::Texts("context.tagKeys".to_owned()),
            }),
            Class::Group => absent(),
            _ => Err(tags_unknown()),
        },
        "aws:username" => when("principal is User", Value::Text("principal.name".to_owned())),
        "aws:sourceip" => when("context.request has sourceIp", Value::Address("context.request.sourceIp".to_owned())),
        "aws:currenttime" => always(Value::Time("context.request.time".to_owned())),
        "aws:multifactorauthpresent" => always(Value::TrueOrNot(Expression::test("context.request.mfa"))),
        "aws:principalisawsservice" => always(Value::Bool(Expression::test("principal is Service"))),
        "aws:principalaccount" | "aws:principalarn" if asked.class == Class::AssumeRoleWithWebIdentity => Err(why(
            "what the key holds for somebody who comes with a token is not documented",
            "take `sts:AssumeRoleWithWebIdentity` into a statement of its own",
        )),
        "aws:principalaccount" => {
            Ok(Key { present: Expression::test("principal is Service").not(), value: Value::Account("principal") })
        }
        "aws:resourceaccount" => always(Value::Account("resource")),
        "aws:principalarn" => {
            Ok(Key { present: Expression::test("principal is Service").not(), value: Value::PrincipalArn })
        }
        "aws:sourceidentity" => Ok(Key {
            present: Expression::all([
                Expression::test("principal is Session"),
                Expression::test("principal has sourceIdentity"),
            ]),
            value: Value::Text("principal.sourceIdentity".to_owned()),
        }),
        "aws:sourcearn" => match asked.class {
            Class::AssumeRole => when("context has sourceArn", Value::Text("context.sourceArn".to_owned())),
            _ => Err(why(
                "only taking a role knows the source here",
                "take `sts:AssumeRole` into a statement of its own",
            )),
        },
        "sts:externalid" => of_class(
            &[Class::AssumeRole],
            Key {
                present: Expression::test("context has externalId"),
                value: Value::Text("context.externalId".to_owned()),
            },
        ),
        "sts:sourceidentity" => of_class(
            &[Class::AssumeRole, Class::AssumeRoleWithWebIdentity],
            Key {
                present: Expression::test("context has sourceIdentity"),
                value: Value::Text("context.sourceIdentity".to_owned()),
            },
        ),
        "sts:rolesessionname" => of_class(
            &[Class::AssumeRole, Class::AssumeRoleWithWebIdentity],
            Key { present: Expression::True, value: Value::Text("context.sessionName".to_owned()) },
        ),
        "iam:passedtoservice" => of_class(&[Class::PassRole], Key { present: Expression::True, value: Value::Service }),
        "codecommit:references" => match asked.class {
            Class::Ref => always(Value::RefName("resource.name".to_owned())),
            Class::Path => always(Value::RefName("context.ref.name".to_owned())),
            _ => absent(),
        },
        "aws:securetransport" => Err(why(
            "every connection here is TLS, SSH or the server's own socket",
            "leave the condition out, or the whole statement where it denies what is not secure",
        )),
        _ => Err(no_key(name)),
    }
}

/// Whether actions of the class make or change tags; those of it that do not have no such context.
fn may_tag(class: Class) -> bool {
    use NamedKind::{ManagedPolicy, OidcProvider};
    matches!(class, Class::User | Class::Role | Class::Named(ManagedPolicy | OidcProvider))
}

fn tags_unknown() -> Why {
    why(
        "tags that come with a request are known here where a role is taken, and where users, roles, policies and providers are made or tagged",
        "take those actions into a statement of their own",
    )
}

/// A set of texts against values. What a missing key means is not said here: an empty set counts as one.
fn of_several(
    held: &str,
    test: Test,
    negated: bool,
    set: Option<&str>,
    values: &[String],
    asked: &Asked<'_>,
) -> Result<Expression, Why> {
    if !matches!(test, Test::Equals | Test::Like) {
        return Err(why(
            "the operator does not fit what the key holds",
            "see which operators IAM documents for this key",
        ));
    }
    let mut texts = Vec::new();
    for given in values {
        let tokens = tokens(given, test == Test::Like, asked.user_name)?;
        let text = plain(&tokens).ok_or_else(|| {
            why("Cedar cannot hold each of several keys against a pattern", "write out the keys that are meant")
        })?;
        texts.push(literal(&text));
    }
    let texts = texts.join(", ");
    let any = Expression::test(format!("{held}.containsAny([{texts}])"));
    let all = Expression::test(format!("[{texts}].containsAll({held})"));
    match (set, negated) {
        (Some("ForAllValues"), false) => Ok(all),
        (Some("ForAllValues"), true) => Ok(any.not()),
        (Some(_), false) => Ok(any),
        (Some(_), true) => Ok(all.not()),
        (None, _) => Err(why(
            "the key holds several values, and the operator does not say whether one or each of them is meant",
            "write `ForAnyValue:` or `ForAllValues:` before the operator",
        )),
    }
}

/// `ISSUER:sub` and the like: what an OpenID provider says of the one who asks. Another issuer's keys are not there.
fn claim_key(issuer: &str, claim: &str) -> Result<Key, Why> {
    let of_issuer = Expression::test(format!("principal.issuer == {}", literal(issuer)));
    let (more, value) = match claim.to_ascii_lowercase().as_str() {
        "sub" => (Expression::True, "principal.subject".to_owned()),
        // AWS takes the authorized party for the audience where a token has both.
        "aud" => (
            Expression::True,
            "(if principal has authorizedParty then principal.authorizedParty else principal.audience)".to_owned(),
        ),
        "azp" => (Expression::test("principal has authorizedParty"), "principal.authorizedParty".to_owned()),
        _ => {
            let claim = literal(claim);
            (Expression::test(format!("principal.hasTag({claim})")), format!("principal.getTag({claim})"))
        }
    };
    Ok(Key { present: Expression::all([of_issuer, more]), value: Value::Text(value) })
}

fn no_key(name: &str) -> Why {
    let nearest = KEYS.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let nearest = nearest.copied().unwrap_or_default();
    why(format!("no such key here: `{}`", shown(name)), format!("the nearest one is `{nearest}`"))
}

/// The tests of one key against each of the values; they are alternatives.
fn alternatives(
    test: Test,
    value: &Value,
    values: &[String],
    asked: &Asked<'_>,
    negated: bool,
    tests: &mut Vec<Expression>,
) -> Result<(), Why> {
    // Values that are plain text become one set: a policy may hold only so many operators.
    let mut set = Vec::new();
    for given in values {
        match (test, value) {
            (Test::Equals | Test::Like | Test::Arn, Value::Text(held) | Value::RefName(held)) => {
                let tokens = tokens(given, test != Test::Equals, asked.user_name)?;
                let encoded = matches!(value, Value::RefName(_));
                if test == Test::Arn {
                    only_last_part_has_wildcards(&tokens)?;
                }
                if let [Token::Variable(name)] = tokens.as_slice() {
                    tests.push(variable(name, held, test, negated, asked)?);
                    continue;
                }
                let tokens = if encoded { encoded_name(tokens)? } else { tokens };
                match plain(&tokens) {
                    Some(text) => set.push((held.clone(), literal(&text))),
                    None if tokens == [Token::Star] => tests.push(Expression::True),
                    None => tests.push(Expression::test(format!("{held} like {}", like_pattern(&tokens)?))),
                }
            }
            (Test::Bool, Value::Bool(held)) => match given.to_ascii_lowercase().as_str() {
                "true" => tests.push(held.clone()),
                "false" => tests.push(held.clone().not()),
                _ => {
                    return Err(why(
                        format!("`{}` is neither true nor false", shown(given)),
                        "write `\"true\"` or `\"false\"`",
                    ));
                }
            },
            (Test::Date(operator), Value::Time(held)) => {
                tests.push(Expression::test(format!("{held} {operator} datetime({})", literal(&date(given)?))));
            }
            (Test::Address, Value::Address(held)) => {
                tests.push(Expression::test(format!("{held}.isInRange(ip({}))", literal(&range(given)?))));
            }
            (Test::Equals | Test::Like, Value::Account(whose)) => {
                let account = AccountId::parse(given)
                    .map_err(|invalid| why(shown(&invalid.to_string()), "write out the account's twelve digits"))?;
                tests.push(Expression::test(format!("{whose} in {}", entity("Account", account.as_str()))));
            }
            (Test::Equals | Test::Like | Test::Arn, Value::PrincipalArn) => tests.push(principal_arn(given)?),
            (Test::Equals | Test::Like, Value::Service) => {
                let tokens = tokens(given, test == Test::Like, asked.user_name)?;
                let service =
                    plain(&tokens).ok_or_else(|| why("the service is known only as a whole", "write out its name"))?;
                let id = crate::policy::entities::encode_for_id(service.as_bytes());
                tests.push(Expression::test(format!("context.passedTo == {}", entity("Service", &id))));
            }
            _ => {
                return Err(why(
                    "the operator does not fit what the key holds",
                    "see which operators IAM documents for this key",
                ));
            }
        }
    }
    match set.as_slice() {
        [] => {}
        [(held, one)] => tests.insert(0, Expression::test(format!("{held} == {one}"))),
        [(held, _), ..] => {
            let all: Vec<&str> = set.iter().map(|(_, text)| text.as_str()).collect();
            tests.insert(0, Expression::test(format!("[{}].contains({held})", all.join(", "))));
        }
    }
    Ok(())
}

/// `held` against a variable that is the whole value.
fn variable(name: &str, held: &str, test: Test, negated: bool, asked: &Asked<'_>) -> Result<Expression, Why> {
    if negated {
        return Err(why(
            format!("what `${{{}}}` means in a negated operator where it has no value is not documented", shown(name)),
            "write out the values that are meant",
        ));
    }
    let username = name.eq_ignore_ascii_case("aws:username");
    let tag = name.split_once('/').is_some_and(|(prefix, _)| prefix.eq_ignore_ascii_case("aws:PrincipalTag"));
    // A tag may hold `*`; a user's name cannot.
    if test == Test::Arn || !(username || tag && test == Test::Equals) || name.contains(',') {
        return Err(variable_inside(name));
    }
    let Key { present, value } = key(name, asked)?;
    match value {
        Value::Text(other) => Ok(Expression::all([present, Expression::test(format!("{held} == {other}"))])),
        _ => Err(variable_inside(name)),
    }
}

/// In names of refs `%` stands as `%25`. A pattern that could begin amid such an escape would match what it should not.
fn encoded_name(tokens: Vec<Token>) -> Result<Vec<Token>, Why> {
    let mut out = Vec::with_capacity(tokens.len());
    for (at, token) in tokens.iter().enumerate() {
        if *token == Token::Star {
            let after: String = tokens[at + 1..]
                .iter()
                .take(2)
                .map_while(|token| if let Token::Char(c) = token { Some(*c) } else { None })
                .collect();
            if after.starts_with('5') || after == "25" {
                return Err(why(
                    "text after `*` begins like the end of `%25`, as which `%` stands in names of refs here",
                    "write out the refs that are meant",
                ));
            }
        }
        match token {
            Token::Char('%') => out.extend("%25".chars().map(Token::Char)),
            other => out.push(other.clone()),
        }
    }
    Ok(out)
}

fn only_last_part_has_wildcards(tokens: &[Token]) -> Result<(), Why> {
    let wild = tokens.iter().position(|token| !matches!(token, Token::Char(_))).unwrap_or(tokens.len());
    let n_colons = tokens[..wild].iter().filter(|token| **token == Token::Char(':')).count();
    if n_colons < 5 {
        return Err(why(
            "in IAM a wildcard within one part of an ARN stays in that part, which Cedar's do not",
            "write an ARN of six parts with wildcards in its last one only",
        ));
    }
    Ok(())
}

fn principal_arn(given: &str) -> Result<Expression, Why> {
    let bad = || {
        why(
            format!("`{}` is no user or role as a whole", shown(given)),
            "write `arn:aws:iam::ACCOUNT:user/NAME` or `arn:aws:iam::ACCOUNT:role/NAME`, without wildcards",
        )
    };
    let rest = given.strip_prefix("arn:aws:iam::").ok_or_else(bad)?;
    let (account, name) = rest.split_once(':').ok_or_else(bad)?;
    let account = AccountId::parse(account).map_err(|_| bad())?;
    let (kind, name) = name.split_once('/').ok_or_else(bad)?;
    let name = PrincipalName::parse(name).map_err(|_| bad())?;
    let id = format!("{account}/{name}");
    match kind {
        "user" => Ok(Expression::test(format!("principal == {}", entity("User", &id)))),
        "role" => Ok(Expression::test(format!("principal in {}", entity("Role", &id)))),
        _ => Err(bad()),
    }
}

/// Whether a second factor was used is known; whether AWS would leave the key out where none was is not.
fn true_or_not(
    condition: &Condition,
    test: Test,
    set: Option<&str>,
    if_exists: bool,
    is_true: &Expression,
) -> Result<Expression, Why> {
    if test != Test::Bool || set.is_some() {
        return Err(why("the operator does not fit what the key holds", "write `Bool` or `BoolIfExists`"));
    }
    match (condition.values.as_slice(), if_exists) {
        ([value], false) if value.eq_ignore_ascii_case("true") => Ok(is_true.clone()),
        ([value], true) if value.eq_ignore_ascii_case("false") => Ok(is_true.clone().not()),
        _ => Err(mfa_unknown()),
    }
}

fn mfa_unknown() -> Why {
    why(
        "AWS leaves the key out for long-term credentials, and here it is only known whether a second factor was used",
        "write `Bool` with `true`, or `BoolIfExists` with `false`",
    )
}

/// A date of ISO 8601, in UTC and milliseconds.
fn date(given: &str) -> Result<String, Why> {
    let bad = || why(format!("`{}` is no date that is read here", shown(given)), "write it as `2026-04-01T00:00:00Z`");
    // What ISO 8601 leaves out, some parsers take.
    if given.len() > 40 || !given.bytes().all(|b| b.is_ascii_digit() || b"-:.+TZ".contains(&b)) || given.contains(":60")
    {
        return Err(bad());
    }
    let full = if given.len() == 10 { format!("{given}T00:00:00Z") } else { given.to_owned() };
    let time: jiff::Timestamp = full.parse().map_err(|_| bad())?;
    if time.subsec_nanosecond() % 1_000_000 != 0 || time.as_second() < 0 {
        return Err(bad());
    }
    Ok(time.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string())
}

/// An address or a range of them, as Cedar writes it.
fn range(given: &str) -> Result<String, Why> {
    let bad = || why(format!("`{}` is no range of addresses", shown(given)), "write it as `203.0.113.0/24`");
    let (address, bits) = match given.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (given, None),
    };
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let width = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        None => width,
        Some(bits)
            if !bits.is_empty()
                && bits.bytes().all(|b| b.is_ascii_digit())
                && !(bits.len() > 1 && bits.starts_with('0')) =>
        {
            bits.parse::<u32>().ok().filter(|bits| *bits <= width).ok_or_else(bad)?
        }
        Some(_) => return Err(bad()),
    };
    // Where bits are set beyond the prefix, what is meant is the network around them.
    let network: IpAddr = match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            IpAddr::V4((u32::from(address) & mask).into())
        }
        IpAddr::V6(address) => {
            if address.to_ipv4_mapped().is_some() {
                return Err(why("a v4 address in v6 clothes is decided about as v4 here", "write it as a v4 address"));
            }
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            let groups = std::net::Ipv6Addr::from(u128::from(address) & mask).segments();
            // Written out in full: no form with dots.
            let groups: Vec<String> = groups.iter().map(|group| format!("{group:x}")).collect();
            return Ok(format!("{}/{bits}", groups.join(":")));
        }
    };
    Ok(format!("{network}/{bits}"))
}

const OPERATORS: &[&str] = &[
    "StringEquals",
    "StringNotEquals",
    "StringLike",
    "StringNotLike",
    "ArnEquals",
    "ArnLike",
    "ArnNotEquals",
    "ArnNotLike",
    "Bool",
    "Null",
    "IpAddress",
    "NotIpAddress",
    "DateEquals",
    "DateNotEquals",
    "DateLessThan",
    "DateLessThanEquals",
    "DateGreaterThan",
    "DateGreaterThanEquals",
];
const KEYS: &[&str] = &[
    "aws:username",
    "aws:SourceIp",
    "aws:CurrentTime",
    "aws:MultiFactorAuthPresent",
    "aws:PrincipalIsAWSService",
    "aws:PrincipalAccount",
    "aws:PrincipalArn",
    "aws:PrincipalTag/KEY",
    "aws:ResourceAccount",
    "aws:RequestTag/KEY",
    "aws:ResourceTag/KEY",
    "aws:SourceArn",
    "aws:SourceIdentity",
    "aws:TagKeys",
    "codecommit:References",
    "iam:PassedToService",
    "sts:ExternalId",
    "sts:RoleSessionName",
    "sts:SourceIdentity",
];

//! Which policies name an entity: before something is renamed or deleted, whoever does it is told which policies speak of it.
//!
//! What counts is what Cedar reads, not how it is written: `Repository :: "a"` with spaces and `"\u{61}"` name the same.

use cedar_policy::Policy;

use super::compile::CompiledPolicies;

impl CompiledPolicies {
    /// The ids of the policies in which a literal stands for which `is_named` holds, given its type and its id; sorted.
    pub fn naming(&self, is_named: &dyn Fn(&str, &str) -> bool) -> Vec<String> {
        let names_one = |text: &str| match Policy::parse(None, text) {
            Ok(policy) => {
                policy.entity_literals().iter().any(|uid| is_named(uid.type_name().basename(), uid.id().unescaped()))
            }
            // It was compiled, so it parses; if it did not, it would rather be named than passed over.
            Err(_) => true,
        };
        self.texts()
            .chain(self.attached.texts())
            .filter(|text| names_one(&text.text))
            .map(|text| text.id.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{CompileOptions, EveryName, PolicyFiles};

    // D7
    #[test]
    fn however_it_is_written() {
        let text = r#"
@id("plain") forbid (principal, action, resource in Repository::"111111111111/shop");
@id("spaced") forbid (principal, action, resource in Repository :: "111111111111/shop");
@id("escaped") forbid (principal, action, resource in Repository::"111111111111/s\u{68}op");
@id("below") forbid (principal, action, resource == Ref::"111111111111/shop/refs/heads/main");
@id("other") forbid (principal, action, resource in Repository::"111111111111/shop2");
@id("comment") // Repository::"111111111111/shop"
forbid (principal, action, resource in Repository::"111111111111/shops");
"#;
        let mut files = PolicyFiles::new();
        files.insert("111111111111/a.cedar", text.as_bytes().to_vec()).unwrap();
        let policies = CompiledPolicies::compile(&files, &EveryName, CompileOptions::default()).unwrap().policies;
        let named = policies.naming(&|kind, id| match kind {
            "Repository" => id == "111111111111/shop",
            _ => id.starts_with("111111111111/shop/"),
        });
        assert_eq!(named, ["below", "escaped", "plain", "spaced"]);
    }
}

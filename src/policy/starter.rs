//! The policies that a new installation begins with. They are plain files under `policies/starter/`, to be read and changed.

use super::action::SCHEMA;
use super::files::PolicyFiles;
use crate::names::AccountId;

/// The groups that the starter policies name; they are made with the first account.
pub const STARTER_GROUPS: [&str; 3] = ["administrators", "developers", "senior-developers"];

/// The starter policies for a first account: the schema's copy, an example for the organization, the account's files.
pub fn starter_files(account: &AccountId) -> PolicyFiles {
    let mut files = PolicyFiles::new();
    let templates = [
        ("lockgate.cedarschema", SCHEMA),
        ("organization/example.cedar", include_str!("../../policies/starter/organization/example.cedar")),
        ("ACCOUNT/access.cedar", include_str!("../../policies/starter/account/access.cedar")),
        ("ACCOUNT/protected-refs.cedar", include_str!("../../policies/starter/account/protected-refs.cedar")),
        ("ACCOUNT/trust/example.cedar", include_str!("../../policies/starter/account/trust/example.cedar")),
    ];
    for (path, template) in templates {
        let path = path.replace("ACCOUNT", account.as_str());
        let text = template.replace("ACCOUNT", account.as_str());
        // INVARIANT: five small files of different names fit every limit.
        files.insert(&path, text.into_bytes()).expect("the starter files fit a policy set");
    }
    files
}

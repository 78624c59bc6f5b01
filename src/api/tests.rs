//! The table of operations.

use super::*;

#[test]
fn each_operation_says_what_it_asks() {
    let all = operations().unwrap();
    let deciding: Vec<&str> = all.iter().filter(|(_, _, op)| op.action().is_none()).map(|(_, name, _)| name).collect();
    // Whoever adds one here says why it asks nothing, or asks by itself.
    assert_eq!(deciding, ["AssumeRole", "GetAccessKeyInfo", "GetCallerIdentity", "GetSessionToken"]);
    assert!(all.iter().count() > 80);
    for (service, name, operation) in all.iter() {
        assert!(all.get(service, name).is_some());
        if let Some(action) = operation.action() {
            let prefix = action.as_str().split(':').next().unwrap();
            assert!(prefix == service.signing_name() || prefix == "lockgate", "{name}: {}", action.as_str());
        }
    }
    assert!(all.get(Service::Iam, "GetCallerIdentity").is_none());
}

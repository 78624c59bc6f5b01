//! What the first start leaves behind, and that it can be used as it lies.

use std::os::unix::fs::PermissionsExt;

use crate::support::TestHost;

#[test]
fn keys_policies_and_the_administrator_are_there() {
    let mut host = TestHost::start();
    let read = |name: &str| std::fs::read_to_string(host.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let admin: serde_json::Value = serde_json::from_str(&read("keys/admin.json")).unwrap();
    for field in ["account", "user", "accessKeyId", "secretAccessKey", "gitUserName", "gitPassword"] {
        assert!(admin[field].as_str().is_some_and(|value| !value.is_empty()), "{field}");
    }
    assert!(read("keys/aws/config").contains("[profile lockgate]") && read("keys/aws/config").contains("ca_bundle"));
    assert!(read("keys/aws/credentials").contains(admin["accessKeyId"].as_str().unwrap()));
    assert!(read("policies/lockgate.cedarschema").contains("codecommit:GitPush"));
    assert!(host.path("policies/111111111111").is_dir());
    let serve: serde_json::Value = serde_json::from_str(&read("data/serve.json")).unwrap();
    assert_eq!(serve["httpsUrl"], host.https.as_str());
    // Nothing secret is readable by others.
    for folder in ["data", "keys", "keys/keyring", "keys/aws", "policies"] {
        assert_eq!(std::fs::metadata(host.path(folder)).unwrap().permissions().mode() & 0o777, 0o700, "{folder}");
    }
    for entry in std::fs::read_dir(host.path("keys")).unwrap() {
        let entry = entry.unwrap();
        let is_public = entry.file_name() == "ca.pem";
        if entry.file_type().unwrap().is_file() && !is_public {
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{:?}", entry.path());
        }
    }
    assert!(host.admin(&["policy", "check"]).contains("valid"));
    // A second start makes nothing anew.
    let before = read("keys/admin.json");
    assert_eq!(host.down(), Some(0));
    assert!(!host.path("data/serve.json").exists());
    // A machine without certificates of authorities serves all the same: only what the server fetches itself needs them.
    host.up(&[("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")]);
    assert_eq!(std::fs::read_to_string(host.path("keys/admin.json")).unwrap(), before);
    // Wrong usage exits 2, a failure 1.
    assert_eq!(host.try_admin(&["repo"]).status.code(), Some(2));
    assert_eq!(host.try_admin(&["repo", "create", "../x"]).status.code(), Some(2));
    assert_eq!(host.try_admin(&["repo", "delete", "nothing"]).status.code(), Some(1));
}

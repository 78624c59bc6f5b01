//! Any bytes as the head of a signed request, as a form, as JSON, as a document of IAM, and as a provider's token.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lockgate::api::codec::{read_json, read_query};
use lockgate::names::AccountId;
use lockgate::oidc::claimed_issuer;
use lockgate::policy::{IamImport, ImportFor, import_iam};
use lockgate::sigv4::{Head, Presented};

fuzz_target!(|data: &[u8]| {
    // Lines are headers, the first one is the query.
    let mut lines = data.split(|byte| *byte == b'\n');
    let query = lines.next().and_then(|line| std::str::from_utf8(line).ok());
    let headers: Vec<(String, Vec<u8>)> = lines
        .filter_map(|line| {
            let at = line.iter().position(|byte| *byte == b':')?;
            Some((std::str::from_utf8(&line[..at]).ok()?.to_ascii_lowercase(), line[at + 1..].to_vec()))
        })
        .collect();
    let _ = Presented::parse(&Head { method: "POST", path: "/", query, headers: &headers });
    let _ = read_query(data);
    let _ = read_json(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = claimed_issuer(text);
        let account = AccountId::parse("111111111111").expect("twelve digits are an account");
        let (region, name) = ("us-east-1".to_owned(), "x".to_owned());
        let _ = import_iam(text, &IamImport { account, region, name, principal: ImportFor::Resource });
    }
});

//! Arrows between modules go one way: the `use crate::` lines against the table of `ARCHITECTURE.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

#[test]
fn modules_use_only_what_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let names = |cell: &str| -> BTreeSet<String> {
            cell.split('`')
                .skip(1)
                .step_by(2)
                .map(|name| name.trim_end_matches(".rs").trim_end_matches('/').into())
                .collect()
        };
        for module in names(cells[1]) {
            allowed.insert(module, names(cells[3]));
        }
    }
    assert!(allowed.len() > 8, "the table is in ARCHITECTURE.md");
    let everyone = ["names", "clock", "json", "telemetry"];
    let mut wrong = Vec::new();
    let mut seen = 0;
    visit(&root.join("src"), &mut |path, text| {
        let relative = path.strip_prefix(root.join("src")).unwrap();
        let module =
            relative.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs").to_string();
        if module == "lib" || module == "main" {
            return;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        if relative.to_str().unwrap().contains("tests") {
            return;
        }
        for (at, _) in code.match_indices("crate::") {
            let used: String = code[at + 7..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            seen += 1;
            if used.is_empty() || used == module || everyone.contains(&used.as_str()) {
                continue;
            }
            if !allowed.get(&module).is_some_and(|allowed| allowed.contains(&used)) {
                wrong.push(format!("{} uses {used}", relative.display()));
            }
        }
    });
    assert!(seen > 50, "the source was read");
    wrong.dedup();
    assert!(wrong.is_empty(), "not in the table:\n{}", wrong.join("\n"));
}

fn visit(folder: &Path, give: &mut dyn FnMut(&Path, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, give);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            give(&path, &std::fs::read_to_string(&path).unwrap());
        }
    }
}

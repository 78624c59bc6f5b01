use proptest::prelude::*;
use serde_json::json;

use super::*;

fn takes(pattern: Value, event: Value) -> bool {
    Pattern::parse(&pattern.to_string()).unwrap().matches(&event)
}

// The operators of the user guide, each with what it takes and what it does not.
#[test]
fn each_operator() {
    let cases = [
        (json!(["a"]), vec![json!("a"), json!(["b", "a"])], vec![json!("A"), json!(1), json!(null), json!({})]),
        (json!([1]), vec![json!(1)], vec![json!("1"), json!(2)]),
        (json!([true, null]), vec![json!(true), json!(null)], vec![json!(false), json!("true"), json!("")]),
        (json!([""]), vec![json!("")], vec![json!(null), json!(" ")]),
        (json!([{"prefix": "ab"}]), vec![json!("abc"), json!("ab")], vec![json!("ABc"), json!("a"), json!(7)]),
        (json!([{"prefix": {"equals-ignore-case": "aB"}}]), vec![json!("ABc"), json!("ab")], vec![json!("a")]),
        (json!([{"suffix": ".png"}]), vec![json!("x.png")], vec![json!("x.PNG"), json!(".pn")]),
        (json!([{"suffix": {"equals-ignore-case": ".pNg"}}]), vec![json!("x.PNG")], vec![json!("png")]),
        (json!([{"anything-but": "a"}]), vec![json!("b"), json!(1), json!(["a", "b"])], vec![json!("a"), json!(["a"])]),
        (json!([{"anything-but": ["a", "b"]}]), vec![json!("c")], vec![json!("a"), json!("b")]),
        (json!([{"anything-but": [1, 2]}]), vec![json!(3), json!("1")], vec![json!(1)]),
        (json!([{"anything-but": {"prefix": "a"}}]), vec![json!("b")], vec![json!("ab"), json!(1)]),
        (json!([{"anything-but": {"prefix": ["a", "b"]}}]), vec![json!("c")], vec![json!("ax"), json!("bx")]),
        (json!([{"anything-but": {"suffix": "a"}}]), vec![json!("ab")], vec![json!("ba")]),
        (json!([{"anything-but": {"equals-ignore-case": ["a", "B"]}}]), vec![json!("c")], vec![json!("A"), json!("b")]),
        (json!([{"anything-but": {"wildcard": "*/lib/*"}}]), vec![json!("a/b")], vec![json!("a/lib/b")]),
        (
            json!([{"numeric": [">", 0, "<=", 5]}]),
            vec![json!(5), json!(0.5), json!([9, 1])],
            vec![json!(0), json!("1")],
        ),
        (json!([{"numeric": ["=", 3]}]), vec![json!(3), json!(3.0)], vec![json!(2)]),
        (
            json!([{"cidr": "10.0.0.0/24"}]),
            vec![json!("10.0.0.255")],
            vec![json!("10.0.1.0"), json!("::1"), json!("x")],
        ),
        (
            json!([{"cidr": "2001:db8::/32"}]),
            vec![json!("2001:db8:1::1")],
            vec![json!("2001:db9::1"), json!("10.0.0.1")],
        ),
        (json!([{"cidr": "0.0.0.0/0"}]), vec![json!("1.2.3.4")], vec![json!("::1")]),
        (json!([{"exists": true}]), vec![json!(null), json!("a"), json!([1])], vec![json!({}), json!([])]),
        (json!([{"equals-ignore-case": "Alice"}]), vec![json!("aLICE")], vec![json!("alic")]),
        (json!([{"wildcard": "dir/*.png"}]), vec![json!("dir/.png"), json!("dir/a/b.png")], vec![json!("dir/a.jpg")]),
        (json!([{"wildcard": "a\\*b*"}]), vec![json!("a*b"), json!("a*bc")], vec![json!("axb")]),
        (json!([{"wildcard": "a\\\\*"}]), vec![json!("a\\"), json!("a\\b")], vec![json!("ab")]),
        (json!([{"wildcard": "ab*ba"}]), vec![json!("abba"), json!("abxba")], vec![json!("aba"), json!("ab")]),
        (
            json!([{"prefix": "x"}, "y", {"numeric": [">", 1]}]),
            vec![json!("xa"), json!("y"), json!(2)],
            vec![json!("z")],
        ),
    ];
    for (leaf, good, wrong) in cases {
        for value in good {
            assert!(takes(json!({"detail": {"f": leaf}}), json!({"detail": {"f": value}})), "{leaf} {value}");
        }
        for value in wrong {
            assert!(!takes(json!({"detail": {"f": leaf}}), json!({"detail": {"f": value}})), "{leaf} {value}");
        }
        if leaf != json!([{"exists": true}]) {
            assert!(!takes(json!({"detail": {"f": leaf}}), json!({"detail": {"g": 1}})), "{leaf} of nothing");
        }
    }
}

#[test]
fn what_is_not_there() {
    let none = json!({"detail": {"a": {"b": [{"exists": false}]}}});
    assert!(takes(none.clone(), json!({"detail": {"a": {}}})));
    assert!(takes(none.clone(), json!({"detail": {}})));
    assert!(takes(none.clone(), json!({})));
    assert!(takes(none.clone(), json!({"detail": {"a": {"b": {"c": 1}}}})));
    assert!(!takes(none, json!({"detail": {"a": {"b": 0}}})));
    assert!(takes(json!({"a": ["x", {"exists": false}], "b": [1]}), json!({"b": 1})));
}

#[test]
fn either_and_all() {
    let pattern = json!({"source": ["s"], "$or": [{"a": [1]}, {"b": [{"prefix": "x"}], "c": [2]}]});
    assert!(takes(pattern.clone(), json!({"source": "s", "a": 1})));
    assert!(takes(pattern.clone(), json!({"source": "s", "b": "xy", "c": 2})));
    assert!(!takes(pattern.clone(), json!({"source": "s", "b": "xy"})));
    assert!(!takes(pattern, json!({"source": "t", "a": 1})));
    let nested = json!({"detail": {"$or": [{"a": [1]}, {"$or": [{"b": [2]}, {"c": [3]}]}]}});
    assert!(takes(nested.clone(), json!({"detail": {"c": 3}})));
    assert!(!takes(nested, json!({"detail": {"c": 2}})));
    // A member that is called so.
    assert!(takes(json!({"$or": ["x"]}), json!({"$or": "x"})));
}

// Of a list of objects one element has to be all that the pattern says.
#[test]
fn elements_of_lists_do_not_mix() {
    let pattern = json!({"members": {"name": ["ann"], "role": ["admin"]}});
    assert!(takes(pattern.clone(), json!({"members": [{"name": "bob"}, {"name": "ann", "role": "admin"}]})));
    assert!(!takes(pattern, json!({"members": [{"name": "ann", "role": "user"}, {"name": "bob", "role": "admin"}]})));
}

#[test]
fn what_is_no_pattern() {
    let deep = format!("{}{}{}", "{\"a\":".repeat(70), "[1]", "}".repeat(70));
    let long = json!({"a": ["x".repeat(4096)]}).to_string();
    let many: Vec<Value> = (0..11).map(|i| json!({ format!("m{i}"): [i] })).collect();
    let or = |n: usize| {
        let mut at = json!({"z": [1]});
        for i in 0..n {
            at = json!({ "$or": many.clone(), format!("n{i}"): at });
        }
        at.to_string()
    };
    for bad in [
        "",
        "[]",
        "{}",
        "{\"a\": {}}",
        "{\"a\": []}",
        "{\"a\": \"x\"}",
        "{\"a\": [[1]]}",
        "{\"a\": [1], \"a\": [2]}",
        "{\"a\": [{\"prefix\": 1}]}",
        "{\"a\": [{\"prefix\": \"\"}]}",
        "{\"a\": [{\"prefix\": \"x\", \"suffix\": \"y\"}]}",
        "{\"a\": [{\"nothing\": 1}]}",
        "{\"a\": [{\"exists\": \"x\"}]}",
        "{\"a\": [{\"numeric\": [\">\"]}]}",
        "{\"a\": [{\"numeric\": [\"<\", 1, \">\", 0]}]}",
        "{\"a\": [{\"numeric\": [\">\", 6000000000]}]}",
        "{\"a\": [{\"cidr\": \"10.0.0.0/33\"}]}",
        "{\"a\": [{\"anything-but\": [\"x\", 1]}]}",
        "{\"a\": [{\"anything-but\": {\"numeric\": [\"=\", 1]}}]}",
        "{\"a\": [{\"wildcard\": \"a**b\"}]}",
        "{\"a\": [{\"wildcard\": \"a\\\\b\"}]}",
        &deep,
        &long,
        &or(3),
    ] {
        let error = Pattern::parse(bad).unwrap_err();
        assert!(error.to_string().starts_with("Event pattern is not valid. Reason: "), "{bad}: {error}");
    }
    assert!(Pattern::parse(&or(2)).is_ok());
}

// Work is bounded by the text, whatever the wildcard.
#[test]
fn wildcards_do_not_run_away() {
    let pattern = Pattern::parse(&json!({"a": [{"wildcard": "*a".repeat(500)}]}).to_string()).unwrap();
    assert!(!pattern.matches(&json!({"a": format!("{}b", "a".repeat(200_000))})));
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[ab]{0,2}".prop_map(Value::from),
        (0..3).prop_map(Value::from),
        Just(Value::Null),
        prop::collection::vec("[ab]{0,2}".prop_map(Value::from), 0..3).prop_map(Value::from),
    ]
}

fn object() -> impl Strategy<Value = Value> {
    let flat = prop::collection::btree_map("[xyz]", value(), 0..3).prop_map(|map| json!(map)).boxed();
    let list = prop::collection::vec(flat.clone(), 0..3).prop_map(Value::from);
    prop::collection::btree_map("[xyz]", prop_oneof![value(), flat, list], 0..4).prop_map(|map| json!(map))
}

fn pattern() -> impl Strategy<Value = Value> {
    let matcher = prop_oneof![
        4 => "[ab]{0,2}".prop_map(Value::from),
        1 => (0..3).prop_map(Value::from),
        1 => "[ab]".prop_map(|text| json!({"prefix": text})),
        1 => "[ab]".prop_map(|text| json!({"anything-but": text})),
        1 => any::<bool>().prop_map(|exists| json!({"exists": exists})),
        1 => Just(json!({"wildcard": "a*b"})),
    ];
    let leaf = prop::collection::vec(matcher, 1..3).prop_map(Value::from).boxed();
    let flat = prop::collection::btree_map("[xyz]", leaf.clone(), 1..3).prop_map(|map| json!(map)).boxed();
    let member = prop_oneof![2 => leaf, 1 => flat.clone()];
    let plain = prop::collection::btree_map("[xyz]", member, 1..3).prop_map(|map| json!(map));
    (plain, prop::option::of(prop::collection::vec(flat, 2..3))).prop_map(|(mut plain, either)| {
        if let Some(either) = either {
            plain["$or"] = either.into();
        }
        plain
    })
}

proptest! {
    // The index answers what asking each pattern answers.
    #[test]
    fn the_index_is_each_pattern(patterns in prop::collection::vec(pattern(), 1..12), events in prop::collection::vec(object(), 1..8)) {
        let patterns: Vec<(usize, std::sync::Arc<Pattern>)> = patterns
            .iter()
            .enumerate()
            .map(|(i, pattern)| (i, std::sync::Arc::new(Pattern::parse(&pattern.to_string()).unwrap())))
            .collect();
        let index = RuleIndex::new(patterns.clone());
        for event in events {
            let mut found = Vec::new();
            index.matching(&event, &mut found);
            let expected: Vec<usize> =
                patterns.iter().filter(|(_, pattern)| pattern.matches(&event)).map(|(i, _)| *i).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

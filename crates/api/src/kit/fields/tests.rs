use proptest::prelude::*;
use serde_json::json;

use super::*;

const ROWS: &[Field] = &[
    required("name", Shape::Text(8), ""),
    optional("mode", Shape::Word(&["on", "off"]), ""),
    optional("public", Shape::Bool, ""),
    optional("triggers", Shape::Switch, ""),
    optional("limit", Shape::Integer(1, 10), ""),
    optional("scopes", Shape::Texts(4), ""),
    optional(
        "subject",
        Shape::Object(&[
            required("type", Shape::Text(8), ""),
            optional("id", Shape::Text(8), ""),
        ]),
        "",
    ),
    optional("data", Shape::Free, ""),
    optional("details", Shape::FreeList, ""),
];

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not an object: {other}"),
    }
}

fn problems(value: Value) -> Vec<String> {
    match check(ROWS, object(value)) {
        Err(Error::Invalid(problems)) => problems.into_iter().map(|p| p.field).collect(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn every_wrong_field_is_named_at_once_in_the_callers_spelling() {
    assert_eq!(
        problems(json!({
            "mode": "maybe", "public": "yes", "triggers": {"on": true}, "limit": 11,
            "scopes": ["ok", 7, "too long"], "subject": {"id": {}, "extra": 1}, "data": [],
            "details": [{}, 1], "nmae": "x",
        })),
        [
            "nmae",
            "name",
            "mode",
            "public",
            "triggers.on",
            "triggers.enabled",
            "limit",
            "scopes[1]",
            "scopes[2]",
            "subject.extra",
            "subject.type",
            "subject.id",
            "data",
            "details[1]",
        ]
    );
}

#[test]
fn texts_are_bounded_and_have_no_control_characters() {
    for bad in ["123456789", "a\u{7}b", "line\nbreak", "nul\0"] {
        assert_eq!(problems(json!({ "name": bad })), ["name"], "{bad:?}");
    }
    assert!(check(ROWS, object(json!({"name": "12345678"}))).is_ok());
}

#[test]
fn null_is_absence() {
    let fields = check(
        ROWS,
        object(json!({"name": "n", "mode": null, "scopes": null})),
    );
    let mut fields = fields.unwrap();
    assert_eq!(fields.take_text("mode"), None);
    assert_eq!(fields.take_texts("scopes"), None);
    assert_eq!(problems(json!({"name": null})), ["name"]);
}

#[test]
fn a_switch_has_two_spellings() {
    for (sent, read) in [
        (json!(true), true),
        (json!(false), false),
        (json!({"enabled": true}), true),
        (json!({"enabled": false}), false),
    ] {
        let fields = check(ROWS, object(json!({"name": "n", "triggers": sent}))).unwrap();
        assert_eq!(fields.flag("triggers"), Some(read));
    }
}

#[test]
fn a_query_is_typed_by_its_rows_and_may_hold_more() {
    let rows = &[optional("limit", Shape::Integer(1, 10), "")];
    let query = check_query(rows, Fields::of_query("limit=3&utm=x%20y")).unwrap();
    assert_eq!(
        (query.integer("limit"), query.text("utm")),
        (Some(3), Some("x y"))
    );
    for bad in ["limit=", "limit=x", "limit=0", "limit=11", "limit=1.5"] {
        let refused = check_query(rows, Fields::of_query(bad));
        assert!(matches!(refused, Err(Error::Invalid(_))), "{bad}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z\\x00-\\x1f]{0,12}".prop_map(Value::from),
    ];
    let names = prop_oneof![
        Just("name"),
        Just("mode"),
        Just("triggers"),
        Just("limit"),
        Just("scopes"),
        Just("subject"),
        Just("type"),
        Just("details"),
        Just("other"),
    ];
    leaf.prop_recursive(3, 32, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(names.clone(), inner, 0..6)
                .prop_map(|map| map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_passes_holds_only_what_the_rows_say(value in any_json()) {
        let Value::Object(map) = value else { return Ok(()) };
        let Ok(mut fields) = check(ROWS, map.clone()) else { return Ok(()) };
        prop_assert!(map.keys().all(|name| ROWS.iter().any(|row| row.name == name)));
        prop_assert!(fields.text("name").is_some_and(|name| name.len() <= 8));
        prop_assert!(fields.integer("limit").is_none_or(|limit| (1..=10).contains(&limit)));
        if let Some(subject) = fields.take_object("subject") {
            prop_assert!(subject.text("type").is_some());
        }
    }
}

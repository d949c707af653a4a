//! What the document has to have, whatever routes there are.

use std::collections::BTreeSet;

use serde_json::Value;

use super::openapi;

/// The sources that add routes.
const TABLE: &str = include_str!("../router.rs");

fn document() -> Value {
    serde_json::from_str(openapi()).expect("the document is JSON")
}

fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let all = paths.iter().flat_map(|(path, item)| {
        let item = item.as_object().expect("an item").clone();
        item.into_iter().map(move |(method, operation)| (format!("{method} {path}"), operation))
    });
    all.collect()
}

/// All members of this name, however deep.
fn members<'a>(value: &'a Value, name: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                if key == name {
                    found.push(value);
                }
                members(value, name, found);
            }
        }
        Value::Array(array) => array.iter().for_each(|value| members(value, name, found)),
        _ => {}
    }
}

#[test]
fn no_route_is_added_past_the_document() {
    let added = TABLE.split("fn table()").nth(1).expect("the table");
    // Pages for people, which are no calls, and other protocols, which describe themselves.
    let others =
        [".merge(reference::pages())", ".merge(swerex::routes())", ".merge(mcp::route(mcp.clone()))"];
    let table = others.iter().fold(TABLE.to_owned(), |table, other| {
        assert!(table.contains(other), "{other}");
        table.replace(other, "")
    });
    for way in [".route(", ".route_service(", ".nest(", ".nest_service(", ".merge(", "fallback_service"] {
        assert!(!table.contains(way), "router.rs has {way}: what it adds is not described");
    }
    let handlers: usize = added
        .lines()
        .filter_map(|line| line.split("routes!(").nth(1)?.split(')').next())
        .map(|handlers| handlers.split(',').count())
        .sum();
    // Those of a session and those of a workspace.
    let file_calls = 2 * added.matches("file_call::<P, ").count();
    assert_eq!(operations(&document()).len(), handlers + file_calls, "as many operations as handlers");
}

#[test]
fn every_operation_has_a_name_of_its_own_a_text_and_described_answers() {
    let mut names = BTreeSet::new();
    let document = document();
    for (route, operation) in operations(&document) {
        let name = operation["operationId"].as_str().expect("a name").to_owned();
        assert!(names.insert(name.clone()), "{name} names two operations, one is {route}");
        assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with(|c| c != ' ')), "{route}");
        assert_eq!(operation["tags"].as_array().map(Vec::len), Some(1), "{route}");
        let responses = operation["responses"].as_object().expect("responses");
        for (status, response) in responses {
            let shared =
                response["$ref"].as_str().and_then(|name| name.strip_prefix("#/components/responses/"));
            let response = shared.map_or(response, |name| &document["components"]["responses"][name]);
            assert!(!response["description"].as_str().expect("a text").is_empty(), "{route} {status}");
            assert!(response["headers"].get("X-Request-ID").is_some(), "{route} {status}");
        }
        assert!(operation.get("x-error-codes").is_none(), "{route}");
    }
}

#[test]
fn every_route_but_that_of_health_asks_for_the_key() {
    let document = document();
    assert_eq!(document["security"], serde_json::json!([{ "api_key": [] }]));
    let open: Vec<String> = operations(&document)
        .into_iter()
        .filter(|(_, operation)| operation.get("security").is_some())
        .map(|(route, operation)| format!("{route} {}", operation["security"]))
        .collect();
    assert_eq!(open, ["get /healthz []"]);
    for (route, operation) in operations(&document) {
        assert_eq!(operation["responses"].get("401").is_some(), !route.ends_with("/healthz"), "{route}");
    }
}

#[test]
fn every_reference_leads_somewhere_and_no_schema_is_forgotten() {
    let document = document();
    let mut references = Vec::new();
    members(&document, "$ref", &mut references);
    let named: BTreeSet<String> = references
        .iter()
        .filter_map(|name| Some(name.as_str()?.trim_start_matches('#').to_owned()))
        .collect();
    let lost: Vec<_> = named.iter().filter(|name| document.pointer(name).is_none()).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let path = |name: &String| format!("/components/schemas/{name}");
    let forgotten: Vec<_> = schemas.keys().filter(|name| !named.contains(&path(name))).collect();
    assert!(forgotten.is_empty(), "{forgotten:?}");
    for (name, schema) in schemas {
        assert!(schema["description"].as_str().is_some_and(|text| !text.is_empty()), "{name} has no text");
    }
}

#[test]
fn fields_that_exclude_each_other_say_so() {
    let command = &document()["components"]["schemas"]["ExecRequest"]["oneOf"];
    for (index, given, absent) in [(0, "cmd", "argv"), (1, "argv", "cmd")] {
        let way = &command[index];
        assert_eq!(way["required"], serde_json::json!([given]), "{command}");
        assert_eq!(way["properties"][absent], serde_json::json!({ "type": "null" }), "{command}");
        assert!(way["properties"][given]["$ref"].is_string(), "{command}");
        assert_eq!(way["additionalProperties"], false, "{command}");
    }
    let edit = &document()["components"]["schemas"]["EditFileRequest"]["oneOf"];
    assert_eq!(edit[0]["properties"]["edits"]["type"], "array", "{edit}");
    assert_eq!(edit[1]["properties"]["patch"]["type"], "string", "{edit}");
}

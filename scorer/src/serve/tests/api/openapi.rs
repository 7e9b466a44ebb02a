use std::collections::BTreeSet;

use serde_json::json;
use simulator::Params;

use super::alerts::store;
use super::overview::{alert, fill};
use super::*;
use crate::demo::Controls;
use crate::serve::tests::access::send as send_raw;

const DOCUMENT: &str = include_str!("../../../../../docs/openapi.json");

/// Where routes of the API are registered.
const SOURCES: [&str; 3] = [
    include_str!("../../http/api/mod.rs"),
    include_str!("../../http/control.rs"),
    include_str!("../../http/session.rs"),
];

fn document() -> Value {
    serde_json::from_str(DOCUMENT).unwrap()
}

/// Method and path of every route in the sources.
fn registered() -> BTreeSet<(String, String)> {
    let mut all = BTreeSet::new();
    for route in SOURCES.iter().flat_map(|source| source.split(".route(\"").skip(1)) {
        let (path, rest) = route.split_once('"').unwrap();
        let handlers = rest.lines().next().unwrap();
        for method in ["get", "put", "post", "delete"] {
            if handlers.contains(&format!(" {method}(")) || handlers.contains(&format!(".{method}(")) {
                all.insert((method.to_owned(), path.to_owned()));
            }
        }
    }
    assert!(all.len() > 15, "{all:?}");
    all
}

#[test]
fn the_document_holds_every_route_and_no_other() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| (method.clone(), path.clone()))
        })
        .collect();
    assert_eq!(documented, registered());
}

/// What a reference stands for.
fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.trim_start_matches('#')).unwrap_or_else(|| panic!("{name}")),
        None => schema,
    }
}

/// Asserts that a value has exactly the properties that a schema documents, in depth.
fn conforms(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = resolved(document, schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let choice = choices.iter().find(|choice| (choice["type"] == "null") == value.is_null());
        return conforms(document, choice.unwrap(), value, at);
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed = match &schema["type"] {
        Value::Array(kinds) => kinds.clone(),
        one => vec![one.clone()],
    };
    let is_allowed = allowed.iter().any(|it| it == kind || (it == "number" && kind == "integer"));
    assert!(is_allowed, "{at}: {value} is no {allowed:?}");
    if let (Some(values), Some(one)) = (schema["enum"].as_array(), value.as_str()) {
        assert!(values.iter().any(|value| value == one), "{at}: {one}");
    }
    if let (Some(properties), Some(object)) = (schema["properties"].as_object(), value.as_object()) {
        let documented: BTreeSet<&String> = properties.keys().collect();
        assert_eq!(object.keys().collect::<BTreeSet<_>>(), documented, "{at}");
        for (name, one) in object {
            conforms(document, &properties[name], one, &format!("{at}.{name}"));
        }
    }
    for one in value.as_array().into_iter().flatten() {
        conforms(document, &schema["items"], one, &format!("{at}[]"));
    }
}

#[tokio::test]
async fn every_answer_is_as_the_document_says() {
    let (_folder, path, mut store) = store();
    store.prepare().unwrap();
    let environment = [("STORE_PATH", path.as_str()), ("HTTP_TOKEN", TOKEN)];
    let controls = Some(Controls::new(Params::default()));
    let running = Running::start_changed(&environment, |app| app.simulation = controls).await;
    let record = alert(1, 1, "critical", "firing");
    running.app.board.alert(record.clone());
    fill(&running.app.board);
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(get) = methods.get("get") else { continue };
        let content = &get["responses"]["200"]["content"];
        let Some(schema) = content.get("application/json").map(|content| &content["schema"]) else {
            continue;
        };
        let asked = match path.as_str() {
            "/api/v1/threshold/preview" => format!("{path}?score=0.9"),
            other => other.replace("{id}", &record.id),
        };
        let (status, answer) = ask(&running, &asked).await;
        assert_eq!(status, 200, "{asked}: {answer}");
        conforms(&document, schema, &answer, path);
    }
    for (method, path, body, schema) in [
        ("PUT", "/api/v1/simulation", json!({"rate": 7.0}), "put"),
        ("POST", "/api/v1/simulation/burst", json!({"service": "orders"}), "post"),
    ] {
        let (status, answer) = send(&running, method, path, &body.to_string()).await;
        assert_eq!(status, 200, "{path}: {answer}");
        let schema =
            &document["paths"][path][schema]["responses"]["200"]["content"]["application/json"]["schema"];
        conforms(&document, schema, &answer, path);
    }
    running.stop().await;
}

/// What can be wrong with a body, and whether the API says so in its own shape and as the document tells.
#[tokio::test]
async fn every_refusal_is_documented_and_says_why() {
    let controls = Some(Controls::new(Params::default()));
    let running = Running::start_changed(&[("HTTP_TOKEN", TOKEN)], |app| app.simulation = controls).await;
    let record = alert(1, 1, "critical", "firing");
    running.app.board.alert(record.clone());
    let document = document();
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    let text = format!("{token}Content-Type: text/plain\r\n");
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let request = format!("{} {}", method.to_uppercase(), path.replace("{id}", &record.id));
            let mut tries =
                vec![("Authorization: Bearer wrong-one\r\n", ""), ("Sec-Fetch-Site: cross-site\r\n", "")];
            if operation["requestBody"].is_object() {
                tries.extend([(&*token, "{"), (&*token, "[]"), (&*token, r#"{"x":1}"#)]);
                tries.push((&*text, ""));
            }
            for (headers, body) in tries {
                let answer = send_raw(&running, &request, headers, body).await;
                let said = format!("{request} {:.40}: {}", body, answer.status);
                let is_documented = operation["responses"][answer.status.to_string()].is_object();
                assert!(is_documented, "{said} is not documented");
                assert!(answer.status == 200 || answer.body["error"].is_string(), "{said}: {}", answer.body);
                asked += 1;
            }
        }
    }
    assert!(asked > 70, "{asked}");
    for (request, status) in [
        ("GET /api/v1/alerts/%ff", 400),
        ("DELETE /api/v1/silences/%ff", 400),
        ("PATCH /api/v1/status", 405),
        ("DELETE /api/v1/overview", 405),
        ("GET /api/v1/nothing", 404),
    ] {
        let answer = send_raw(&running, request, &token, "").await;
        assert_eq!(answer.status, status, "{request}: {}", answer.head);
        assert!(answer.body["error"].is_string(), "{request}: {}", answer.head);
        assert_eq!(answer.head.contains("\nallow: "), status == 405, "{request}: {}", answer.head);
    }
    running.stop().await;
}

#[tokio::test]
async fn the_document_is_served() {
    let running = Running::start(&[]).await;
    assert_eq!(ask(&running, "/api/v1/openapi.json").await, (200, document()));
    running.stop().await;
}

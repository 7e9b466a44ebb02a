//! Web accesses of a followed file, summed up in a file and over HTTP.

use serde_json::{Value, json};

use crate::rig::Scorer;

#[test]
fn web_accesses_in_json_and_in_the_common_log_format_are_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let lines = [
        r#"{"timestamp":1700000000,"ip":"10.0.0.1","method":"GET","url":"/x","status":500}"#,
        r#"10.0.0.2 - - [14/Nov/2023:22:13:21 +0000] "GET /x HTTP/1.1" 404 12"#,
        r#"{"timestamp":1700000002,"ip":"10.0.0.1","method":"GET","url":"/y","status":200}"#,
        r#"{"timestamp":"2023-11-14T22:13:23Z","level":"ERROR","service":"billing","message":"no web access"}"#,
    ];
    std::fs::write(path("access.log"), lines.join("\n") + "\n").unwrap();
    let summary = path("results/summary.json");
    let input = format!("file:{}", path("access.log"));
    let mut scorer = Scorer::start("summary", &["--input", &input, "--summary-path", &summary]);
    scorer.wait("all lines", |scorer| scorer.counted() == lines.len());
    let expected = json!({
        "top_ips": [{"ip": "10.0.0.1", "count": 2}, {"ip": "10.0.0.2", "count": 1}],
        "top_urls": [{"url": "/x", "count": 2}, {"url": "/y", "count": 1}],
        "errors": [{"status": 500, "ip": "10.0.0.1", "url": "/x"}],
    });
    let (status, answer) = scorer.get("/summary.json").unwrap();
    assert_eq!((status, serde_json::from_str::<Value>(&answer).unwrap()), (200, expected.clone()));
    scorer.wait("the file", |_| {
        std::fs::read_to_string(&summary)
            .is_ok_and(|text| serde_json::from_str::<Value>(&text).unwrap() == expected)
    });
    assert!(scorer.stop().0.success());
}

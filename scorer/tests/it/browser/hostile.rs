//! Lines that would like to be more than text.

use super::play;
use crate::rig::Scorer;

const LINES: usize = 100;
const LONG: usize = 1_000_000;

const MESSAGES: [&str; 12] = [
    "<script>reached()</script>",
    "<img src=x onerror=\"reached()\">",
    "<svg/onload=alert(1)><iframe srcdoc='<script>parent.reached()</script>'></iframe>",
    "</textarea></title></style></script><script>alert(document.domain)</script>",
    "<a href=\"javascript:reached()\">here</a> javascript:alert(1)",
    "\" onmouseover=\"reached()\" x=\" ' onfocus='reached()' autofocus='",
    "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7} \u{1b}[2J\u{9b}31m",
    "invoice \u{202e}gnp.exe\u{202c} \u{2066}\u{2067}\u{2068}\u{2069}\u{200b}\u{feff}",
    "nul \0\0\0 and \u{1}\u{8}\r back",
    "{{constructor.constructor('alert(1)')()}} ${alert(1)} #{7*7} %00 %3Cscript%3E",
    "<style>@import '//evil.example/x.css'; body{display:none}</style><base href=//evil.example>",
    "<math><mtext></p><img src='//evil.example/p.png' onerror=reached()><form action=//evil.example>",
];

fn line(number: usize) -> String {
    let message = match number {
        7 => format!("<b>{}</b>", "A".repeat(LONG)),
        _ => format!("{} number {number}", MESSAGES[number % MESSAGES.len()]),
    };
    let service = match number % 3 {
        0 => "<img src=x onerror=alert('service')>",
        1 => "billing\u{202e}gnillib",
        _ => "checkout",
    };
    let time = jiff::Timestamp::now().to_string();
    serde_json::json!({"timestamp": time, "level": "ERROR", "service": service, "message": message})
        .to_string()
}

#[test]
fn hostile_lines_are_shown_as_text_and_do_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hostile.log");
    let text: String = (0..LINES).map(|number| line(number) + "\n").collect();
    std::fs::write(&path, text).unwrap();
    let input = format!("file:{}", path.display());
    let mut running = Scorer::start("browser-hostile", &["--input", &input, "--store-logs", "all"]);
    running.wait_ready();
    running.wait("all lines are scored", |now| now.metric("isolog_lines_scored_total") as usize == LINES);
    running.wait("an alert fires", |now| now.metric("isolog_alerts_total") > 0.0);
    play("hostile.js", &format!("http://{}", running.http), &[&LINES.to_string(), &LONG.to_string()]);
}

//! Rules between rooms: which crate may link which, and that the map names what is there.

use anyhow::Result;

use crate::shell;

/// A crate of ours and what it must never link, directly or not.
const NEVER: [(&str, &[&str]); 7] = [
    ("engine", &["tokio", "rdkafka", "tonic", "axum", "reqwest", "corpus", "store", "scorer", "trainer"]),
    ("corpus", &["tokio", "rdkafka", "scorer", "trainer"]),
    ("store", &["rdkafka", "corpus", "scorer", "trainer", "testkit"]),
    ("trainer", &["scorer", "testkit"]),
    ("scorer", &["trainer", "testkit"]),
    ("simulator", &["scorer", "trainer", "testkit"]),
    ("proto", &["engine", "rdkafka"]),
];

/// Links that break the rule.
///
/// # Errors
/// When `cargo tree` fails.
pub fn links() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for (member, never) in NEVER {
        let mut tree = shell::cargo();
        tree.args([
            "tree",
            "--quiet",
            "--locked",
            "--package",
            member,
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        broken.extend(forbidden_links(member, &shell::output(&mut tree)?, never));
    }
    Ok(broken)
}

fn forbidden_links(member: &str, tree: &str, never: &[&str]) -> Vec<String> {
    let linked: Vec<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let found = never.iter().filter(|name| linked.contains(name));
    found.map(|name| format!("{member} links {name}: see the arrows in ARCHITECTURE.md")).collect()
}

/// Paths in backticks of the map that `exists` does not know.
pub fn missing_paths(map: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let quoted = map.split('`').skip(1).step_by(2);
    let missing = quoted.filter(|text| is_path(text) && !exists(text));
    missing.map(|path| format!("ARCHITECTURE.md names {path}, which does not exist")).collect()
}

fn is_path(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let named = text.contains('/') || [".rs", ".md", ".toml", ".yaml"].iter().any(|end| text.ends_with(end));
    named && text.chars().all(plain) && !text.starts_with(['/', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_breaks_an_arrow_is_found() {
        let tree = "engine v0.1.0 (/x/engine)\nserde v1.0.0\ntokio v1.54.1\ntokio-util v0.7.0\n";
        let found = forbidden_links("engine", tree, &["tokio", "rdkafka"]);
        assert_eq!(found, ["engine links tokio: see the arrows in ARCHITECTURE.md"]);
    }

    #[test]
    fn only_paths_that_are_named_and_missing_are_found() {
        let map = "`engine/` has `engine/src/gone.rs` and `LogEvent`; run `cargo xtask test`, `/metrics`, `a/*.json`.";
        let found = missing_paths(map, |path| path == "engine/");
        assert_eq!(found, ["ARCHITECTURE.md names engine/src/gone.rs, which does not exist"]);
    }
}

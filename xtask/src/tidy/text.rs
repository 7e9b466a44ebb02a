//! Rules that one file alone can break.

use super::File;

/// A ratchet: lower it, never raise it.
const MOST_LINES: usize = 600;

/// Where code is written by a program.
const GENERATED: &str = "proto/src/gen/";

/// Where the code of others is kept as they published it.
const VENDORED: &str = "scorer/src/serve/http/page/vendor/";

/// Kinds of file that are read.
const CHECKED: [&str; 16] = [
    ".rs",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".sh",
    ".py",
    ".xml",
    ".proto",
    ".html",
    ".js",
    ".css",
    ".json",
    "Dockerfile",
    ".dockerignore",
    "run",
];

/// Whether a file of this name is read at all.
pub fn is_checked(name: &str) -> bool {
    CHECKED.iter().any(|end| name.ends_with(end))
}

/// What a file breaks, each with its place.
pub fn violations(file: &File) -> Vec<String> {
    let File { path, text } = file;
    let mut broken = Vec::new();
    if path.starts_with(GENERATED) || path.starts_with(VENDORED) {
        return broken;
    }
    if path.ends_with(".rs") {
        if !is_test_of_its_parent(path) && !has_header(text) {
            broken.push(format!("{path}: begins without a `//!` header that says what it is for"));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            broken.push(format!("{path}: {lines} lines; at most {MOST_LINES}: split it"));
        }
    }
    let words = forbidden();
    for (number, line) in text.lines().enumerate() {
        for (word, reason) in &words {
            if line.contains(word.as_str()) {
                broken.push(format!("{path}:{}: {word}: {reason}", number + 1));
            }
        }
    }
    broken
}

/// A module of unit tests: its parent's header says what is tested.
fn is_test_of_its_parent(path: &str) -> bool {
    path.contains("/src/") && (path.ends_with("/tests.rs") || path.contains("/tests/"))
}

/// The header is the first thing but for attributes of the whole file.
fn has_header(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with("#!["));
    lines.next().is_some_and(|line| line.starts_with("//! "))
}

/// What no file may contain, with the reason. The parts are joined here so that this file does not contain it.
fn forbidden() -> Vec<(String, &'static str)> {
    let unfinished = "finish it or leave it out";
    let hosts = "package managers know where their registry is";
    let machine = "a path of one machine";
    [
        (["TO", "DO"], unfinished),
        (["FIX", "ME"], unfinished),
        (["XX", "X:"], unfinished),
        (["todo", "!("], unfinished),
        (["unimplemented", "!("], unfinished),
        (["#[ig", "nore"], "a test that does not run tests nothing"),
        (["/wo", "rk/"], machine),
        (["crates", ".io"], hosts),
        (["pypi", ".org"], hosts),
        (["pythonhosted", ".org"], hosts),
        (["maven", ".org"], hosts),
        (["maven.apache", ".org"], hosts),
        (["npmjs", ".org"], hosts),
        (["deb.debian", ".org"], hosts),
        (["proxy.golang", ".org"], hosts),
    ]
    .map(|(parts, reason)| (parts.concat(), reason))
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(path: &str, text: &str) -> Vec<String> {
        violations(&File { path: path.to_owned(), text: text.to_owned() })
    }

    #[test]
    fn a_module_without_a_header_is_found() {
        assert_eq!(broken("a/src/b.rs", "//! For b.\n\nfn b() {}\n"), Vec::<String>::new());
        assert_eq!(broken("fuzz/b.rs", "#![no_main]\n\n//! For b.\n"), Vec::<String>::new());
        assert_eq!(broken("a/src/b/tests.rs", "use super::b;\n"), Vec::<String>::new());
        assert!(broken("a/src/b.rs", "fn b() {}\n")[0].contains("a/src/b.rs: begins without"));
        assert!(broken("a/tests/it/b.rs", "fn b() {}\n")[0].contains("a/tests/it/b.rs: begins without"));
    }

    #[test]
    fn a_file_over_the_limit_is_found() {
        let text = format!("//! Long.\n{}", "\n".repeat(MOST_LINES));
        assert!(broken("a.rs", &text)[0].contains("601 lines"));
        assert!(broken("a.md", &text).is_empty());
    }

    #[test]
    fn each_forbidden_word_is_found_with_its_line() {
        for (word, reason) in forbidden() {
            let found = broken("a.md", &format!("fine\nbefore {word} after\n"));
            assert!(found.contains(&format!("a.md:2: {word}: {reason}")), "{word}: {found:?}");
        }
    }

    #[test]
    fn generated_code_is_left_alone() {
        assert!(broken("proto/src/gen/isolog.v1.rs", "// @generated").is_empty());
    }
}

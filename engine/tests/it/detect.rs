//! The documentation of the detectors is the one that the code makes. Renew it with
//! `UPDATE_DOCS=1 cargo test -p engine --test it documented`.

use std::path::Path;

#[test]
fn detectors_are_documented_as_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/detectors.md");
    let page = engine::detect::docs::page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, page, "renew docs/detectors.md: see the head of this test");
}

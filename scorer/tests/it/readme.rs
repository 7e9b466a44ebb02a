//! The README's table of settings is the one that the program prints.

use std::path::Path;
use std::process::Command;

const BEGIN: &str = "<!-- settings: generated, see scorer/tests/it/readme.rs -->\n";
const END: &str = "<!-- end of settings -->";

#[test]
fn the_readme_lists_the_settings_as_the_program_does() {
    let output = Command::new(env!("CARGO_BIN_EXE_scorer")).arg("settings").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed = String::from_utf8(output.stdout).unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = std::fs::read_to_string(&path).unwrap();
    let (before, rest) =
        readme.split_once(BEGIN).expect("README.md has lost the line that begins the settings");
    let (table, after) = rest.split_once(END).expect("README.md has lost the line that ends the settings");
    if std::env::var_os("UPDATE_README").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}\n{}\n\n{END}{after}", printed.trim())).unwrap();
        return;
    }
    assert_eq!(
        table.trim(),
        printed.trim(),
        "the settings changed: run `UPDATE_README=1 cargo test -p scorer --test it readme` and commit README.md"
    );
}

//! Debian's Chromium and Node, and the modules of npm that drive it, whose hashes npm compares with the lock file.

use anyhow::{Context, Result, bail};
use testkit::tools;

use super::debian;
use crate::shell;

/// Least major version of Node that Playwright runs on.
const LEAST_NODE: u32 = 18;

/// Installs what is missing.
///
/// # Errors
/// Names what cannot be installed and the command that a person would run.
pub fn install() -> Result<()> {
    if tools::chromium().is_err() {
        // Without a font there is no text, and nothing that holds text has its size.
        debian::install("Chromium", &["chromium", "fonts-dejavu-core"])?;
    }
    node()?;
    if tools::BROWSER.is_installed() {
        return Ok(());
    }
    if !shell::succeeds(shell::command("npm").arg("--version")) {
        debian::install("npm, to fetch what drives the browser", &["npm"])?;
    }
    println!("setup: fetching Playwright and axe");
    let folder = tools::BROWSER.path()?;
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (name, text) in [
        ("package.json", include_str!("../../../testkit/browser/package.json")),
        ("package-lock.json", tools::BROWSER.list),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let mut npm = shell::command("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    shell::run(npm.current_dir(&folder).stdout(std::process::Stdio::null()))?;
    std::fs::write(folder.join(tools::STAMP), tools::BROWSER.list)?;
    Ok(())
}

fn node() -> Result<()> {
    let version = || shell::output(shell::command("node").arg("--version"));
    match version().ok().as_deref().map(major) {
        Some(Some(major)) if major >= LEAST_NODE => Ok(()),
        Some(_) => bail!(
            "the tests need Node {LEAST_NODE} or later, `node --version` says {:?}; install a newer one",
            version().unwrap_or_default().trim()
        ),
        None => debian::install("Node", &["nodejs"]),
    }
}

/// `v20.20.2` → 20.
fn major(text: &str) -> Option<u32> {
    text.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_read_from_what_it_prints() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("20.20.2"), None);
    }

    #[test]
    fn the_lock_file_pins_every_module_by_a_hash_and_names_no_registry() {
        let lock: serde_json::Value = serde_json::from_str(tools::BROWSER.list).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        let modules: Vec<_> = packages.iter().filter(|(name, _)| !name.is_empty()).collect();
        assert!(modules.len() >= 3, "{modules:?}");
        for (name, module) in modules {
            assert!(module["integrity"].as_str().unwrap().starts_with("sha512-"), "{name}");
            assert!(module.get("resolved").is_none(), "{name}");
        }
    }
}

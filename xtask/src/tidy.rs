//! The repository's own rules, checked by a test: what a reviewer would otherwise have to look for each time.
//! Never changes a file.

mod rooms;
mod text;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Folders that are not ours or not committed.
const SKIPPED: [&str; 7] =
    [".git", ".cache", "target", "results", "artifacts", "node_modules", "__pycache__"];

/// A text file of the repository.
struct File {
    /// Relative to the project's folder, with `/`.
    path: String,
    text: String,
}

/// Prints what breaks a rule.
///
/// # Errors
/// When anything does.
pub fn run() -> Result<()> {
    let broken = violations(&shell::root())?;
    for violation in &broken {
        eprintln!("{violation}");
    }
    if !broken.is_empty() {
        bail!("{} rules broken", broken.len());
    }
    println!("tidy: all rules kept");
    Ok(())
}

fn violations(root: &Path) -> Result<Vec<String>> {
    let files = files(root)?;
    let mut broken: Vec<String> = files.iter().flat_map(text::violations).collect();
    broken.extend(rooms::links()?);
    let map = root.join("ARCHITECTURE.md");
    let map = std::fs::read_to_string(&map).with_context(|| format!("cannot read {}", map.display()))?;
    broken.extend(rooms::missing_paths(&map, |path| root.join(path).exists()));
    Ok(broken)
}

fn files(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?
        {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !path.is_symlink() {
                if !SKIPPED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if text::is_checked(&name) {
                let bytes =
                    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                let relative = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
                found.push(File { path: relative, text: String::from_utf8_lossy(&bytes).into_owned() });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_keeps_its_rules() {
        let broken = violations(&shell::root()).unwrap();
        assert!(broken.is_empty(), "\n{}", broken.join("\n"));
    }

    #[test]
    fn source_files_are_found_and_build_results_are_not() {
        let files = files(&shell::root()).unwrap();
        assert!(files.iter().any(|file| file.path == "xtask/src/tidy.rs"));
        assert!(files.iter().all(|file| !file.path.starts_with("target/")));
    }
}

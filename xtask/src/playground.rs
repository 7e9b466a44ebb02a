//! Makes `playground/index.html`: trains the small model, compiles the engine to WebAssembly and packs both with the
//! page into one file.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use base64::Engine as _;
use flate2::Compression;
use flate2::write::GzEncoder;

/// A compiler that knows the target and holds the source of the standard library: Debian's packages.
const COMPILER: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LINKER: &str = "/usr/bin/wasm-ld";
const TARGET: &str = "wasm32-unknown-unknown";
const HOW: &str = "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../playground")
}

/// What is missing to compile for WebAssembly; `None` where nothing is.
pub fn missing() -> Option<String> {
    let gone: Vec<&str> =
        [COMPILER, CARGO, LINKER].into_iter().filter(|it| !Path::new(it).exists()).collect();
    (!gone.is_empty()).then(|| format!("{} missing; on Debian: {HOW}", gone.join(", ")))
}

/// Trains the model, compiles and writes the page.
///
/// # Errors
/// A compiler for WebAssembly is missing, something does not compile, the page cannot be written.
pub fn run() -> Result<()> {
    let model = folder().join("model.isolog");
    let trained = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--package", "playground", "--example", "train"])
        .output()
        .context("cargo cannot be started")?;
    ensure!(trained.status.success(), "{}", String::from_utf8_lossy(&trained.stderr));
    std::fs::write(&model, &trained.stdout).with_context(|| format!("writing {}", model.display()))?;
    let page = page(&compile()?)?;
    let path = folder().join("index.html");
    std::fs::write(&path, &page).with_context(|| format!("writing {}", path.display()))?;
    println!("{}: {} kB", path.display(), page.len() / 1_000);
    Ok(())
}

/// The engine with the model, as a WebAssembly module.
///
/// # Errors
/// A compiler is missing, or it does not compile.
pub fn compile() -> Result<Vec<u8>> {
    if let Some(missing) = missing() {
        bail!("{missing}");
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm");
    let mut command = Command::new(CARGO);
    // What a cargo around this one says of its own compiler is not for this one.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO") || name_text.starts_with("RUST") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder())
        .args(["build", "--locked", "--release", "--package", "playground", "--lib", "--target", TARGET])
        .args(["-Z", "build-std=std,panic_abort"])
        .env("RUSTC", COMPILER)
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target)
        .env("CARGO_HOME", home("CARGO_HOME", ".cargo"))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-C linker-flavor=wasm-ld");
    for (name, value) in
        [("OPT_LEVEL", "s"), ("LTO", "fat"), ("CODEGEN_UNITS", "1"), ("PANIC", "abort"), ("STRIP", "true")]
    {
        command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
    }
    let status = command.status().with_context(|| format!("{CARGO} cannot be started"))?;
    ensure!(status.success(), "the engine does not compile to WebAssembly");
    let module = target.join(TARGET).join("release/playground.wasm");
    std::fs::read(&module).with_context(|| format!("reading {}", module.display()))
}

fn home(variable: &str, folder: &str) -> PathBuf {
    std::env::var_os(variable)
        .map_or_else(|| std::env::home_dir().unwrap_or_default().join(folder), PathBuf::from)
}

/// The page around a module.
///
/// # Errors
/// A part of the page cannot be read.
pub fn page(module: &[u8]) -> Result<String> {
    let part = |name: &str| {
        let path = folder().join("page").join(name);
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let mut packer = GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(module)?;
    let packed = base64::engine::general_purpose::STANDARD.encode(packer.finish()?);
    let page = part("template.html")?.replace("{{style}}", part("style.css")?.trim_end());
    // The module last: nothing in it is taken for a place of another part.
    Ok(page.replace("{{script}}", part("page.js")?.trim_end()).replace("{{module}}", &packed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text around the module.
    fn around(page: &str) -> (&str, &str) {
        let (before, rest) = page.split_once("<script id=\"module\"").unwrap();
        (before, rest.split_once("</script>").unwrap().1)
    }

    #[test]
    fn the_committed_page_is_made_of_its_parts() {
        let committed = std::fs::read_to_string(folder().join("index.html")).unwrap();
        let made = page(b"").unwrap();
        assert!(
            around(&committed) == around(&made),
            "playground/index.html is stale: run `cargo xtask playground`"
        );
        assert!(!committed.contains("{{"));
        assert!(!committed.contains("://"), "it asks nobody for anything");
    }
}

//! Generates the Rust code and the descriptor set of `proto/isolog/v1/scoring.proto`. It needs no protoc, and
//! never writes anywhere but into the folder it is given.

use std::path::{Path, PathBuf};

use anyhow::Context;

const PROTO: &str = "isolog/v1/scoring.proto";
const DESCRIPTORS: &str = "isolog.v1.binpb";

/// The folder `proto` of this workspace.
fn proto_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto")
}

/// Writes the generated files into `out`: `isolog.v1.rs` and `isolog.v1.binpb`, the descriptors that
/// reflection serves.
///
/// # Errors
/// The `.proto` file has a fault (said with its line), or `out` cannot be written.
fn generate(out: &Path) -> anyhow::Result<()> {
    let dir = proto_dir();
    let mut compiler = protox::Compiler::new([&dir])?;
    compiler.include_imports(true).include_source_info(true).open_file(dir.join(PROTO))?;
    tonic_prost_build::configure()
        .out_dir(out)
        .emit_rerun_if_changed(false)
        .codec_path("crate::codec::CountedCodec")
        .compile_fds(compiler.file_descriptor_set())
        .with_context(|| format!("generating code for {PROTO}"))?;
    let mut plain = protox::Compiler::new([&dir])?;
    plain.include_imports(true).open_file(dir.join(PROTO))?;
    let path = out.join(DESCRIPTORS);
    std::fs::write(&path, plain.encode_file_descriptor_set())
        .with_context(|| format!("writing {}", path.display()))
}

/// Generates `proto/src/gen` anew.
///
/// # Errors
/// As [`generate`].
pub fn run() -> anyhow::Result<()> {
    let out = proto_dir().join("src/gen");
    std::fs::create_dir_all(&out).with_context(|| format!("creating {}", out.display()))?;
    generate(&out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_code_is_what_the_proto_file_generates() {
        let out = std::env::temp_dir().join(format!("isolog-codegen-{}", std::process::id()));
        std::fs::create_dir_all(&out).unwrap();
        generate(&out).unwrap();
        for name in ["isolog.v1.rs", DESCRIPTORS] {
            let fresh = std::fs::read(out.join(name)).unwrap();
            let committed = std::fs::read(proto_dir().join("src/gen").join(name)).unwrap();
            assert!(fresh == committed, "proto/src/gen/{name} is stale: run `cargo xtask codegen`");
        }
        let names: Vec<_> =
            std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "codegen writes files that nobody commits: {names:?}");
        std::fs::remove_dir_all(&out).unwrap();
    }
}

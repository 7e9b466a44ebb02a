//! Apache Kafka's jars, fetched by Maven and compared with the checksums of testkit/kafka/jars.sha256.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use testkit::tools;

use super::debian;
use crate::shell;

const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies";

/// Fetches the jars if they are not there.
///
/// # Errors
/// When Maven fails or a jar is not the one whose checksum is committed.
pub fn install() -> Result<()> {
    if tools::KAFKA.is_installed() {
        return Ok(());
    }
    if !shell::succeeds(shell::command("mvn").arg("--version")) {
        debian::install("Maven, to fetch Apache Kafka", &["maven"])?;
    }
    println!("setup: fetching Apache Kafka");
    let target = tools::KAFKA.path()?;
    let partial = target.with_extension("partial");
    let _ = std::fs::remove_dir_all(&partial);
    let mut maven = shell::command("mvn");
    maven.args(["--quiet", "--batch-mode", "-Dstyle.color=never", "--file", "testkit/kafka/pom.xml", COPY]);
    maven.arg(format!("-DoutputDirectory={}", partial.display()));
    shell::run(&mut maven)?;
    compare(&partial, &expected(tools::KAFKA.list)?)?;
    std::fs::write(partial.join(tools::STAMP), tools::KAFKA.list)?;
    let _ = std::fs::remove_dir_all(&target);
    std::fs::rename(&partial, &target).with_context(|| format!("cannot create {}", target.display()))
}

/// `sha256sum` lines → checksum by file name.
fn expected(list: &str) -> Result<BTreeMap<&str, &str>> {
    list.lines()
        .map(|line| line.split_once("  ").map(|(sum, name)| (name, sum)))
        .collect::<Option<_>>()
        .context("testkit/kafka/jars.sha256 has a line that sha256sum did not write")
}

/// Every jar of the folder is listed and every listed one is there, with its checksum.
fn compare(folder: &Path, expected: &BTreeMap<&str, &str>) -> Result<()> {
    let mut missing: Vec<&str> = expected.keys().copied().collect();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let digest = Sha256::digest(std::fs::read(&path)?);
        let sum: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        match expected.get(name.as_str()) {
            None => bail!("{name} is not in testkit/kafka/jars.sha256"),
            Some(pinned) if *pinned != sum => bail!("{name} has checksum {sum}; pinned is {pinned}"),
            Some(_) => missing.retain(|listed| *listed != name),
        }
    }
    if !missing.is_empty() {
        bail!("Maven did not fetch {}", missing.join(", "));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn only_the_pinned_files_with_the_pinned_bytes_pass() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jar"), "abc").unwrap();
        let list = format!("{ABC}  a.jar");
        compare(folder.path(), &expected(&list).unwrap()).unwrap();
        let other = list.replace("ba78", "ba79");
        let error = compare(folder.path(), &expected(&other).unwrap()).unwrap_err();
        assert!(error.to_string().contains("a.jar has checksum ba78"), "{error}");
        let longer = format!("{list}\n{ABC}  b.jar");
        let error = compare(folder.path(), &expected(&longer).unwrap()).unwrap_err();
        assert!(error.to_string().contains("did not fetch b.jar"), "{error}");
        std::fs::write(folder.path().join("c.jar"), "abc").unwrap();
        let error = compare(folder.path(), &expected(&list).unwrap()).unwrap_err();
        assert!(error.to_string().contains("c.jar is not in"), "{error}");
    }

    #[test]
    fn the_committed_list_is_well_formed() {
        let list = expected(tools::KAFKA.list).unwrap();
        assert!(list.contains_key("kafka-clients-4.1.0.jar"));
        assert!(list.values().all(|sum| sum.len() == 64));
    }
}

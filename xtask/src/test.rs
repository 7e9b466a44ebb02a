//! `cargo xtask test`: tests, documentation tests, licences and advisories, with one count at the end.
//! Never hides a failure behind a later success.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use testkit::tools::{LONG_TESTS, SEEDS};

use crate::{playground, setup, shell};

/// Passed and failed tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
}

/// Everything that CI runs but the formatter and clippy.
///
/// # Errors
/// When anything failed.
pub fn run() -> Result<()> {
    setup::run()?;
    let mut tests = shell::cargo();
    tests.args(["test", "--workspace", "--no-fail-fast"]);
    let (mut count, tests_passed) = counted(&mut tests)?;
    for check in ["licenses", "bans", "sources"] {
        count.add(shell::run(&mut deny(&["check", check])?).is_ok());
    }
    advisories(&mut count)?;
    rebuilt_page(&mut count)?;
    println!("{} passed, {} failed", count.passed, count.failed);
    if count.failed > 0 || !tests_passed {
        bail!("not everything passed");
    }
    Ok(())
}

/// Which faults, and how often.
#[derive(clap::Args)]
pub struct Faults {
    /// Which; without it all
    #[arg(value_enum)]
    only: Option<Only>,
    /// How many times the scorer is killed at each place
    #[arg(long, default_value_t = 20)]
    seeds: u32,
    /// How many times the tests that stop brokers and servers run
    #[arg(long, default_value_t = 10)]
    rounds: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Only {
    /// SIGKILL at every place of the pipeline, of the store and of the sinks (about 20 minutes)
    Kills,
    /// 100 joins and leaves of scorers under load (about 5 minutes)
    Storm,
    /// Brokers and servers that stop, rotated and truncated files, again and again
    Rounds,
}

/// The tests that kill, stop and start, in their long forms.
///
/// # Errors
/// At the first that fails.
pub fn faults(arguments: &Faults) -> Result<()> {
    setup::run()?;
    let wants = |what| arguments.only.is_none_or(|only| only == what);
    if wants(Only::Kills) {
        let seeds = arguments.seeds.to_string();
        of_the_scorer_with(&[(SEEDS, &seeds)], &["faults::flow", "faults::told", "--nocapture"])?;
    }
    if wants(Only::Storm) {
        of_the_scorer(&["faults::storm", "--nocapture"])?;
    }
    if wants(Only::Rounds) {
        for round in 1..=arguments.rounds {
            println!("round {round} of {}", arguments.rounds);
            of_the_scorer(&["kafka::", "files::"])?;
        }
    }
    Ok(())
}

/// The tests of memory, in their long form.
///
/// # Errors
/// When one fails.
pub fn soak() -> Result<()> {
    setup::run()?;
    of_the_scorer(&["soak::", "--nocapture"])
}

fn of_the_scorer(arguments: &[&str]) -> Result<()> {
    of_the_scorer_with(&[], arguments)
}

fn of_the_scorer_with(variables: &[(&str, &str)], arguments: &[&str]) -> Result<()> {
    let mut tests = shell::cargo();
    tests
        .envs(variables.iter().copied())
        .env(LONG_TESTS, "1")
        .args(["test", "--package", "scorer", "--test", "it", "--"])
        .args(arguments);
    let (count, passed) = counted(&mut tests)?;
    println!("{} passed, {} failed", count.passed, count.failed);
    if !passed || count.passed == 0 {
        bail!("not everything passed, or no test was found");
    }
    Ok(())
}

impl Count {
    fn add(&mut self, passed: bool) {
        if passed {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
    }

    /// `test result: ok. 3 passed; 0 failed; …`
    fn read(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |word: &str| {
            let (before, _) = result.split_once(word)?;
            before.split_whitespace().next_back()?.parse::<u64>().ok()
        };
        self.passed += number(" passed").unwrap_or(0);
        self.failed += number(" failed").unwrap_or(0);
    }
}

/// Runs tests with their output shown, and adds up what each binary reports.
fn counted(command: &mut Command) -> Result<(Count, bool)> {
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let output = child.stdout.take().context("no standard output")?;
    let mut count = Count::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        println!("{line}");
        count.read(&line);
    }
    Ok((count, child.wait()?.success()))
}

fn deny(arguments: &[&str]) -> Result<Command> {
    let mut command = shell::command(setup::cargo_deny()?);
    command.args(arguments);
    Ok(command)
}

/// The page is compiled anew, where the compiler for WebAssembly is at hand, and answers as the engine does.
fn rebuilt_page(count: &mut Count) -> Result<()> {
    if let Some(missing) = playground::missing() {
        println!("THE WEBASSEMBLY PAGE WAS NOT COMPILED AGAIN, only the committed one was tested: {missing}");
        return Ok(());
    }
    let page = playground::page(&playground::compile()?)?;
    let fresh = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/wasm/index.html");
    std::fs::write(&fresh, page).with_context(|| format!("writing {}", fresh.display()))?;
    let mut tests = shell::cargo();
    tests.env("PLAYGROUND_PAGE", &fresh);
    // The whole workspace, so that nothing is compiled again with other features.
    tests.args(["test", "--workspace", "--test", "it", "--", "the_page_answers_as_the_engine_does"]);
    let (found, passed) = counted(&mut tests)?;
    count.add(passed && found.passed == 1);
    Ok(())
}

/// The advisories come from a database that cargo-deny clones: without a copy on this machine nothing can be said.
fn advisories(count: &mut Count) -> Result<()> {
    let home = match std::env::var_os("CARGO_HOME") {
        Some(home) => home.into(),
        None => std::env::home_dir().context("no home directory: set HOME")?.join(".cargo"),
    };
    let database = home.join("advisory-dbs");
    if has_clone(&database) {
        count.add(shell::run(&mut deny(&["--offline", "check", "advisories"])?).is_ok());
    } else {
        println!(
            "ADVISORIES WERE NOT CHECKED: {} holds no database; where there is a network, `cargo deny fetch` gets it",
            database.display()
        );
    }
    Ok(())
}

/// cargo-deny leaves a lock file even where it could not clone.
fn has_clone(folder: &Path) -> bool {
    let mut entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.any(|entry| entry.path().join(".git").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_of_all_test_binaries_are_added_up() {
        let mut count = Count::default();
        for line in [
            "test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test tidy::result ... ok",
            "test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 3 filtered out; finished in 1.00s",
        ] {
            count.read(line);
        }
        assert_eq!(count, Count { passed: 13, failed: 2 });
    }
}

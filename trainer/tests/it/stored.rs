//! Training from what a scorer kept.

use engine::event::EventTime;
use rstest::rstest;
use store::{LogRow, Rows, StoreSettings};
use testkit::postgres::Server;

use crate::{run, trainer};

fn row(number: i64, line: &simulator::SimLine) -> LogRow {
    LogRow {
        id: format!("{number:032x}"),
        time: line.timestamp,
        service: line.service.to_owned(),
        level: Some(line.level),
        message: line.message.clone(),
        score: 0.5,
        family: "logs".to_owned(),
        source: format!("logs/0/{number}"),
    }
}

#[rstest]
#[case::embedded(false)]
#[case::postgres(true)]
fn kept_lines_train_the_same_model_as_their_file(#[case] postgres: bool) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isolog.db");
    let place = match postgres {
        true => StoreSettings::Postgres(Server::shared().unwrap().database().unwrap()),
        false => StoreSettings::Embedded { path: path.clone() },
    };
    let start = EventTime::from_millis(1_767_571_200_000);
    let params = simulator::Params { seed: 8, start, rate: 50.0, ..simulator::Params::default() };
    let lines: Vec<_> = simulator::Simulator::new(params).unwrap().take(2_500).collect();
    let logs = lines.iter().zip(0..).map(|(line, number)| row(number, line)).collect();
    store::open(&place).unwrap().write(&Rows { now: start, logs, ..Rows::default() }).unwrap();
    let train = |name: &str, more: &[&str]| {
        let model = folder.path().join(name);
        let mut command = trainer();
        command.arg("fit").args(["--n-estimators", "20"]).args(more).arg("-m").arg(&model);
        match &place {
            StoreSettings::Postgres(url) => command.arg("--from-store").env("DATABASE_URL", url),
            StoreSettings::Embedded { path } => command.arg("--from-store").arg(path),
        };
        let (output, stdout, stderr) = run(&mut command);
        assert!(output.status.success(), "{stderr}");
        (std::fs::read(model).unwrap(), stdout)
    };
    let (model, stdout) = train("one", &[]);
    assert!(stdout.contains("trained on 2,500 "), "{stdout}");
    assert!(model == train("two", &[]).0, "a second run gives other bytes");
    let within = ["--since", "2026-01-05T00:00:05Z", "--until", "2026-01-05T00:00:20Z"];
    let wanted = lines
        .iter()
        .filter(|line| (5_000_000..20_000_000).contains(&(line.timestamp.as_micros() - start.as_micros())))
        .count();
    let (_, stdout) = train("three", &within);
    assert!(stdout.contains(&format!("trained on {wanted} ")), "{wanted} in {stdout}");
}

#[test]
fn a_store_that_is_not_there_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("none.db");
    let (output, _, stderr) = run(trainer().args(["fit", "--from-store"]).arg(&path));
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("none.db") && stderr.contains("STORE_PATH"), "{stderr}");
    assert!(!path.exists());
}

#[test]
fn an_address_that_cannot_be_used_is_refused_without_its_password() {
    let mut command = trainer();
    command.args(["fit", "--from-store"]).env("DATABASE_URL", "postgres://u:geheim@h/d?sslmode=maybe");
    let (output, _, stderr) = run(&mut command);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr.contains("sslmode") && !stderr.contains("geheim"), "{stderr}");
}

//! The document holds exactly the statements that the program runs, and those for people work.

use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::query;

const DOCUMENT: &str = include_str!("../../../docs/store.md");

/// The blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    DOCUMENT.split(&start).skip(1).filter_map(|rest| rest.split("\n```").next()).collect()
}

#[test]
fn the_document_holds_the_statements_that_the_program_runs() {
    let mut documented = BTreeMap::new();
    for section in DOCUMENT.split("\n### ").skip(1) {
        let title = section.lines().next().unwrap();
        let sql = section.split("```sql\n").nth(1).unwrap().split("\n```").next().unwrap();
        assert!(documented.insert(title, sql).is_none(), "{title} is there twice");
    }
    let run: BTreeMap<&str, &str> = query::ALL.iter().map(|query| (query.title, query.sql)).collect();
    assert_eq!(run.len(), query::ALL.len());
    assert_eq!(documented, run);
}

/// Both databases take the text as it is, with values a person may type.
#[rstest]
fn every_statement_runs_when_values_are_typed_in(#[values(Which::Embedded, Which::Postgres)] which: Which) {
    let place = Place::new(which);
    let mut store = place.handle();
    store.write(&rows((0..3).map(log))).unwrap();
    for query in query::ALL {
        let mut sql = query.sql.to_owned();
        for number in (1..=6).rev() {
            let name = format!("${number}");
            let before = sql.split(&name).next().unwrap_or_default().trim_end();
            // The row compared with, or the value behind a comparison or LIMIT, says what it must be.
            let first_of_pair = before.ends_with("< (") || before.ends_with("> (");
            let value =
                if before.ends_with("LIMIT") || (before.ends_with(',') && !sql.contains("(last_seen, id)")) {
                    "7"
                } else if first_of_pair
                    || before.ends_with("timestamp <")
                    || before.ends_with("at >=")
                    || before.ends_with("timestamp >=")
                {
                    "'2026-01-02T03:04:05Z'"
                } else {
                    "'billing'"
                };
            sql = sql.replace(&name, value);
        }
        place.by_hand(&sql);
    }
}

#[rstest]
#[case("sqlite", Which::Embedded)]
#[case("postgresql", Which::Postgres)]
fn what_people_type_works(#[case] language: &str, #[case] which: Which) {
    let place = Place::new(which);
    place.handle().prepare().unwrap();
    let blocks = blocks(language);
    assert!(!blocks.is_empty());
    blocks.into_iter().for_each(|sql| place.by_hand(sql));
}

#[test]
fn the_document_names_every_column() {
    let schema = include_str!("../migrations/sqlite/0001.sql");
    let names = schema.lines().filter_map(|line| line.strip_prefix("    ")?.split_whitespace().next());
    for name in names.filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase())) {
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name}");
    }
}

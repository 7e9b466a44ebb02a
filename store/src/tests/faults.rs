//! A database that goes away, fills up or is damaged: what is told, and that nothing is lost when it is back.

use std::path::PathBuf;

use rstest::rstest;

use super::*;
use crate::database::Database;
use crate::sqlite::Sqlite;
use crate::{Error, LogFilter, Page, Store};

#[test]
fn a_full_disk_loses_nothing_and_goes_away_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isolog.db");
    let mut sqlite = Sqlite::new(path.clone());
    crate::backend::Backend::connect(&mut sqlite).unwrap();
    let pages = |sqlite: &mut Sqlite, most: u32| {
        sqlite.connection().unwrap().pragma_update(None, "max_page_count", most).unwrap();
    };
    pages(&mut sqlite, 60);
    let mut store = Database::new(sqlite);
    let mut number = 0;
    let error = loop {
        let batch = rows((number..number + 50).map(log));
        match store.write(&batch) {
            Ok(written) => number += u32::try_from(written.logs).unwrap(),
            Err(error) => break error,
        }
    };
    assert!(number > 0);
    assert!(matches!(error, Error::Full { .. }), "{error}");
    assert!(error.is_transient());
    assert!(error.to_string().contains("STORE_MAX_BYTES"), "{error}");
    assert!(error.to_string().contains("isolog.db"), "{error}");
    let kept =
        |store: &mut dyn Store| store.last_logs(&LogFilter::default(), &Page::first(1_000)).unwrap().len();
    assert_eq!(kept(&mut store), number as usize);
    pages(store.backend(), 1 << 20);
    assert_eq!(store.write(&rows((number..number + 50).map(log))).unwrap().logs, 50);
    assert_eq!(kept(&mut store), number as usize + 50);
}

#[test]
fn a_server_that_stops_and_starts_loses_nothing() {
    let mut server = Server::start().unwrap();
    let url = server.database().unwrap();
    let mut store = open(&StoreSettings::Postgres(url.replace("isolog@", "isolog:geheim@"))).unwrap();
    store.write(&rows([log(1)])).unwrap();
    assert!(store.lead("slack").unwrap());
    server.stop().unwrap();
    for _ in 0..2 {
        let error = store.write(&rows([log(2)])).unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        let told = error.to_string();
        assert!(told.contains("PostgreSQL at 127.0.0.1:") && !told.contains("geheim"), "{told}");
    }
    server.resume().unwrap();
    assert_eq!(store.write(&rows([log(1), log(2)])).unwrap().logs, 1);
    assert!(store.lead("slack").unwrap());
    assert_eq!(store.last_logs(&LogFilter::default(), &Page::first(10)).unwrap().len(), 2);
}

#[test]
fn a_store_may_be_asked_and_dropped_where_asynchronous_tasks_run() {
    let place = Place::new(Which::Postgres);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut store = place.handle();
        store.write(&rows([log(1)])).unwrap();
        drop(store);
        assert_eq!(place.handle().last_logs(&LogFilter::default(), &Page::first(10)).unwrap().len(), 1);
    });
}

#[test]
fn a_server_may_come_later_than_the_program() {
    let port = testkit::free_port().unwrap();
    let url = format!("postgres://isolog@127.0.0.1:{port}/logs");
    let error = open(&StoreSettings::Postgres(url)).unwrap().prepare().unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert!(error.to_string().contains("cannot be reached"), "{error}");
}

#[rstest]
#[case::no_such_database("/nothing", "does not exist")]
#[case::no_such_user("", "role \"nobody\" does not exist")]
fn what_only_a_person_can_mend_is_told_as_such(#[case] database: &str, #[case] why: &str) {
    let url = Server::shared().unwrap().database().unwrap();
    let url = match database {
        "" => url.replace("isolog@", "nobody@"),
        other => url.rsplit_once('/').unwrap().0.to_owned() + other,
    };
    let error = open(&StoreSettings::Postgres(url)).unwrap().prepare().unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().contains(why), "{error}");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("isolog.db");
    let text =
        "just some text, and long enough to hold a header of a hundred bytes if it were one; ".repeat(3);
    std::fs::write(&path, &text).unwrap();
    let error = open(&StoreSettings::Embedded { path: path.clone() }).unwrap().prepare().unwrap_err();
    assert!(matches!(error, Error::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("STORE_PATH"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[rstest]
#[case("/proc/nowhere/isolog.db")]
#[case("/")]
fn a_place_that_cannot_be_written_is_refused_by_its_name(#[case] path: &str) {
    let settings = StoreSettings::Embedded { path: PathBuf::from(path) };
    let error = open(&settings).unwrap().prepare().unwrap_err();
    assert!(!error.is_transient(), "{error}");
    assert!(error.to_string().contains(path), "{error}");
}

#[test]
fn a_certificate_is_believed_only_when_its_authority_was_named() {
    let signed =
        rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let certificate = signed.cert.pem();
    let server = Server::start_with_tls(&certificate, &signed.signing_key.serialize_pem()).unwrap();
    let url = server.database().unwrap();
    let store = |options: &str| open(&StoreSettings::Postgres(format!("{url}?{options}"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("authority.pem");
    std::fs::write(&roots, certificate).unwrap();
    let believed = format!("sslmode=verify-full&sslrootcert={}", roots.display());
    let mut encrypted = store(&believed);
    encrypted.write(&rows([log(1)])).unwrap();
    let seen = server.psql(&url, "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'isolog'").unwrap();
    assert_eq!(seen, "1");
    for mode in ["require", "prefer", "verify-full"] {
        let error = store(&format!("sslmode={mode}")).prepare().unwrap_err().to_string();
        assert!(error.contains("certificate"), "{mode}: {error}");
    }
    store("sslmode=disable").prepare().unwrap();
    let plain = Server::shared().unwrap().database().unwrap();
    let error = open(&StoreSettings::Postgres(format!("{plain}?sslmode=require"))).unwrap().prepare();
    assert!(error.unwrap_err().to_string().contains("TLS"));
}

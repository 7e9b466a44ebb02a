use engine::alert::{AlertBook, AlertSettings, Normal, Silence};
use engine::event::{EventTime, LogEvent};
use engine::filter::Filter;
use jiff::ToSpan as _;

use super::*;
use crate::config::tests::settings_of_file;

fn normal(service: &str, subject: &str) -> Normal {
    Normal { detector: "odd_line".to_owned(), service: service.to_owned(), subject: subject.to_owned() }
}

fn decided(normals: &[Normal]) -> Decision {
    let what = What::Normal { alert: None, normals: normals.to_vec() };
    Decision::new(what, "as every night".to_owned(), "a test".to_owned(), Timestamp::now())
}

fn silence(filter: &str, until: Timestamp) -> Decision {
    let what = What::Silence { filter: filter.to_owned(), until };
    Decision::new(what, String::new(), "a test".to_owned(), Timestamp::now())
}

fn in_an_hour() -> Timestamp {
    Timestamp::now() + 1.hour()
}

fn ids(control: &Control) -> Vec<String> {
    let view = control.view().unwrap();
    let mut ids: Vec<String> =
        view.silences(Timestamp::now()).chain(view.normals()).map(|one| one.id.clone()).collect();
    ids.sort();
    ids
}

/// A place that a test can break.
struct Broken;

impl Place for Broken {
    fn describe(&self) -> String {
        "CONTROL_TOPIC = gone".to_owned()
    }

    fn look(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn follow(&mut self, _: &mut Kept) -> Result<place::Look, String> {
        Err("no broker answers".to_owned())
    }

    fn put(&mut self, _: &str, _: &str) -> Result<(), String> {
        Err("no broker answers".to_owned())
    }

    fn remove(&mut self, _: &str) -> Result<(), String> {
        Err("no broker answers".to_owned())
    }
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_exported_says_the_same_in_the_config_file() {
    let both = [
        decided(&[normal("billing", "9f"), normal("orders \"x\"\n", "")]),
        decided(&[normal("billing", "9f"), normal("auth", "é")]),
    ];
    let text = export(both.iter()).unwrap();
    let fixed = settings_of_file(&text).unwrap().control.fixed;
    let read: BTreeSet<Normal> = fixed.iter().flat_map(Decision::normals).cloned().collect();
    let made: BTreeSet<Normal> = both.iter().flat_map(Decision::normals).cloned().collect();
    assert_eq!(read, made);
    assert_eq!(fixed.len(), 3, "each once");
    assert!(fixed.iter().all(|one| one.comment == "as every night" && one.is_fixed()));
    assert_eq!(
        export(fixed.iter()).unwrap().parse::<toml::Table>().unwrap()["normal"].as_array().unwrap().len(),
        3
    );
    assert_eq!(settings_of_file(&export([].iter()).unwrap()).unwrap().control.fixed, []);
}

#[test]
fn what_the_config_file_says_badly_is_named() {
    for (text, said) in [
        ("[[silence]]\nfilter = \"service ==\"\nuntil = 2030-01-01T00:00:00Z", "faulty"),
        ("[[silence]]\nfilter = \"true\"\nuntil = \"tomorrow\"", "until = \"tomorrow\" is no time"),
        ("[[silence]]\nfilter = \"true\"", "until"),
        ("[[silence]]\nfilter = \"true\"\nuntil = 2030-01-01T00:00:00", "with its zone"),
        ("[[normal]]\ndetector = \"\"\nservice = \"a\"", "detector is empty"),
        ("[[normal]]\ndetector = \"volume\"\nservice = \"a\"\nfor = \"ever\"", "for"),
        ("normal = 1", "[[normal]]"),
    ] {
        let error = settings_of_file(text).unwrap_err();
        assert!(error.contains(said), "{text}: {error}");
    }
    let text = "[[silence]]\nfilter = \"service == 'a'\"\nuntil = 2030-01-01T00:00:00Z\ncomment = \"move\"";
    let [silence] = settings_of_file(text).unwrap().control.fixed.try_into().unwrap();
    assert_eq!(silence.silence().unwrap().until, EventTime::from_millis(1_893_456_000_000));
}

#[test]
fn the_filter_of_an_alert_matches_its_service_and_detector_whatever_they_are_called() {
    for service in ["billing", "a\"b", "a\\", "a\n\u{7f}\u{1b}[0m", "日本", "\" || true || \""] {
        let filter = Filter::compile(&filter_of(service, "error_burst")).unwrap();
        let event = |service: &str, detector: &str| LogEvent {
            service: service.to_owned(),
            attributes: vec![("detector".to_owned(), detector.to_owned())],
            ..LogEvent::default()
        };
        assert_eq!(filter.matches(&event(service, "error_burst")), Ok(true), "{service:?}");
        assert_eq!(filter.matches(&event(service, "volume")), Ok(false), "{service:?}");
        assert_eq!(filter.matches(&event("other", "error_burst")), Ok(false), "{service:?}");
    }
}

#[test]
fn a_book_knows_what_is_in_force_and_nothing_else() {
    let mut book = AlertBook::new(AlertSettings::default());
    let old = Silence {
        id: "old".to_owned(),
        filter: "true".to_owned(),
        until: EventTime::from_millis(i64::MAX / 2_000),
        comment: String::new(),
    };
    book.silence(old).unwrap();
    book.normal(normal("undone", ""));
    book.normal(normal("billing", ""));
    let (new, kept) =
        (silence("service == 'a'", in_an_hour()), decided(&[normal("billing", ""), normal("b", "")]));
    let view = View::new(1, vec![new.clone(), kept]);
    for _ in 0..2 {
        view.apply(&mut book);
        assert_eq!(book.silences(), [new.silence().unwrap()]);
        assert_eq!(book.normals().cloned().collect::<Vec<_>>(), [normal("b", ""), normal("billing", "")]);
    }
    View::new(2, Vec::new()).apply(&mut book);
    assert_eq!((book.silences().len(), book.normals().count()), (0, 0));
}

#[test]
fn what_one_decides_all_on_the_store_know_until_it_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let place = StoreSettings::Embedded { path: folder.path().join("isolog.db") };
    let start = || {
        let table = Box::new(Table(store::open(&place).unwrap()));
        Control::following(table, Vec::new(), &Health::default()).unwrap()
    };
    let (one, other) = (start(), start());
    eventually("both are read", || one.view().is_some() && other.view().is_some());
    let (made, called) = (silence("true", in_an_hour()), decided(&[normal("billing", "")]));
    one.put(made.clone()).unwrap();
    other.put(called.clone()).unwrap();
    let mut both = vec![made.id.clone(), called.id.clone()];
    both.sort();
    assert!(ids(&one).contains(&made.id), "who decides sees it at once");
    eventually("all know both", || [&one, &other].into_iter().all(|control| ids(control) == both));
    other.remove(&made.id).unwrap();
    assert_eq!(ids(&other), std::slice::from_ref(&called.id));
    eventually("all know", || ids(&one) == std::slice::from_ref(&called.id));
    drop((one, other));
    let again = start();
    eventually("it is read again", || again.view().is_some());
    assert_eq!(ids(&again), [called.id]);
}

#[test]
fn what_cannot_be_read_is_passed_over_and_the_rest_stays_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let place = StoreSettings::Embedded { path: folder.path().join("isolog.db") };
    let good = silence("true", in_an_hour());
    let mut store = store::open(&place).unwrap();
    let now = EventTime::default();
    let json = serde_json::to_string(&good).unwrap();
    store.put_control(&good.id, &json, now).unwrap();
    for (id, damaged) in [
        ("a", "{}".to_owned()),
        ("b", r#"{"kind":"of another program"}"#.to_owned()),
        ("c", json.clone()),
        ("d", json.replace(&good.id, "d").replace("true", "service ==")),
        ("e", json.replace(&good.id, "e").replace("a test", "config file")),
    ] {
        store.put_control(id, &damaged, now).unwrap();
    }
    let control = Control::following(Box::new(Table(store)), Vec::new(), &Health::default()).unwrap();
    eventually("it is read", || control.view().is_some());
    assert_eq!(ids(&control), [good.id]);
}

#[test]
fn while_nothing_could_be_read_nothing_is_known_and_it_is_told_why() {
    let health = Health::default();
    let control = Control::following(Box::new(Broken), Vec::new(), &health).unwrap();
    eventually("it is told", || {
        health.why_not_ready().iter().any(|(part, why)| part == PART && why.contains("no broker answers"))
    });
    assert!(control.view().is_none(), "what a stream's snapshot says stays in force");
    let error = control.put(silence("true", in_an_hour())).unwrap_err().to_string();
    assert!(error.contains("CONTROL_TOPIC = gone") && error.contains("no broker answers"), "{error}");
    assert!(matches!(control.remove("x"), Err(Refused::Failed(_))));
}

#[test]
fn what_is_not_allowed_is_refused_and_changes_nothing() {
    let fixed = settings_of_file("[[normal]]\ndetector = \"volume\"\nservice = \"a\"").unwrap().control.fixed;
    let control = Control::in_memory(fixed);
    let standing = ids(&control);
    let long = "x".repeat(1_025);
    for (decision, said) in [
        (silence("service ==", in_an_hour()), "faulty"),
        (silence("true", Timestamp::now() - 1.hour()), "before it begins"),
        (Decision { comment: long.clone(), ..silence("true", in_an_hour()) }, "at most 1024"),
        (decided(&[]), "1 to 64"),
        (decided(&vec![normal("a", ""); 65]), "1 to 64"),
        (decided(&[normal(&long, "")]), "service has 1025 bytes"),
    ] {
        let error = control.put(decision).unwrap_err();
        assert!(matches!(error, Refused::Bad(_)) && error.to_string().contains(said), "{error}");
    }
    assert!(matches!(control.remove(&standing[0]), Err(Refused::Fixed(_))));
    assert!(matches!(control.remove("s-0"), Err(Refused::Unknown(_))));
    assert_eq!(ids(&control), standing);
    for _ in 0..MOST_SILENCES {
        control.put(silence("false", in_an_hour())).unwrap();
    }
    let error = control.put(silence("false", in_an_hour())).unwrap_err().to_string();
    assert!(error.contains("500 silences"), "{error}");
}

//! Decoding, redacting and scoring allocate nothing in the steady state: once a thread's buffers have seen lines of some length, lines as
//! long need no more memory, whether the table of recent lines knows them or not.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(unsafe_code, reason = "an allocator that counts")]

#[path = "it/events.rs"]
mod events;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use engine::decode::{Decoder, Events, KnownNames, RecordContext};
use engine::model::Scratch;
use engine::redact::{CleanTexts, Redactor};
use events::{odd, params, train, usual};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting what each thread asks it for.
struct Counting;

fn count() {
    ALLOCATIONS.set(ALLOCATIONS.get() + 1);
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a plain number of the thread's own,
// which neither allocates nor is dropped.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promised.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn scoring_allocates_nothing_in_the_steady_state() {
    let mut lines = usual(2_000);
    lines.push(odd());
    let model = train(&lines, params());
    // Without a table, with one that forgets nearly all, with one that knows every line.
    for (table, least_hits) in [(0, 0), (4, 0), (65_536, 2_000)] {
        let mut scratch = Scratch::with_table(table, 3);
        for line in &lines {
            model.score(line, &mut scratch);
        }
        let (before, hits) = (ALLOCATIONS.get(), scratch.table_counts().hits);
        let sum: f64 = lines.iter().map(|line| model.score(line, &mut scratch).score).sum();
        assert_eq!(ALLOCATIONS.get(), before, "with a table of {table}");
        assert!(sum > 0.0 && scratch.table_counts().hits - hits >= least_hits);
    }
    let before = ALLOCATIONS.get();
    let text = String::from("counted");
    assert!(ALLOCATIONS.get() > before, "{text}");
}

fn json_line(number: usize) -> String {
    let level = ["INFO", "WARN", "ERROR"][number % 3];
    let service = ["api", "billing", "orders-eu"][number % 3];
    format!(
        r#"{{"timestamp":"2026-01-05T12:{:02}:{:02}.123Z","level":"{level}","service":"{service}","host":"h{}","message":"order {} \"{}\" took {} ms","status":{},"tags":["a","b"]}}"#,
        number / 60 % 60,
        number % 60,
        number % 7,
        number * 7919,
        number % 11,
        number * 31 % 1000,
        200 + number % 300,
    )
}

/// Decodes 500 lines again and again; once all of them came twice, that may allocate nothing. `decode` is to leave one
/// event, and returns how many texts of it held a secret.
fn allocates_nothing(mut decode: impl FnMut(&[u8], &mut Events) -> usize) {
    let lines: Vec<String> = (0..500).map(json_line).collect();
    let mut events = Events::default();
    let mut before = 0;
    for round in 0..3 {
        if round == 2 {
            before = ALLOCATIONS.get();
        }
        for line in &lines {
            events.clear();
            assert_eq!(decode(line.as_bytes(), &mut events), 0);
            assert_eq!(events.len(), 1);
        }
    }
    assert_eq!(ALLOCATIONS.get(), before);
}

#[test]
fn decoding_and_redacting_json_lines_allocates_nothing_in_the_steady_state() {
    let (decoder, redactor) = (Decoder::default(), Redactor::default());
    allocates_nothing(|line, events| {
        assert_eq!(decoder.decode_into(line, RecordContext::default(), events), Ok(()));
        redactor.redact(&mut events[0])
    });
}

#[test]
fn what_is_known_of_earlier_lines_takes_no_allocation_either() {
    let (decoder, redactor) = (Decoder::default(), Redactor::default());
    let (mut known, mut clean) = (KnownNames::default(), CleanTexts::new(3));
    allocates_nothing(|line, events| {
        assert_eq!(decoder.decode_knowing(line, RecordContext::default(), &mut known, events), Ok(()));
        redactor.redact_knowing(&mut events[0], &mut clean)
    });
}

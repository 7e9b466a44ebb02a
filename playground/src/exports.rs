//! What the page calls: `room(n)` gives a place for `n` bytes of a question, `ask()` answers it, and `answer()` says
//! where the answer's bytes are. Between two calls only the page runs, so that it may write there.
#![allow(unsafe_code, reason = "an exported name is an unsafe attribute; nothing else here is")]

use std::cell::RefCell;

use crate::Flow;

thread_local! {
    static PAGE: RefCell<Page> = RefCell::new(Page::default());
}

#[derive(Default)]
struct Page {
    flow: Option<Flow>,
    question: Vec<u8>,
    answer: Vec<u8>,
}

/// Makes room for a question of `length` bytes and says where it is.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: usize) -> *mut u8 {
    PAGE.with_borrow_mut(|page| {
        page.question.clear();
        page.question.resize(length, 0);
        page.question.as_mut_ptr()
    })
}

/// Answers the question that was written and says how long the answer is.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
pub extern "C" fn ask() -> usize {
    PAGE.with_borrow_mut(|page| {
        let Page { flow, question, answer } = page;
        *answer = Flow::ask(flow, question);
        answer.len()
    })
}

/// Where the answer is.
// SAFETY: no other function has this name.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    PAGE.with_borrow(|page| page.answer.as_ptr())
}

/// The engine draws its random numbers from seeds that it is given; nobody asks the system for any.
fn no_randomness(_: &mut [u8]) -> Result<(), getrandom::Error> {
    Err(getrandom::Error::UNSUPPORTED)
}

getrandom::register_custom_getrandom!(no_randomness);

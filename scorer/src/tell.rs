//! What is said on standard error and standard output. Whoever closed one of them does not want to hear, which is no
//! reason to fail.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Something was printed that could not be written, as to a full disk.
static IS_CUT: AtomicBool = AtomicBool::new(false);

/// A line on standard error, as `eprintln!`, which panics where it is closed.
macro_rules! tell {
    ($($part:tt)*) => {{
        let text = format!($($part)*);
        let _ = ::std::io::Write::write_fmt(&mut ::std::io::stderr().lock(), format_args!("{text}\n"));
    }};
}

/// A line on standard output, as `println!`, which panics where its reader has gone (`scorer alerts | head -1`).
macro_rules! say {
    ($($part:tt)*) => { $crate::tell::print(::std::format_args!("{}\n", ::std::format_args!($($part)*))) };
}

/// Writes to standard output. What cannot be written, but for a reader that has gone, is told, and makes
/// [`is_cut`] true.
pub fn print(text: Arguments<'_>) {
    let mut output = std::io::stdout().lock();
    if let Err(error) = output.write_fmt(text).and_then(|()| output.flush())
        && error.kind() != ErrorKind::BrokenPipe
        && !IS_CUT.swap(true, Ordering::Relaxed)
    {
        tell!("error: standard output cannot be written: {error}");
    }
}

/// Whether standard output lacks something that its reader wanted.
pub fn is_cut() -> bool {
    IS_CUT.load(Ordering::Relaxed)
}

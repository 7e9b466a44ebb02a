//! What is said on standard error. Whoever closed it does not want to hear, which is no reason to fail.

/// A line on standard error, as `eprintln!`, which panics where it is closed.
macro_rules! tell {
    ($($part:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr().lock(), $($part)*);
    }};
}

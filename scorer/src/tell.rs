//! What is said on standard error. Whoever closed it does not want to hear, which is no reason to fail.

/// A line on standard error, as `eprintln!`, which panics where it is closed.
macro_rules! tell {
    ($($part:tt)*) => {{
        let text = format!($($part)*);
        let _ = ::std::io::Write::write_fmt(&mut ::std::io::stderr().lock(), format_args!("{text}\n"));
    }};
}

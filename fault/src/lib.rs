//! Places at which a test may kill the process, to see that nothing is lost. Only in builds with debug assertions, and
//! only where `ISOLOG_FAULT=PLACE:N` asks for it: the process kills itself with SIGKILL when it comes to PLACE for the
//! Nth time. In a release nothing of this is there.

#[cfg(debug_assertions)]
mod armed {
    use std::process::Command;
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    struct Fault {
        place: String,
        left: AtomicU64,
    }

    #[expect(clippy::disallowed_methods, reason = "no setting: it is not there in a release")]
    static FAULT: LazyLock<Option<Fault>> = LazyLock::new(|| {
        let asked = std::env::var("ISOLOG_FAULT").ok()?;
        let (place, times) = asked.split_once(':')?;
        Some(Fault { place: place.to_owned(), left: AtomicU64::new(times.parse().ok()?) })
    });

    /// The process comes to a place.
    pub fn here(place: &str) {
        if let Some(fault) = FAULT.as_ref().filter(|fault| fault.place == place) {
            reached(fault);
        }
    }

    /// The process comes to a place that there is one of for each `name`: `PLACE NAME`.
    pub fn here_of(place: &str, name: &str) {
        let is_it =
            |asked: &str| asked.strip_prefix(place).and_then(|rest| rest.strip_prefix(' ')) == Some(name);
        if let Some(fault) = FAULT.as_ref().filter(|fault| is_it(&fault.place)) {
            reached(fault);
        }
    }

    fn reached(fault: &Fault) {
        if fault.left.fetch_sub(1, Ordering::Relaxed) != 1 {
            return;
        }
        tracing::warn!(place = fault.place, "a test asked for an end at this place");
        let killed = Command::new("kill").args(["-KILL", &std::process::id().to_string()]).status();
        // Whatever `kill` said: nothing behind this place may happen.
        tracing::error!(?killed, "still here");
        std::process::abort();
    }
}

#[cfg(debug_assertions)]
pub use armed::{here, here_of};

/// The process comes to a place.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn here(_place: &str) {}

/// The process comes to a place that there is one of for each `name`.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub const fn here_of(_place: &str, _name: &str) {}

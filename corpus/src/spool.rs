//! Standard input kept in a temporary file, so that it can be read twice.

use std::io::{self, Read, Write};

use crate::{CorpusError, Input};

/// Most bytes of standard input that are kept for a second pass: 4 GiB.
pub const MAX_SPOOL_BYTES: u64 = 4 << 30;

/// Copies a stream into an unnamed temporary file (it vanishes with the process).
///
/// # Errors
/// The stream is longer than `max_bytes`, or the temporary folder is full or not writable.
pub fn spool(mut stream: impl Read, max_bytes: u64) -> Result<Input, CorpusError> {
    let fail = |error| CorpusError::Io {
        name: "standard input (kept in the temporary folder)".to_owned(),
        after: String::new(),
        error,
    };
    let mut file = tempfile::tempfile().map_err(fail)?;
    let copied = io::copy(&mut (&mut stream).take(max_bytes), &mut file).map_err(fail)?;
    if copied == max_bytes && stream.read(&mut [0]).map_err(fail)? > 0 {
        return Err(CorpusError::SpoolFull { limit: max_bytes });
    }
    file.flush().map_err(fail)?;
    Ok(Input::Spooled(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_over_the_bound_is_refused_and_one_at_the_bound_is_not() {
        assert!(matches!(spool(&b"12345"[..], 4), Err(CorpusError::SpoolFull { limit: 4 })));
        assert!(matches!(spool(&b"1234"[..], 4), Ok(Input::Spooled(_))));
    }
}

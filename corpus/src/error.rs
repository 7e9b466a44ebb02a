//! Why recorded logs could not be read. Every message names the input and the way out.

use engine::decode::csv::HeaderError;

/// Why an input as a whole could not be read; single bad lines are counted in [`crate::Rejects`].
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A name or pattern that matches nothing.
    #[error(
        "{pattern}: no such file; give a path, a pattern such as 'logs/*.csv.gz', or - for standard input"
    )]
    NotFound {
        /// As it was given.
        pattern: String,
    },
    /// A pattern that cannot be read.
    #[error("{pattern}: not a valid pattern: {detail}")]
    BadPattern {
        /// As it was given.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// A folder where a file is needed.
    #[error("{path} is a folder; name its files, for example '{path}/*.log'")]
    IsFolder {
        /// As it was given.
        path: String,
    },
    /// Nothing was named.
    #[error("no input was named; give a file, a pattern or - for standard input")]
    Nothing,
    /// Standard input together with itself or read again.
    #[error("standard input can be read only once; write it to a file first")]
    StdinTwice,
    /// The operating system could not read it, or its compression is damaged.
    #[error("{name}: cannot be read{after}: {error}")]
    Io {
        /// The input's name.
        name: String,
        /// How far reading came, for damage in the middle.
        after: String,
        /// What the operating system or the decompressor says.
        error: std::io::Error,
    },
    /// The first line of a CSV file cannot be its header.
    #[error("{name}: line 1: {error}")]
    Header {
        /// The input's name.
        name: String,
        /// What is wrong with it.
        error: HeaderError,
    },
    /// Text in another encoding.
    #[error("{name}: is written in UTF-16; convert it first: iconv -f UTF-16 -t UTF-8 {name}")]
    Utf16 {
        /// The input's name.
        name: String,
    },
    /// Standard input is larger than may be kept for a second pass.
    #[error(
        "standard input is longer than {limit} bytes, the most that is kept for a second pass; write it to a file and name that"
    )]
    SpoolFull {
        /// The bound in bytes.
        limit: u64,
    },
}

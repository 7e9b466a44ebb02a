//! Recorded logs from files and standard input, in batches of events with their line numbers; model files on disk.
//! Holds no more than one batch in memory and never guesses: what it cannot read it counts and shows.

mod error;
mod input;
mod lines;
mod model_file;
mod oddest;
mod outlines;
mod reader;
mod rejects;
mod rows;
mod split;
mod spool;

pub use error::CorpusError;
pub use input::{Input, expand};
pub use model_file::{ModelFileError, load_model, save_model};
pub use oddest::{Kept, Oddest};
pub use reader::{Again, Batch, Options, Place, Reader, csv_header, decode_csv_line};
pub use rejects::{Example, Rejects};
pub use spool::{MAX_SPOOL_BYTES, spool};

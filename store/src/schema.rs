//! The tables' version, and the way forward to this program's. Each step and the number that tells of it are one
//! transaction.

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::value::Value;

const VERSION_TABLE: &str = "isolog_schema";
const CREATE_VERSION: &str = "CREATE TABLE isolog_schema (version BIGINT NOT NULL)";
const READ_VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM isolog_schema";
const FORGET_VERSIONS: &str = "DELETE FROM isolog_schema";
const WRITE_VERSION: &str = "INSERT INTO isolog_schema (version) VALUES ($1)";

/// Brings the tables to the version of this program.
///
/// # Errors
/// They are of a newer one; a step fails, and leaves everything as it was.
pub fn migrate(backend: &mut dyn Backend) -> Result<()> {
    let known = known(backend);
    if backend.has_table(VERSION_TABLE)? && version(backend)? == known {
        return Ok(());
    }
    backend.begin()?;
    let done = forward(backend, known).and_then(|()| backend.commit());
    if done.is_err() {
        backend.rollback();
    }
    done
}

/// The tables' version, 0 where there are none.
///
/// # Errors
/// They are of a newer program.
pub fn found(backend: &mut dyn Backend) -> Result<i64> {
    if !backend.has_table(VERSION_TABLE)? {
        return Ok(0);
    }
    let (found, known) = (version(backend)?, known(backend));
    if found > known {
        return Err(Error::NewerSchema { store: backend.describe(), found, known });
    }
    Ok(found)
}

fn known(backend: &dyn Backend) -> i64 {
    i64::try_from(backend.migrations().len()).unwrap_or(i64::MAX)
}

fn forward(backend: &mut dyn Backend, known: i64) -> Result<()> {
    backend.lock()?;
    if !backend.has_table(VERSION_TABLE)? {
        backend.batch(CREATE_VERSION)?;
    }
    let found = found(backend)?;
    for step in backend.migrations().iter().skip(usize::try_from(found).unwrap_or(0)) {
        backend.batch(step)?;
    }
    backend.execute(FORGET_VERSIONS, &[])?;
    backend.execute(WRITE_VERSION, &[Value::Int(known)])?;
    Ok(())
}

fn version(backend: &mut dyn Backend) -> Result<i64> {
    backend.query(READ_VERSION, &[])?.first().map_or(Ok(0), |row| row.int(0))
}

//! The embedded database: SQLite in a file, written ahead. Knows no table by name.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ErrorCode, OpenFlags, Statement, ToSql};

use crate::backend::{Backend, Table};
use crate::error::{Error, Result};
use crate::time;
use crate::value::{Row, Value};

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);
const RETRY: Duration = Duration::from_millis(20);
const CHOOSE: &str = "choose a STORE_PATH that can be written, or an empty one for no store";
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/sqlite/0001.sql"), include_str!("migrations/sqlite/0002.sql")];

/// Every commit is synced: an acknowledged batch must outlast a power failure. The log that is written ahead is
/// given back beyond 64 MiB, the cache is 8 MiB.
const SET_UP: &str = "\
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA journal_size_limit = 67108864;
PRAGMA cache_size = -8192;
PRAGMA temp_store = MEMORY;";

/// A SQLite file.
pub struct Sqlite {
    path: PathBuf,
    connection: Option<Connection>,
    /// Locks of the sinks that this handle leads.
    leads: Vec<(String, File)>,
}

impl Sqlite {
    /// Of a file that is not opened yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, connection: None, leads: Vec::new() }
    }

    fn open(&self) -> Result<Connection> {
        if let Some(folder) = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|error| Error::Refused {
                store: self.describe(),
                why: format!("its folder cannot be made: {error}; {CHOOSE}"),
            })?;
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&self.path, flags).map_err(|error| self.error(&error))?;
        connection.busy_timeout(BUSY).map_err(|error| self.error(&error))?;
        connection.set_prepared_statement_cache_capacity(64);
        // Two that open a new file at the same time get in each other's way, and SQLite does not wait here.
        let deadline = Instant::now() + BUSY;
        while let Err(error) = connection.execute_batch(SET_UP) {
            let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
            if !busy || Instant::now() >= deadline {
                return Err(self.error(&error));
            }
            std::thread::sleep(RETRY);
        }
        Ok(connection)
    }

    /// The connection, for tests that break it.
    pub fn connection(&mut self) -> Result<&mut Connection> {
        match &mut self.connection {
            Some(connection) => Ok(connection),
            None => Err(Error::Unreachable {
                store: "the embedded store".to_owned(),
                why: "it is not open".to_owned(),
            }),
        }
    }

    fn error(&self, error: &rusqlite::Error) -> Error {
        describe_error(&self.path, error)
    }

    /// Runs something on the connection.
    fn with<T>(&mut self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T> {
        let done = work(self.connection()?);
        done.map_err(|error| self.error(&error))
    }

    fn lock_file(&self, sink: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        let sink: String = sink.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        name.push(format!("-sink-{sink}.lock"));
        PathBuf::from(name)
    }
}

fn name(path: &Path) -> String {
    format!("the embedded store {}", path.display())
}

fn describe_error(path: &Path, error: &rusqlite::Error) -> Error {
    let store = name(path);
    let why = error.to_string();
    let Some(code) = error.sqlite_error_code() else { return Error::Refused { store, why } };
    match code {
        ErrorCode::DiskFull => Error::Full { store, why },
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Error::Busy { store, why },
        ErrorCode::SystemIoFailure => Error::Unreachable {
            store,
            why: format!("{why}; see whether its disk is full or its file was replaced"),
        },
        ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => {
            Error::Damaged { store, why: format!("{why}; choose another STORE_PATH, or move the file away") }
        }
        ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => {
            Error::Refused { store, why: format!("{why}; {CHOOSE}") }
        }
        _ => Error::Refused { store, why },
    }
}

impl Backend for Sqlite {
    fn describe(&self) -> String {
        name(&self.path)
    }

    fn connect(&mut self) -> Result<bool> {
        if self.connection.is_some() {
            return Ok(false);
        }
        self.connection = Some(self.open()?);
        Ok(true)
    }

    fn migrations(&self) -> &'static [&'static str] {
        MIGRATIONS
    }

    fn has_table(&mut self, name: &str) -> Result<bool> {
        // Asked of the file: what the connection remembers of the schema may be older.
        const COUNT: &str = "SELECT COUNT(*) FROM sqlite_master WHERE type = 'table' AND name = $1";
        self.query(COUNT, &[Value::from(name)])?.first().map_or(Ok(false), |row| Ok(row.int(0)? > 0))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.with(|connection| connection.execute_batch(sql))
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            statement.raw_execute().map(|changed| changed as u64)
        })
    }

    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            bind(&mut statement, values)?;
            let columns = statement.column_count();
            let mut found = statement.raw_query();
            let mut rows = Vec::new();
            while let Some(row) = found.next()? {
                let cells =
                    (0..columns).map(|index| row.get_ref(index).map(owned)).collect::<rusqlite::Result<_>>();
                rows.push(Row { cells: cells? });
            }
            Ok(rows)
        })
    }

    fn insert(&mut self, table: &'static Table, values: &[Value<'_>]) -> Result<u64> {
        let columns = table.columns.len();
        let places = vec!["?"; columns].join(", ");
        let sql = format!(
            "INSERT INTO {} ({}) VALUES ({places}) ON CONFLICT ({}) DO NOTHING",
            table.name,
            table.column_list(),
            table.unique
        );
        self.with(|connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut new = 0;
            for row in values.chunks_exact(columns) {
                new += statement.execute(rusqlite::params_from_iter(row))?;
            }
            Ok(new as u64)
        })
    }

    fn begin(&mut self) -> Result<()> {
        self.with(|connection| connection.execute_batch("BEGIN IMMEDIATE"))
    }

    fn commit(&mut self) -> Result<()> {
        self.with(|connection| connection.execute_batch("COMMIT"))
    }

    fn rollback(&mut self) {
        // An error means that the failure has undone it already.
        let _ = self.with(|connection| connection.execute_batch("ROLLBACK"));
    }

    fn lock(&mut self) -> Result<()> {
        // There is one writer at a time.
        Ok(())
    }

    fn lead(&mut self, sink: &str) -> Result<bool> {
        if self.leads.iter().any(|(name, _)| name == sink) {
            return Ok(true);
        }
        let path = self.lock_file(sink);
        let refused = |error: &std::io::Error| Error::Refused {
            store: name(&self.path),
            why: format!("{} cannot be locked: {error}", path.display()),
        };
        let file = File::create(&path).map_err(|error| refused(&error))?;
        match file.try_lock() {
            Ok(()) => {
                self.leads.push((sink.to_owned(), file));
                Ok(true)
            }
            Err(std::fs::TryLockError::WouldBlock) => Ok(false),
            Err(std::fs::TryLockError::Error(error)) => Err(refused(&error)),
        }
    }

    fn bytes(&mut self) -> Result<u64> {
        let number = |connection: &Connection, pragma: &str| -> rusqlite::Result<u64> {
            connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
        };
        self.with(|connection| {
            let pages = number(connection, "page_count")? - number(connection, "freelist_count")?;
            Ok(pages * number(connection, "page_size")?)
        })
    }

    fn is_bounded(&self) -> bool {
        true
    }
}

/// By name, so that a statement may use its values in any order and more than once.
fn bind(statement: &mut Statement<'_>, values: &[Value<'_>]) -> rusqlite::Result<()> {
    for (index, value) in values.iter().enumerate() {
        let name = format!("${}", index + 1);
        let place = statement.parameter_index(&name)?;
        let place = place.ok_or(rusqlite::Error::InvalidParameterName(name))?;
        statement.raw_bind_parameter(place, value)?;
    }
    Ok(())
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Value::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Value::Int(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Value::Real(number) => ToSqlOutput::Borrowed(ValueRef::Real(*number)),
            Value::Text(text) | Value::Json(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Value::Time(time) => ToSqlOutput::Owned(rusqlite::types::Value::Text(time::text(*time))),
        })
    }
}

fn owned(cell: ValueRef<'_>) -> Value<'static> {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Int(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            Value::Text(String::from_utf8_lossy(bytes).into_owned().into())
        }
    }
}

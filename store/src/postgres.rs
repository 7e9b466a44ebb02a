//! PostgreSQL: one connection with a small runtime of its own, made again when it broke. Knows no table by name.

mod address;
mod values;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Statement};

use crate::backend::{Backend, Kind, Table};
use crate::error::{Error, Result};
use crate::settings::SettingsError;
use crate::value::{Row, Value};

use address::Address;
use values::Cell;

/// Longest wait for an answer: beyond it the connection counts as broken.
const ANSWER: Duration = Duration::from_secs(60);
const MIGRATIONS: &[&str] =
    &[include_str!("migrations/postgres/0001.sql"), include_str!("migrations/postgres/0002.sql")];
/// Advisory locks of this program: one for the order of alert records and the schema, one for each sink.
const LOCK: &str = "SELECT pg_advisory_xact_lock(731903201)";
const LEAD: &str = "SELECT pg_try_advisory_lock(731903202, hashtext($1))";

/// A PostgreSQL database.
pub struct Postgres {
    address: Address,
    runtime: Option<Runtime>,
    session: Option<Session>,
}

struct Session {
    client: Client,
    statements: HashMap<&'static str, Statement>,
    /// Sinks that this connection leads.
    leads: Vec<String>,
}

impl Postgres {
    /// Of an address that is not connected to yet.
    ///
    /// # Errors
    /// The address cannot be used.
    pub fn new(url: &str) -> std::result::Result<Self, SettingsError> {
        Ok(Self { address: Address::new(url)?, runtime: None, session: None })
    }

    fn unreachable(&self, why: impl Into<String>) -> Error {
        Error::Unreachable { store: self.describe(), why: why.into() }
    }

    /// Runs something on the connection; drops the connection when it broke.
    fn with<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut Session) -> std::result::Result<T, tokio_postgres::Error> + Send,
    ) -> Result<T>
    where
        T: Send,
    {
        let (Some(runtime), Some(session)) = (&self.runtime, &mut self.session) else {
            return Err(self.unreachable("there is no connection"));
        };
        let done = block(|| runtime.block_on(in_time(work(session))));
        match done {
            Some(Ok(value)) => Ok(value),
            Some(Err(error)) => {
                if session.client.is_closed() || error.as_db_error().is_none() {
                    self.session = None;
                }
                Err(describe_error(self.describe(), &error))
            }
            None => {
                self.session = None;
                Err(self.unreachable(format!("no answer within {} s", ANSWER.as_secs())))
            }
        }
    }
}

/// Runs something that waits; where this thread drives asynchronous tasks of another one, which must not
/// wait, on a thread of its own.
fn block<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    if tokio::runtime::Handle::try_current().is_err() {
        return work();
    }
    std::thread::scope(|scope| match scope.spawn(work).join() {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

impl Drop for Postgres {
    /// Where asynchronous tasks run, a runtime must not be waited for.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn in_time<F: Future>(work: F) -> Option<F::Output> {
    tokio::time::timeout(ANSWER, work).await.ok()
}

impl Session {
    async fn prepared(&mut self, sql: &'static str) -> std::result::Result<Statement, tokio_postgres::Error> {
        if let Some(statement) = self.statements.get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client.prepare(sql).await?;
        self.statements.insert(sql, statement.clone());
        Ok(statement)
    }
}

/// What the server or the system says, with all that led to it.
fn chain(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        let extra = [error.detail(), error.hint()].into_iter().flatten();
        let extra: String = extra.map(|text| format!("; {text}")).collect();
        return format!("{} ({}){extra}", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

fn describe_error(store: String, error: &tokio_postgres::Error) -> Error {
    let why = chain(error);
    let Some(state) = error.code() else { return Error::Unreachable { store, why } };
    let code = state.code();
    let busy = [SqlState::T_R_DEADLOCK_DETECTED, SqlState::LOCK_NOT_AVAILABLE, SqlState::QUERY_CANCELED];
    if *state == SqlState::DISK_FULL {
        Error::Full { store, why }
    } else if code.starts_with("08")
        || code.starts_with("57P")
        || code.starts_with("53")
        || code.starts_with("58")
        || *state == SqlState::READ_ONLY_SQL_TRANSACTION
    {
        Error::Unreachable { store, why }
    } else if code.starts_with("40") || busy.contains(state) {
        Error::Busy { store, why }
    } else {
        Error::Refused { store, why }
    }
}

fn parameters<'a>(values: &'a [Value<'_>]) -> Vec<&'a (dyn ToSql + Sync)> {
    values.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

const fn type_of(kind: Kind) -> (Type, &'static str) {
    match kind {
        Kind::Text => (Type::TEXT, "text"),
        Kind::Json => (Type::JSON, "json"),
        Kind::Int => (Type::INT8, "bigint"),
        Kind::Real => (Type::FLOAT8, "double precision"),
        Kind::Time => (Type::TIMESTAMPTZ, "timestamptz"),
    }
}

/// Rows go by COPY into a table of the connection's own, and from there to where those that are there are passed
/// over: COPY itself knows no conflicts.
async fn copy(
    session: &mut Session,
    table: &'static Table,
    values: &[Value<'_>],
) -> std::result::Result<u64, tokio_postgres::Error> {
    let incoming = format!("incoming_{}", table.name);
    let columns = table.column_list();
    let declared: Vec<String> =
        table.columns.iter().map(|column| format!("{} {}", column.name, type_of(column.kind).1)).collect();
    let client = &session.client;
    client
        .batch_execute(&format!(
            "SET LOCAL client_min_messages = warning; \
             CREATE TEMPORARY TABLE IF NOT EXISTS {incoming} (place bigint GENERATED ALWAYS AS IDENTITY, {}) \
             ON COMMIT DELETE ROWS",
            declared.join(", ")
        ))
        .await?;
    let types: Vec<Type> = table.columns.iter().map(|column| type_of(column.kind).0).collect();
    let sink = client.copy_in(&format!("COPY {incoming} ({columns}) FROM STDIN BINARY")).await?;
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &types));
    for row in values.chunks_exact(table.columns.len()) {
        writer.as_mut().write(&parameters(row)).await?;
    }
    writer.finish().await?;
    let moved = format!(
        "INSERT INTO {} ({columns}) SELECT {columns} FROM {incoming} ORDER BY place ON CONFLICT ({}) DO NOTHING",
        table.name, table.unique
    );
    client.execute(moved.as_str(), &[]).await
}

impl Backend for Postgres {
    fn describe(&self) -> String {
        format!("PostgreSQL at {}", self.address)
    }

    fn connect(&mut self) -> Result<bool> {
        if self.session.as_ref().is_some_and(|session| !session.client.is_closed()) {
            return Ok(false);
        }
        self.session = None;
        if self.runtime.is_none() {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            self.runtime = Some(runtime.map_err(|error| self.unreachable(error.to_string()))?);
        }
        let Some(runtime) = &self.runtime else { return Err(self.unreachable("no runtime")) };
        let config = self.address.config().clone();
        let tls = self.address.tls();
        let connecting = async {
            let client = match tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls).await?;
                    tokio::spawn(connection);
                    client
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    tokio::spawn(connection);
                    client
                }
            };
            Ok(client)
        };
        let connected = block(|| runtime.block_on(in_time(connecting)));
        match connected {
            Some(Ok(client)) => {
                self.session = Some(Session { client, statements: HashMap::new(), leads: Vec::new() });
                Ok(true)
            }
            Some(Err(error)) => Err(describe_error(self.describe(), &error)),
            None => Err(self.unreachable(format!("no answer within {} s", ANSWER.as_secs()))),
        }
    }

    fn migrations(&self) -> &'static [&'static str] {
        MIGRATIONS
    }

    fn has_table(&mut self, name: &str) -> Result<bool> {
        let rows =
            self.query("SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass($1)", &[Value::from(name)])?;
        rows.first().map_or(Ok(false), |row| Ok(row.int(0)? > 0))
    }

    fn batch(&mut self, sql: &str) -> Result<()> {
        self.with(async |session| session.client.batch_execute(sql).await)
    }

    fn execute(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<u64> {
        self.with(async |session| {
            let statement = session.prepared(sql).await?;
            session.client.execute(&statement, &parameters(values)).await
        })
    }

    fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>> {
        self.with(async |session| {
            let statement = session.prepared(sql).await?;
            let rows = session.client.query(&statement, &parameters(values)).await?;
            rows.iter()
                .map(|row| {
                    let cells = (0..row.len()).map(|index| row.try_get::<_, Cell>(index).map(|cell| cell.0));
                    Ok(Row { cells: cells.collect::<std::result::Result<_, _>>()? })
                })
                .collect()
        })
    }

    fn insert(&mut self, table: &'static Table, values: &[Value<'_>]) -> Result<u64> {
        self.with(async |session| copy(session, table, values).await)
    }

    fn begin(&mut self) -> Result<()> {
        self.batch("BEGIN")
    }

    fn commit(&mut self) -> Result<()> {
        self.batch("COMMIT")
    }

    fn rollback(&mut self) {
        if self.session.is_some() && self.batch("ROLLBACK").is_err() {
            self.session = None;
        }
    }

    fn lock(&mut self) -> Result<()> {
        self.query(LOCK, &[]).map(|_| ())
    }

    fn lead(&mut self, sink: &str) -> Result<bool> {
        if let Some(session) = &self.session
            && session.leads.iter().any(|name| name == sink)
        {
            // The lock goes with the connection: see whether it still stands.
            self.batch("SELECT 1")?;
            return Ok(true);
        }
        let rows = self.query(LEAD, &[Value::from(sink)])?;
        let leads = rows.first().is_some_and(|row| row.cells == [Value::Int(1)]);
        if let Some(session) = self.session.as_mut().filter(|_| leads) {
            session.leads.push(sink.to_owned());
        }
        Ok(leads)
    }

    fn bytes(&mut self) -> Result<u64> {
        const BYTES: &str = "\
SELECT COALESCE(SUM(pg_total_relation_size(relid)), 0)::bigint
FROM pg_stat_user_tables
WHERE relname IN ('logs', 'anomalies', 'alerts', 'alert_records', 'sink_results', 'dead_letters')
  AND schemaname = current_schema()";
        let rows = self.query(BYTES, &[])?;
        rows.first().map_or(Ok(0), |row| row.int(0).map(i64::unsigned_abs))
    }

    fn is_bounded(&self) -> bool {
        false
    }
}

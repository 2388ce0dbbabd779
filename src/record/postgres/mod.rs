//! Records in PostgreSQL, for a fleet: all gateways write to one database, and each reads what all have written.
//!
//! Tables are in a schema of their own, `dimmer`. Each connection is driven by the thread that asks it, under a limit of time: a
//! server that hangs holds up the writing of records and nothing else.

mod tls;

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::runtime::Runtime;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Client, Config, Error, NoTls};

use crate::config::{PostgresPlace, PostgresTls};
use crate::record::sql::schema::{BY_KEY, STEPS, VERSION};
use crate::record::sql::{Insert, Place, Row, Sql, Trouble, Value};

/// To a server in the same network.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What no server needs for one statement of ours.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that nobody acknowledges for so long are for a host that is gone.
const GONE_AFTER: Duration = Duration::from_secs(15);
/// PostgreSQL takes 65,535 values with a statement; a statement of this many is parsed in milliseconds.
const VALUES_MAX: usize = 16_000;
/// Two gateways that start at once make the tables once.
const LOCK: i64 = 0x6469_6d6d_6572;
/// Where the tables are.
const SCHEMA: &str = "dimmer";

/// Where the database is.
pub(super) struct Server {
    place: PostgresPlace,
    writes: bool,
}

impl Server {
    /// For who writes, which makes the tables too.
    pub(super) fn to_write(place: &PostgresPlace) -> Self {
        Self { place: place.clone(), writes: true }
    }

    /// For who reads.
    pub(super) fn to_read(place: &PostgresPlace) -> Self {
        Self { place: place.clone(), writes: false }
    }
}

/// An open connection.
pub(super) struct OpenServer {
    /// Drives the connection while something is asked.
    runtime: Runtime,
    client: Client,
    /// So long may what is asked take.
    patience: Duration,
    in_transaction: bool,
}

impl Place for Server {
    type Open = OpenServer;

    fn open(&mut self) -> Result<OpenServer, Trouble> {
        let system = |error: std::io::Error| Trouble::System(format!("the system refused: {error}"));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
        let client = runtime.block_on(within(CONNECT_TIMEOUT.saturating_mul(2), connect(&self.place)))?;
        let mut open = OpenServer { runtime, client, patience: STATEMENT_TIMEOUT, in_transaction: false };
        open.execute(&format!(
            "SET search_path TO {SCHEMA}; SET statement_timeout TO {}; SET lock_timeout TO 10000; \
             SET idle_in_transaction_session_timeout TO 60000",
            STATEMENT_TIMEOUT.as_millis()
        ))?;
        if self.writes {
            open.make_tables()?;
        } else if open.version()? != VERSION {
            return Err(Trouble::Busy);
        }
        Ok(open)
    }

    fn undisturbed(&self, open: &OpenServer) -> bool {
        !open.client.is_closed()
    }

    fn set_aside(&mut self) -> Option<String> {
        None
    }

    fn shown(&self) -> String {
        self.place.shown.clone()
    }
}

/// Does something, or stops waiting for it.
async fn within<T>(patience: Duration, work: impl Future<Output = Result<T, Trouble>>) -> Result<T, Trouble> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        Err(Trouble::System(format!(
            "the server did not answer within {} s: look whether it runs and the network lets it through",
            patience.as_secs()
        )))
    })
}

async fn connect(place: &PostgresPlace) -> Result<Client, Trouble> {
    let mut config: Config = place
        .url
        .reveal()
        .parse()
        .map_err(|_| Trouble::System("the URL is none that PostgreSQL's clients take".to_owned()))?;
    config.connect_timeout(CONNECT_TIMEOUT).tcp_user_timeout(GONE_AFTER).keepalives_idle(GONE_AFTER);
    if config.get_application_name().is_none() {
        config.application_name("dimmer");
    }
    match place.tls {
        PostgresTls::Disable => {
            let (client, connection) = config.ssl_mode(SslMode::Disable).connect(NoTls).await?;
            tokio::spawn(connection);
            Ok(client)
        }
        mode => {
            let required = if mode == PostgresTls::Prefer { SslMode::Prefer } else { SslMode::Require };
            let connector = tls::connector(place)?;
            let (client, connection) = config.ssl_mode(required).connect(connector).await?;
            tokio::spawn(connection);
            Ok(client)
        }
    }
}

impl OpenServer {
    /// Statements without values.
    fn execute(&mut self, sql: &str) -> Result<(), Trouble> {
        let (client, patience) = (&self.client, self.patience);
        self.runtime.block_on(within(patience, async { Ok(client.batch_execute(sql).await?) }))
    }

    /// How old the tables are; 0: there are none.
    fn version(&mut self) -> Result<i64, Trouble> {
        let there = "SELECT to_regclass($1) IS NOT NULL";
        let name = format!("{SCHEMA}.schema_version");
        let found = self.rows(there, &[name.as_str().into()])?.pop();
        if !found.map(|mut row| row.truth()).transpose()?.unwrap_or(false) {
            return Ok(0);
        }
        let newest = self.rows("SELECT MAX(version) FROM schema_version", &[])?.pop();
        let version = newest.map(|mut row| row.maybe_number()).transpose()?.flatten().unwrap_or(0);
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        if version > VERSION {
            return Err(Trouble::Foreign(format!(
                "a newer dimmer made its tables (version {version}, this one knows {VERSION}): start that dimmer, or name another \
                 database in [records] url"
            )));
        }
        Ok(version)
    }

    fn make_tables(&mut self) -> Result<(), Trouble> {
        if self.version()? == VERSION {
            return Ok(());
        }
        self.begin(true)?;
        let made = self.make_what_is_missing();
        match made {
            Ok(()) => self.commit(),
            Err(trouble) => {
                self.roll_back();
                Err(trouble)
            }
        }
    }

    fn make_what_is_missing(&mut self) -> Result<(), Trouble> {
        self.execute(&format!("SELECT pg_advisory_xact_lock({LOCK})"))?;
        let schema = self.rows("SELECT 1::bigint FROM pg_namespace WHERE nspname = $1", &[SCHEMA.into()])?;
        if schema.is_empty() {
            self.execute(&format!("CREATE SCHEMA {SCHEMA}"))?;
        }
        let version = self.version()?;
        if version == 0 {
            self.execute(
                "CREATE TABLE schema_version (version BIGINT NOT NULL PRIMARY KEY, made TIMESTAMPTZ NOT NULL DEFAULT now())",
            )?;
        }
        for (step, statements) in (1_i64..).zip(STEPS) {
            if step > version {
                self.execute(&statements.replace(BY_KEY, ""))?;
                self.execute(&format!("INSERT INTO schema_version (version) VALUES ({step})"))?;
            }
        }
        Ok(())
    }
}

/// As the client takes them.
fn parameters(args: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    args.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl Sql for OpenServer {
    fn begin(&mut self, synced: bool) -> Result<(), Trouble> {
        self.in_transaction = true;
        self.execute(if synced { "BEGIN; SET LOCAL synchronous_commit = on" } else { "BEGIN" })
    }

    fn commit(&mut self) -> Result<(), Trouble> {
        self.execute("COMMIT")?;
        self.in_transaction = false;
        Ok(())
    }

    fn roll_back(&mut self) {
        if self.in_transaction && !self.client.is_closed() {
            let _ = self.execute("ROLLBACK");
        }
        self.in_transaction = false;
    }

    fn insert(&mut self, into: &Insert, rows: &[Vec<Value>]) -> Result<(), Trouble> {
        let at_once = VALUES_MAX.checked_div(into.columns.len()).unwrap_or(1).max(1);
        for rows in rows.chunks(at_once) {
            let args: Vec<&(dyn ToSql + Sync)> = rows.iter().flat_map(|row| parameters(row)).collect();
            let (client, patience) = (&self.client, self.patience);
            let sql = into.sql(rows.len());
            self.runtime.block_on(within(patience, async { Ok(client.execute(&sql, &args).await?) }))?;
        }
        Ok(())
    }

    fn run(&mut self, sql: &str, args: &[Value]) -> Result<u64, Trouble> {
        let (client, patience, args) = (&self.client, self.patience, parameters(args));
        self.runtime.block_on(within(patience, async { Ok(client.execute(sql, &args).await?) }))
    }

    fn rows(&mut self, sql: &str, args: &[Value]) -> Result<Vec<Row>, Trouble> {
        let (client, patience, args) = (&self.client, self.patience, parameters(args));
        let found = self.runtime.block_on(within(patience, async { Ok(client.query(sql, &args).await?) }))?;
        found.iter().map(row).collect()
    }

    fn limit(&mut self, left: Option<Duration>) -> Result<(), Trouble> {
        self.patience = left.unwrap_or(STATEMENT_TIMEOUT).min(STATEMENT_TIMEOUT);
        Ok(())
    }

    /// The server does that by itself: autovacuum.
    fn give_back(&mut self, _thoroughly: bool) -> Result<(), Trouble> {
        Ok(())
    }

    fn bytes(&mut self) -> Result<u64, Trouble> {
        let sql = "SELECT COALESCE(SUM(pg_total_relation_size(c.oid)), 0)::bigint FROM pg_class c JOIN pg_namespace n \
                   ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relkind = 'r'";
        let found = self.rows(sql, &[SCHEMA.into()])?.pop();
        Ok(found.map(|mut row| row.number()).transpose()?.unwrap_or_default())
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, Trouble> {
    let mut values = Vec::with_capacity(row.len());
    for (place, column) in row.columns().iter().enumerate() {
        let value = match *column.type_() {
            Type::INT8 => row.try_get::<_, Option<i64>>(place)?.map(Value::Int),
            Type::FLOAT8 => row.try_get::<_, Option<f64>>(place)?.map(Value::Real),
            Type::BOOL => row.try_get::<_, Option<bool>>(place)?.map(Value::Bool),
            Type::BYTEA => row
                .try_get::<_, Option<&[u8]>>(place)?
                .map(|bytes| Value::Bytes(Bytes::copy_from_slice(bytes))),
            _ => row.try_get::<_, Option<String>>(place)?.map(Value::Text),
        };
        values.push(value.unwrap_or(Value::Null));
    }
    Ok(Row::new(values))
}

impl ToSql for Value {
    fn to_sql(
        &self,
        kind: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Self::Null => Ok(IsNull::Yes),
            Self::Int(number) => number.to_sql(kind, out),
            Self::Real(number) => number.to_sql(kind, out),
            Self::Text(text) => text.to_sql(kind, out),
            Self::Bytes(bytes) => (&**bytes).to_sql(kind, out),
            Self::Bool(truth) => truth.to_sql(kind, out),
        }
    }

    /// The statements are ours, and each value has the type of its column.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let Some(said) = error.as_db_error() else {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            return Self::System(format!("{error}{cause}: look whether the server runs and can be reached"));
        };
        let code = said.code();
        let message = said.message();
        match code.code().get(..2).unwrap_or_default() {
            // What such an error says may hold what is in the row.
            "22" | "23" | "54" => Self::Bad(format!("PostgreSQL refuses a row with code {}", code.code())),
            "28" => Self::System(format!("{message}: mend the user or the password in records.url")),
            "3D" => {
                Self::System(format!("{message}: make it with `createdb`, or name another in records.url"))
            }
            "53" => Self::System(format!("{message}: give the server room")),
            _ if *code == SqlState::LOCK_NOT_AVAILABLE => Self::Busy,
            _ if *code == SqlState::QUERY_CANCELED => Self::Late,
            _ if *code == SqlState::INSUFFICIENT_PRIVILEGE => Self::System(format!(
                "{message}: let the user make a schema (`GRANT CREATE ON DATABASE … TO …`), or make the schema {SCHEMA} for it"
            )),
            _ => Self::System(format!("{message} (code {})", code.code())),
        }
    }
}

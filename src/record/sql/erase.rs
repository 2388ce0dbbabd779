//! What is taken out of the tables: what is old, and what one user left.

use super::rows::{EXPOSURES, FLAGS};
use super::{Row, Sql, Trouble, Value};
use crate::record::hash::Hasher;
use crate::record::sql::schema::TABLES;

/// Rows of one table that one step deletes: a few milliseconds' work, for which records wait.
const STEP: u64 = 1000;
/// Requests of a user that one step deletes.
const REQUESTS: usize = 200;

/// One step; gives the number of rows, 0 when nothing is left to delete.
pub(super) fn expire(sql: &mut dyn Sql, before_us: u64) -> Result<u64, Trouble> {
    let mut deleted = 0_u64;
    for (table, key) in TABLES {
        if table == FLAGS.table {
            // They have no index by time: they went with their exposures.
            continue;
        }
        if table == EXPOSURES.table {
            deleted = deleted.saturating_add(expire_exposures(sql, before_us)?);
            continue;
        }
        let statement = format!(
            "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE at_us < $1 ORDER BY at_us LIMIT {STEP})"
        );
        sql.begin(false)?;
        deleted = deleted.saturating_add(sql.run(&statement, &[before_us.into()])?);
        sql.commit()?;
    }
    if deleted > 0 {
        sql.give_back(false)?;
    }
    Ok(deleted)
}

/// Exposures and what their flags said go together.
fn expire_exposures(sql: &mut dyn Sql, before_us: u64) -> Result<u64, Trouble> {
    sql.begin(false)?;
    let find = format!("SELECT request_id FROM exposures WHERE at_us < $1 ORDER BY at_us LIMIT {STEP}");
    let mut ids = Vec::new();
    for mut row in sql.rows(&find, &[before_us.into()])? {
        ids.push(row.text()?.as_str().into());
    }
    let mut deleted = 0_u64;
    if !ids.is_empty() {
        let requests = among(&ids);
        for table in [FLAGS.table, EXPOSURES.table] {
            let statement = format!("DELETE FROM {table} WHERE request_id IN ({requests})");
            deleted = deleted.saturating_add(sql.run(&statement, &ids)?);
        }
    }
    sql.commit()?;
    Ok(deleted)
}

/// `$1, $2, …`: a place for each.
fn among(ids: &[Value]) -> String {
    let places: Vec<String> = (1..=ids.len()).map(|place| format!("${place}")).collect();
    places.join(", ")
}

/// What a request of the user left traces under.
struct Left {
    requests: Vec<Value>,
    answers: Vec<Value>,
    /// Client and conversation.
    conversations: Vec<[Value; 2]>,
}

/// All that one user left. Gives the number of requests.
pub(super) fn forget(sql: &mut dyn Sql, user: &str, hasher: &Hasher) -> Result<u64, Trouble> {
    // As users are written now, and as they came while `user_ids` was "plain".
    let spellings = [Value::from(hasher.written(user).as_str()), Value::from(user)];
    let find = format!(
        "SELECT request_id, answer_id, client, conversation FROM exposures WHERE user_id IN ($1, $2) LIMIT {REQUESTS}"
    );
    let mut forgotten = 0_u64;
    loop {
        sql.begin(true)?;
        let rows = sql.rows(&find, &spellings)?;
        if rows.is_empty() {
            sql.commit()?;
            break;
        }
        let left = left(rows)?;
        delete(sql, &left)?;
        sql.commit()?;
        forgotten = forgotten.saturating_add(u64::try_from(left.requests.len()).unwrap_or(u64::MAX));
    }
    if forgotten > 0 {
        sql.give_back(true)?;
    }
    Ok(forgotten)
}

fn left(rows: Vec<Row>) -> Result<Left, Trouble> {
    let mut left = Left { requests: Vec::new(), answers: Vec::new(), conversations: Vec::new() };
    for mut row in rows {
        left.requests.push(row.text()?.as_str().into());
        left.answers.extend(row.maybe_text()?.as_deref().map(Value::from));
        let client = row.text()?;
        if let Some(conversation) = row.maybe_text()? {
            let both = [Value::from(client.as_str()), Value::from(conversation.as_str())];
            if !left.conversations.contains(&both) {
                left.conversations.push(both);
            }
        }
    }
    Ok(left)
}

fn delete(sql: &mut dyn Sql, left: &Left) -> Result<(), Trouble> {
    let requests = among(&left.requests);
    for (table, _) in TABLES.iter().filter(|(table, _)| *table != "feedback") {
        sql.run(&format!("DELETE FROM {table} WHERE request_id IN ({requests})"), &left.requests)?;
    }
    sql.run(&format!("DELETE FROM feedback WHERE id IN ({requests}) AND names = 'request'"), &left.requests)?;
    if !left.answers.is_empty() {
        let answers = among(&left.answers);
        sql.run(
            &format!("DELETE FROM feedback WHERE id IN ({answers}) AND names = 'answer'"),
            &left.answers,
        )?;
    }
    for both in &left.conversations {
        let statement = "DELETE FROM feedback WHERE client = $1 AND id = $2 AND names = 'conversation'";
        sql.run(statement, both)?;
    }
    Ok(())
}

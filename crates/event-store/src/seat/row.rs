//! The lock and the row of the seat in PostgreSQL. Times are compared by the clock of the database.

use std::{future::Future, net::IpAddr, net::SocketAddr, time::Duration};

use tokio_postgres::{Client, types::ToSql};
use uuid::Uuid;

use super::{Candidate, Place};
use crate::StoreError;

/// The two halves of the advisory lock of the holder.
const LOCK: [i32; 2] = [0x6461_7962, 0x7365_6174];
/// How long a statement may take. A connection that is slower counts as broken.
const PATIENCE: Duration = Duration::from_secs(5);

/// The row of a seat that is held.
pub(super) struct Seated {
    pub(super) holder: Uuid,
    pub(super) place: Place,
    /// How long ago the holder has renewed its row.
    pub(super) silence: Duration,
}

async fn within<T>(statement: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T, StoreError> {
    match tokio::time::timeout(PATIENCE, statement).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(StoreError::Unavailable(format!("no answer in {} s", PATIENCE.as_secs()))),
    }
}

/// Takes the lock if it is free. The connection holds it until it ends.
pub(super) async fn lock(client: &Client) -> Result<bool, StoreError> {
    let lock: &[&(dyn ToSql + Sync)] = &[&LOCK[0], &LOCK[1]];
    Ok(within(client.query_one("SELECT pg_try_advisory_lock($1, $2)", lock)).await?.try_get(0)?)
}

/// Unlocks the seat.
pub(super) async fn unlock(client: &Client) -> Result<(), StoreError> {
    let lock: &[&(dyn ToSql + Sync)] = &[&LOCK[0], &LOCK[1]];
    within(client.execute("SELECT pg_advisory_unlock($1, $2)", lock)).await.map(drop)
}

/// Writes the row of a new holder. Returns how often the seat was taken, and the address of the holder.
pub(super) async fn take(client: &Client, holder: Uuid, candidate: &Candidate) -> Result<(i64, String), StoreError> {
    // A lost renewal costs nothing, so it need not wait for the disk.
    within(client.batch_execute("SET synchronous_commit = off")).await?;
    let address = address(client, candidate).await?;
    let sql = "INSERT INTO seat AS s (role, epoch, holder, address, secret, since, renewed_at)
               VALUES ('command', 1, $1, $2, $3, clock_timestamp(), clock_timestamp())
               ON CONFLICT (role) DO UPDATE
               SET epoch = s.epoch + 1, holder = excluded.holder, address = excluded.address,
                   secret = excluded.secret, since = excluded.since, renewed_at = excluded.renewed_at
               RETURNING epoch";
    let row = within(client.query_one(sql, &[&holder, &address, &&*candidate.secret])).await?;
    Ok((row.try_get(0)?, address))
}

/// The address of a candidate for other processes.
async fn address(client: &Client, candidate: &Candidate) -> Result<String, StoreError> {
    if let Some(advertised) = &candidate.advertised {
        return Ok(advertised.clone());
    }
    let listens = candidate.listens;
    if !listens.ip().is_unspecified() {
        return Ok(listens.to_string());
    }
    // A client of the same machine may use a socket without an address.
    let row = within(client.query_one("SELECT inet_client_addr()", &[])).await?;
    let seen: Option<IpAddr> = row.try_get(0)?;
    Ok(SocketAddr::new(seen.unwrap_or(IpAddr::from([127, 0, 0, 1])), listens.port()).to_string())
}

/// Shows that the holder is not suspended.
pub(super) async fn renew(client: &Client, holder: Uuid) -> Result<(), StoreError> {
    let sql = "UPDATE seat SET renewed_at = clock_timestamp() WHERE role = 'command' AND holder = $1";
    within(client.execute(sql, &[&holder])).await.map(drop)
}

/// Leaves the seat: the row names nobody, and the lock is free.
pub(super) async fn leave(client: &Client, holder: Uuid) -> Result<(), StoreError> {
    let sql = "UPDATE seat SET holder = NULL, address = NULL, secret = NULL WHERE role = 'command' AND holder = $1";
    within(client.execute(sql, &[&holder])).await?;
    unlock(client).await
}

/// Who holds the seat, by its row. None when it was given up or never taken.
pub(super) async fn read(client: &Client) -> Result<Option<Seated>, StoreError> {
    let sql = "SELECT holder, address, secret, epoch,
                      extract(epoch FROM clock_timestamp() - renewed_at)::float8
               FROM seat WHERE role = 'command' AND holder IS NOT NULL";
    let Some(row) = within(client.query_opt(sql, &[])).await? else { return Ok(None) };
    let address: Option<String> = row.try_get(1)?;
    let secret: Option<String> = row.try_get(2)?;
    let place = Place {
        address: address.unwrap_or_default(),
        secret: secret.unwrap_or_default().into(),
        epoch: row.try_get(3)?,
    };
    let silence = Duration::try_from_secs_f64(row.try_get(4)?).unwrap_or_default();
    Ok(Some(Seated { holder: row.try_get(0)?, place, silence }))
}

/// Has the database end the connection that holds the lock.
pub(super) async fn end_holder(client: &Client) -> Result<(), StoreError> {
    let sql = "SELECT pg_terminate_backend(l.pid)
               FROM pg_locks l JOIN pg_database d ON d.oid = l.database
               WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
                 AND l.classid = $1::int::oid AND l.objid = $2::int::oid AND l.objsubid = 2";
    within(client.execute(sql, &[&LOCK[0], &LOCK[1]])).await.map(drop)
}

//! The user that the engine has on its private server. It owns the database, and is no superuser: what it is made to do by mistake can
//! reach neither files nor programs of the machine.

use super::{Postgres, configuration::ENGINE, error::PostgresError};

/// Makes the engine's user, and gives it the database with all that an earlier version, or a restore, has made as the superuser.
const PREPARE: &str = "
DO $$
DECLARE
    thing record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'daybook_engine') THEN
        CREATE ROLE daybook_engine;
    END IF;
    -- REPLICATION is for back-ups.
    ALTER ROLE daybook_engine LOGIN REPLICATION NOSUPERUSER NOCREATEROLE NOCREATEDB;
    GRANT pg_monitor TO daybook_engine;
    FOR thing IN
        SELECT format('ALTER DATABASE %I OWNER TO daybook_engine', datname) AS change
        FROM pg_database WHERE datname = current_database() AND datdba = 10
        UNION ALL
        SELECT format('ALTER SCHEMA %I OWNER TO daybook_engine', nspname)
        FROM pg_namespace WHERE nspowner = 10 AND nspname !~ '^pg_' AND nspname <> 'information_schema'
        UNION ALL
        SELECT format('ALTER %s %s OWNER TO daybook_engine',
                      CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                      c.oid::regclass)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relowner = 10 AND c.relkind IN ('r', 'p', 'v', 'm', 'S') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype IN ('a', 'e', 'i'))
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO daybook_engine', p.oid::regprocedure)
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proowner = 10 AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
          AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
    LOOP
        EXECUTE thing.change;
    END LOOP;
END $$";

impl Postgres {
    /// The URL of its database for the engine, whose user is no superuser. The first call makes that user.
    ///
    /// # Errors
    /// [`PostgresError`] when the server refuses.
    pub async fn engine_url(&self) -> Result<String, PostgresError> {
        let config: tokio_postgres::Config = self.url.parse()?;
        let password = config.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        self.as_superuser(config, async |client| {
            client.batch_execute(PREPARE).await?;
            if let Some(password) = &password {
                // It is hexadecimal, so it needs no quoting.
                client.batch_execute(&format!("ALTER ROLE {ENGINE} PASSWORD '{password}'")).await?;
            }
            Ok(())
        })
        .await?;
        Ok(self.url.replacen("://daybook", &format!("://{ENGINE}"), 1))
    }
}

//! TLS to PostgreSQL with a certificate of the shop's own, and a password that changes while the engine runs.

use std::fs;

use daybook_test_postgres::{ServerSettings, TestServer};
use daybook_tests::{
    directory,
    engine::{Engine, done, product, refused, until},
};

use crate::certificates::Authority;

/// Only TLS is let in from the network, and only with a password.
const HBA: &str = "hostnossl all all 127.0.0.1/32 reject
hostssl all all 127.0.0.1/32 scram-sha-256
hostssl replication all 127.0.0.1/32 scram-sha-256";

const PASSWORD: &str = "s3cr3tpw";

async fn sql(server: &TestServer, database: &str) -> tokio_postgres::Client {
    let url = server.url("postgres", database);
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_verifies_the_server_and_follows_a_new_password() {
    let (directory, authority) = (directory(), Authority::new("the shop's authority"));
    let path = |name: &str| directory.path().join(name).to_str().expect("a path is text").to_owned();
    fs::write(path("ca.pem"), authority.pem()).expect("a file");
    fs::write(path("other.pem"), Authority::new("another authority").pem()).expect("a file");
    let (mut settings, port) = ServerSettings::on_a_port();
    (settings.hba, settings.tls) = (Some(HBA.to_owned()), Some(authority.certificate_of("localhost")));
    let server = TestServer::start(settings).await;
    let admin = sql(&server, "postgres").await;
    admin.batch_execute(&format!("CREATE ROLE shop SUPERUSER LOGIN PASSWORD '{PASSWORD}'")).await.expect("a role");
    admin.batch_execute("CREATE DATABASE shop OWNER shop").await.expect("a database");
    let url = |host: &str, parameters: &str| format!("postgres://shop:{PASSWORD}@{host}:{port}/shop?{parameters}");
    // Of `localhost` only the address that the server listens on.
    let verified = format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}", path("ca.pem"));

    // Who is not the server is not talked to, and no error shows the password.
    let wrong = [
        (
            url("localhost", &format!("hostaddr=127.0.0.1&sslmode=verify-full&sslrootcert={}", path("other.pem"))),
            "certificate verify failed",
        ),
        (url("127.0.0.1", &verified), "IP address mismatch"),
        (
            url("localhost", "sslmode=verify-full&sslrootcert=/no/such/ca.pem"),
            "sslrootcert /no/such/ca.pem cannot be used",
        ),
        (url("127.0.0.1", "sslmode=disable"), "28000"),
        (url("localhost", "sslmode=sometimes"), "sslmode=sometimes is unknown"),
    ];
    for (url, why) in wrong {
        let said = refused(&["migrate"], &[("DATABASE_URL", &url)]);
        assert!(said.contains(why) && !said.contains(PASSWORD), "{why}: {said}");
    }
    let by_authority = format!("sslmode=verify-ca&sslrootcert={}", path("ca.pem"));
    done(&["migrate"], &[("DATABASE_URL", &url("127.0.0.1", &by_authority))]);
    done(&["migrate"], &[("DATABASE_URL", &url("localhost", &verified))]);
    done(&["backup", "--to", &path("back-ups")], &[("DATABASE_URL", &url("localhost", &verified))]);

    // The URL comes from a file, so that a new password needs no restart.
    let file = path("database-url");
    fs::write(&file, url("localhost", &verified) + "\n").expect("a file");
    let variables = [("DATABASE_URL_FILE", file.as_str()), ("KAFKA_BROKERS", "127.0.0.1:1")];
    let engine = Engine::start(directory.path(), "command-api", &variables);
    engine.accepted("CreateProduct", &product(1)).await;
    let connections =
        "SELECT count(*), count(*) FILTER (WHERE s.ssl) FROM pg_stat_activity a JOIN pg_stat_ssl s USING (pid)
                       WHERE a.application_name LIKE 'daybook/command-api/%'";
    let row = admin.query_one(connections, &[]).await.expect("an answer");
    let (all, with_tls): (i64, i64) = (row.get(0), row.get(1));
    assert!(all > 0 && all == with_tls, "{with_tls} of {all} connections have TLS");

    admin.batch_execute("ALTER ROLE shop PASSWORD 'an0ther'").await.expect("a new password");
    fs::write(&file, url("localhost", &verified).replace(PASSWORD, "an0ther")).expect("a file");
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'daybook/%'";
    admin.query(end, &[]).await.expect("the connections end");
    until("a command with the new password", async || {
        engine.send("POST", "/commands/CreateProduct", &product(2)).await.0 == 200
    })
    .await;
}

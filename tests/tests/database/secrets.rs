//! What `up` keeps to itself: its token, and the rights of a superuser.

use std::{fs, os::unix::fs::PermissionsExt};

use daybook_tests::{Shop, directory};
use tokio_postgres::NoTls;

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_gets_no_token_and_the_engine_is_no_superuser() {
    let directory = directory();
    let shop = Shop::up(directory.path()).await;
    let said = fs::read_to_string(directory.path().join("up.log")).expect("the output is kept");
    assert!(!said.contains(shop.ready("admin_token")), "the output of `up` is no terminal here");
    assert!(said.contains("admin token   is in ") && said.contains("ready.json"), "{said}");
    for file in ["ready.json", "up.lock", "secret"] {
        let mode = fs::metadata(shop.data().join(file)).expect("the file is there").permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file} is for its owner only");
    }
    let (client, connection) = tokio_postgres::connect(shop.ready("database_url"), NoTls).await.expect("an answer");
    tokio::spawn(connection);
    let sql = "SELECT count(*), count(*) FILTER (WHERE r.rolsuper) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
               WHERE a.application_name LIKE 'daybook/all/%'";
    let row = client.query_one(sql, &[]).await.expect("an answer");
    let (all, as_superuser): (i64, i64) = (row.get(0), row.get(1));
    assert!(all > 0 && as_superuser == 0, "{as_superuser} of {all} connections are a superuser's");
    for (setting, value) in [
        ("wal_writer_delay", "10ms"),
        ("log_checkpoints", "on"),
        ("log_lock_waits", "on"),
        ("log_min_duration_statement", "500ms"),
    ] {
        let found: String = client.query_one(&format!("SHOW {setting}"), &[]).await.expect("a setting").get(0);
        assert_eq!(found, value, "{setting}");
    }
    assert!(shop.stop().success());
}

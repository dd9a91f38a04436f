//! Two processes run the views. They share the partitions, and when one ends, the other takes over.

use daybook_event_stream::relay;
use daybook_projectors::views;

use crate::{
    facts::day,
    world::{World, until, world},
};

impl World {
    /// Installs a trigger that records which process has moved the checkpoints of which view.
    async fn record_commits(&self) {
        let client = self.database.connect().await;
        client
            .batch_execute(
                "CREATE TABLE commits (process text, consumer text, PRIMARY KEY (process, consumer));
                 CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN
                     INSERT INTO commits VALUES (current_setting('application_name'), NEW.consumer) ON CONFLICT DO NOTHING;
                     RETURN NULL;
                 END $$;
                 CREATE TRIGGER note AFTER UPDATE ON consumer_checkpoints FOR EACH ROW
                 WHEN (NEW.generation = OLD.generation AND NEW.position > OLD.position) EXECUTE FUNCTION note()",
            )
            .await
            .expect("the trigger can be created");
    }

    /// For how many views a process has committed since the last clearing.
    async fn commits_of(&self, process: &str) -> usize {
        let client = self.database.connect().await;
        let rows = client.query("SELECT 1 FROM commits WHERE process = $1", &[&process]).await;
        rows.expect("the database answers").len()
    }

    /// Whether PostgreSQL still executes a statement of a process.
    async fn is_active(&self, process: &str) -> bool {
        let sql = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = $1 AND state <> 'idle')";
        self.database.connect().await.query_one(sql, &[&process]).await.expect("the database answers").get(0)
    }

    async fn is_published_again(&self) -> bool {
        let sql = "SELECT NOT r.republish AND r.cursor = h.position FROM relay r, head h";
        self.database.connect().await.query_one(sql, &[]).await.expect("the database answers").get(0)
    }

    async fn clear_commits(&self) {
        self.database.connect().await.batch_execute("DELETE FROM commits").await.expect("the database answers");
    }
}

/// How a process ends.
#[derive(Clone, Copy)]
enum End {
    Stopped,
    Killed,
}

async fn the_other_one_takes_over(end: End) {
    let mut world = world().await;
    world.record_commits().await;
    let relay = world.relay();
    let (ann, bob) = (world.projectors("ann"), world.projectors("bob"));
    let (mut next, all) = (0, views::ALL.len());
    until("both processes commit to every view", async || {
        world.writer.write(&day(next, 6)).await;
        next += 6;
        world.commits_of("ann").await == all && world.commits_of("bob").await == all
    })
    .await;
    world.writer.write(&day(next, 300)).await;
    match end {
        End::Stopped => ann.stop().await,
        End::Killed => ann.kill().await,
    }
    // PostgreSQL may still execute the last commit of ann.
    until("ann has no active statement", async || !world.is_active("ann").await).await;
    world.clear_commits().await;
    world.writer.write(&day(next + 300, 300)).await;
    world.views_are_up_to_date().await;
    assert_eq!(world.commits_of("ann").await, 0);
    assert_eq!(world.commits_of("bob").await, all);
    world.assert_views_equal_the_book().await;

    // Every event is published again.
    relay::republish(&world.book).await.expect("the request is recorded");
    until("the book is published again", async || world.is_published_again().await).await;
    world.writer.write(&day(next + 600, 20)).await;
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    bob.stop().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_process_is_stopped_the_other_one_takes_over() {
    the_other_one_takes_over(End::Stopped).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_process_is_killed_the_other_one_takes_over() {
    the_other_one_takes_over(End::Killed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_was_dropped_is_built_by_the_running_projectors() {
    let mut world = world().await;
    let (relay, projectors) = (world.relay(), world.projectors("ann"));
    world.writer.write(&day(0, 30)).await;
    world.views_are_up_to_date().await;
    let drop_view = "DELETE FROM views WHERE name = 'stock'; DROP SCHEMA stock_v1 CASCADE";
    world.database.connect().await.batch_execute(drop_view).await.expect("the database answers");
    world.writer.write(&day(30, 30)).await;
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    projectors.stop().await;
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_does_not_know_a_view_holds_up_no_partition_of_it() {
    let mut world = world().await;
    let relay = world.relay();
    // As during an upgrade, the earlier program has one view, and shares its topic with the later program.
    let earlier: Vec<_> = views::ALL.into_iter().filter(|view| view.name == "category").collect();
    let (earlier, later) = (world.projectors_of("earlier", earlier), world.projectors("later"));
    world.views_are_up_to_date().await;
    world.record_commits().await;
    let mut next = 0;
    until("both processes have partitions of that topic", async || {
        world.writer.write(&day(next, 20)).await;
        next += 20;
        world.commits_of("earlier").await == 1 && world.commits_of("later").await == views::ALL.len()
    })
    .await;
    world.writer.write(&day(next, 100)).await;
    world.views_are_up_to_date().await;
    world.assert_views_equal_the_book().await;
    earlier.stop().await;
    later.stop().await;
    relay.stop().await;
}

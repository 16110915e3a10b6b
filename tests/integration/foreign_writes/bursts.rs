//! A burst of writes by another program: only some of its announcements are received, and none of its writes is missed.

use super::{Deployment, announcements, assert_fresh_while, pause};
use crate::support::{Sql, create, record};

/// Commits many updates of one employee, one after another, as fast as PostgreSQL can.
fn write_in_a_burst(sql: &Sql, id: &str, writes: u64) {
    sql.run(&format!(
        "DO $$ BEGIN FOR version IN 1..{writes} LOOP
         UPDATE records SET name = 'version ' || version WHERE id = '{id}'; COMMIT; END LOOP; END $$"
    ));
}

#[test]
fn of_a_burst_some_announcements_are_received_and_its_last_write_is_seen() {
    const WRITES: u64 = 5000;
    for deployment in [Deployment::managed(), Deployment::external(2, false), Deployment::external(1, true)] {
        let Deployment { instances, sql, .. } = &deployment;
        create(&instances[0], &record("a", "created", "s", "2023-08-01")).expect(200);
        let before: Vec<u64> = instances.iter().map(announcements).collect();
        write_in_a_burst(sql, "a", WRITES);
        deployment.expect_name("the last write of the burst", "a", Some(&format!("version {WRITES}")));
        for (instance, before) in instances.iter().zip(before) {
            let received = announcements(instance) - before;
            assert!((1..WRITES).contains(&received), "{received} of {WRITES}");
        }
        // It listens again after the burst.
        deployment.cache(&["a"]);
        sql.run("UPDATE records SET name = 'later'");
        deployment.expect_name("a write after the burst", "a", Some("later"));
    }
}

#[test]
fn no_read_misses_a_write_from_a_second_ago_while_another_program_writes_in_bursts() {
    for is_shared in [false, true] {
        let deployment = Deployment::external(1, is_shared);
        create(&deployment.instances[0], &record("other", "created", "s", "2023-08-01")).expect(200);
        assert_fresh_while(&deployment, || {
            write_in_a_burst(&deployment.sql, "other", 1000);
            pause();
        });
    }
}

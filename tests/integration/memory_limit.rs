//! The memory limit of a unit or container. The files of other kinds of machines are tested in `src/managed/memory.rs`.

use crate::support::{API, Appliance, Cgroup, create, record};

#[test]
fn shared_buffers_follow_the_limit_of_a_group_further_up() {
    let Some(group) = Cgroup::limited_to(400) else {
        eprintln!("not tested: this machine has no control group for memory that the tests may make (needs root)");
        return;
    };
    let mut appliance = Appliance::builder().existing_cluster().cgroup(&group).start();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
    appliance.get(&format!("{API}/search?id=1")).expect(200);
    // A quarter of 400 MiB, which is less than the usual minimum.
    assert_eq!(appliance.sql().value("SHOW shared_buffers"), "100MB");
    appliance.stop();
    drop(group);
    let mut free = appliance.settings().without_cgroup().start();
    assert_ne!(free.sql().value("SHOW shared_buffers"), "100MB");
    free.stop();
}

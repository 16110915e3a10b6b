//! The size of the archive of WAL: it takes neither more than it may have nor the space of the database.

use std::fs::File;
use std::io::Write;

use nix::sys::statvfs::statvfs;

use super::point_in_time::{ARCHIVED, archived, assert_archive_is_complete, wait_for_base, windows};
use super::schedule::{backup_detail, metric};
use super::{add_records, all};
use crate::support::{Appliance, Mount, Scratch, eventually};

const SLOTS: &str = "SELECT count(*) FROM pg_replication_slots";

fn reason(appliance: &Appliance) -> String {
    backup_detail(appliance)["reason"].as_str().unwrap_or_default().to_owned()
}

/// Writes so many megabytes of WAL.
fn write_wal(appliance: &Appliance, megabytes: u32) {
    let sql = appliance.sql();
    sql.run("CREATE TABLE IF NOT EXISTS filler (text text)");
    for _ in 0..megabytes.div_ceil(10) {
        sql.run("INSERT INTO filler SELECT repeat(md5(n::text), 31) FROM generate_series(1, 10000) AS n");
    }
}

#[test]
fn an_archive_with_its_largest_size_is_paused_reported_and_continued_with_a_new_base() {
    let config = format!("{}log: {{ level: info }}\n", ARCHIVED.replace("wal: true", "wal: true, wal_max_size: 64MiB"));
    let appliance = Appliance::builder().existing_cluster().config(&config).start();
    wait_for_base(&appliance);
    eventually("the limit is reported", || {
        (metric(&appliance, "attendance_api_wal_archive_limit_bytes")? == f64::from(64 << 20)).then_some(())
    });
    write_wal(&appliance, 100);
    eventually("the reason is reported", || reason(&appliance).contains("raise backup.wal_max_size").then_some(()));
    assert_eq!(appliance.sql().value(SLOTS), "0", "PostgreSQL keeps no WAL meanwhile");
    assert!(metric(&appliance, "attendance_api_wal_archive_failed") == Some(1.0));
    eventually("the size is reported", || {
        (metric(&appliance, "attendance_api_wal_archive_bytes")? > f64::from(48 << 20)).then_some(())
    });
    add_records(&appliance, "paused", 1);
    let mut appliance = appliance;
    appliance.stop();
    let mut larger = Appliance::builder().data_dir(&appliance.data()).config(ARCHIVED).start();
    wait_for_base(&larger);
    assert_eq!(windows(&larger.data()).len(), 2);
    eventually("nothing is wrong any more", || reason(&larger).is_empty().then_some(()));
    assert_archive_is_complete(&mut larger);
}

#[test]
fn an_archive_beside_the_database_leaves_room_for_it() {
    let scratch = Scratch::new("small-disk");
    let mount = Mount::memory(scratch.path(), "size=600m,mode=777");
    let data = mount.path().join("data");
    // A clean data directory of an appliance with an archive.
    let mut template = archived();
    template.stop();
    let copied = std::process::Command::new("cp").arg("-a").arg(template.data()).arg(&data).status().unwrap();
    assert!(copied.success());
    let appliance = Appliance::builder().data_dir(&data).config(ARCHIVED).start();
    eventually("WAL is copied", || (appliance.sql().value(SLOTS) == "1").then_some(()));
    // Less than a tenth, and enough for the database.
    let filler = mount.path().join("filler");
    let found = statvfs(mount.path()).unwrap();
    let free = found.blocks_available() * found.fragment_size();
    let size = usize::try_from(free - (50 << 20)).unwrap();
    File::create(&filler).unwrap().write_all(&vec![1; size]).unwrap();
    eventually("the reason is reported", || {
        reason(&appliance).contains("are kept free for the database").then_some(())
    });
    assert_eq!(appliance.sql().value(SLOTS), "0");
    add_records(&appliance, "served", 1);
    std::fs::remove_file(&filler).unwrap();
    wait_for_base(&appliance);
    eventually("nothing is wrong any more", || reason(&appliance).is_empty().then_some(()));
    assert_eq!(windows(&data).len(), 2);
    assert!(all(&appliance).contains("served0"));
}

//! `backup restore`, `backup verify` and `backup forget`.

use std::fs;

use super::{
    add_records, all, appliance_with, assert_nothing_is_left, back_up, command, files, kept_clusters, restore, run,
};
use crate::support::{API, Appliance, Mount, Scratch, create, record};

#[test]
fn a_restore_on_another_machine_answers_like_the_original() {
    let appliance = appliance_with(5);
    appliance.sql().run(
        "CREATE ROLE \"some;body\" LOGIN PASSWORD 'x'; GRANT SELECT ON records TO \"some;body\"; \
         CREATE ROLE readers; GRANT readers TO \"some;body\"; \
         ALTER DATABASE attendance_db SET work_mem = '5MB'; ALTER DATABASE attendance_db SET search_path = 'public', \"$user\"; \
         ALTER ROLE \"some;body\" IN DATABASE attendance_db SET application_name = 'it''s; theirs'; \
         COMMENT ON DATABASE attendance_db IS 'ours'; REVOKE TEMPORARY ON DATABASE attendance_db FROM PUBLIC; \
         CREATE TABLE notes (id serial PRIMARY KEY, text text); INSERT INTO notes (text) VALUES ('a'), ('b')",
    );
    let path = back_up(&appliance.data());
    let identity = appliance.sql().value("SELECT id FROM attendance_api.identity");

    let scratch = Scratch::new("other-machine");
    let data = scratch.path().join("data");
    let restored = restore(&path, &data);
    assert!(restored.stdout.contains("5 records") && !restored.stdout.contains("is kept in"), "{}", restored.stdout);
    assert_nothing_is_left(&data);
    let copy = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    assert_eq!(all(&copy), all(&appliance));
    create(&copy, &record("new", "n", "s", "2023-08-01")).expect(200);
    let sql = copy.sql();
    assert_ne!(sql.value("SELECT id FROM attendance_api.identity"), identity);
    assert_eq!(sql.value("SELECT count(*) FROM notes"), "2");
    assert_eq!(sql.value("SELECT has_table_privilege('some;body', 'records', 'SELECT')"), "t");
    assert_eq!(sql.value("SELECT pg_has_role('some;body', 'readers', 'MEMBER')"), "t");
    assert_eq!(sql.value("SELECT rolpassword IS NOT NULL FROM pg_authid WHERE rolname = 'some;body'"), "t");
    assert_eq!(sql.value("SHOW work_mem"), "5MB");
    assert_eq!(
        sql.value("SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"),
        "ours"
    );
    assert_eq!(sql.value("SELECT has_database_privilege('readers', current_database(), 'TEMPORARY')"), "f");
    let settings = "SELECT setconfig FROM pg_db_role_setting ORDER BY 1";
    assert_eq!(sql.rows(settings), appliance.sql().rows(settings));
    // The history of migrations is complete, so nothing is applied again.
    let history = "SELECT id, md5sum, orderexecuted, dateexecuted FROM databasechangelog ORDER BY orderexecuted";
    assert_eq!(sql.rows(history), appliance.sql().rows(history));
    assert_eq!(sql.value("SELECT count(*) FROM databasechangeloglock WHERE locked"), "0");
}

#[test]
fn the_cluster_before_a_restore_is_kept_until_it_is_forgotten() {
    let mut appliance = appliance_with(2);
    let data = appliance.data();
    let path = back_up(&data);
    add_records(&appliance, "later", 1);
    let before = all(&appliance);
    appliance.stop();
    let restored = restore(&path, &data);
    let kept = kept_clusters(&data);
    assert_eq!(kept.len(), 1);
    assert!(restored.stdout.contains(&kept[0].display().to_string()), "{}", restored.stdout);
    appliance.start_again();
    let after = all(&appliance);
    assert!(after != before && after.contains("\"r1\"") && !after.contains("later0"), "{after}");
    // A second restore keeps both.
    appliance.stop();
    restore(&path, &data);
    assert_eq!(kept_clusters(&data).len(), 2);
    appliance.start_again();
    assert_eq!(all(&appliance), after);
    let forgotten = run(&["forget"], &data).expect(0);
    assert_eq!(forgotten.stdout.lines().count(), 2, "{}", forgotten.stdout);
    assert!(kept_clusters(&data).is_empty());
    let nothing = run(&["forget"], &data).expect(0);
    assert!(nothing.stdout.contains("no replaced database"), "{}", nothing.stdout);
    create(&appliance, &record("new", "n", "s", "2023-08-01")).expect(200);
}

#[test]
fn a_restore_is_refused_while_an_appliance_runs_on_the_directory() {
    let appliance = appliance_with(1);
    let path = back_up(&appliance.data());
    let before = all(&appliance);
    let refused = run(&["restore", path.to_str().unwrap()], &appliance.data()).expect(1);
    assert!(refused.stderr.contains("in use by another attendance-api"), "{}", refused.stderr);
    assert_eq!(all(&appliance), before);
    assert!(kept_clusters(&appliance.data()).is_empty());
}

#[test]
fn a_verification_beside_a_running_appliance_survives_its_restart() {
    let mut appliance = appliance_with(1);
    let data = appliance.data();
    let path = back_up(&data);
    let mut verifying = command(&["verify", path.to_str().unwrap()], &data).spawn();
    crate::support::eventually("its cluster exists", || {
        files(&data.join("operate/scratch")).iter().any(|(path, _)| path.ends_with("PG_VERSION")).then_some(())
    });
    // The start removes what killed processes left, and not what is in use.
    appliance.stop();
    appliance.start_again();
    assert!(verifying.wait().success());
    assert_nothing_is_left(&data);
}

#[test]
fn a_restore_without_space_is_refused_before_anything_changes() {
    let scratch = Scratch::new("space");
    let mut appliance = appliance_with(1);
    let path = back_up(&appliance.data());
    appliance.stop();
    let mount = Mount::memory(scratch.path(), "size=150m");
    let data = mount.path().join("data");
    let failed = run(&["restore", path.to_str().unwrap()], &data).expect(1);
    assert!(failed.stderr.contains("MB are needed"), "{}", failed.stderr);
    assert!(!data.join("postgres/16").exists());
    assert_nothing_is_left(&data);
}

#[test]
fn a_disk_that_is_filled_during_a_restore_leaves_the_database_as_it_was() {
    let scratch = Scratch::new("filled");
    let mount = Mount::memory(scratch.path(), "size=420m");
    let data = mount.path().join("data");
    let mut appliance =
        Appliance::builder().existing_cluster().data_dir(&data).config("redis: { mode: off }\n").start();
    add_records(&appliance, "r", 2);
    let path = back_up(&data);
    let before = all(&appliance);
    appliance.stop();
    let mut restoring = command(&["restore", path.to_str().unwrap()], &data).spawn();
    crate::support::eventually("its cluster is being made", || {
        files(&data.join("operate/scratch")).iter().any(|(path, _)| path.ends_with("PG_VERSION")).then_some(())
    });
    let filler = mount.fill();
    let status = restoring.wait();
    drop(filler);
    assert!(!status.success());
    assert!(kept_clusters(&data).is_empty());
    appliance.start_again();
    assert_eq!(all(&appliance), before);
    assert_nothing_is_left(&data);
    appliance.stop();
    restore(&path, &data);
    appliance.start_again();
    assert_eq!(all(&appliance), before);
}

#[test]
fn a_restored_database_is_migrated_by_the_next_start() {
    let appliance = appliance_with(1);
    let path = back_up(&appliance.data());
    let scratch = Scratch::new("migrated");
    let data = scratch.path().join("data");
    restore(&path, &data);
    let copy = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    let line = copy.logged("the schema is up to date");
    assert_eq!(line[0]["applied"], 0, "{line:?}");
    copy.get(&format!("{API}/health")).expect(200);
    assert_eq!(fs::read_dir(data.join("operate/scratch")).unwrap().count(), 0);
}

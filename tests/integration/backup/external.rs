//! Backups of an external PostgreSQL.

use std::fs;
use std::path::PathBuf;

use super::{all, path_of, run};
use crate::support::{Appliance, Postgres, Scratch, create, record, shared_postgres};

#[test]
fn an_external_database_is_backed_up_verified_and_restored_into_a_managed_one() {
    assert_moves_into_a_managed_one(shared_postgres());
}

#[test]
fn installed_servers_of_other_versions_are_backed_up_and_restored_into_a_managed_one() {
    for major in [14, 15] {
        let programs = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        if programs.join("initdb").exists() {
            assert_moves_into_a_managed_one(&Postgres::start_with(&programs));
        }
    }
}

fn assert_moves_into_a_managed_one(server: &Postgres) {
    let database = server.create_database();
    let appliance = Appliance::builder().postgres(server, &database).config("redis: { mode: off }\n").start();
    create(&appliance, &record("external", "Ünal", "s", "2023-08-01")).expect(200);
    let scratch = Scratch::new("managed");
    let data = scratch.path().join("data");
    let created = Appliance::builder()
        .postgres(server, &database)
        .command(&["backup", "create"])
        .arg("--data-dir")
        .arg(&data.display().to_string())
        .finish()
        .expect(0);
    let path = path_of(&created);
    run(&["verify", path.to_str().unwrap()], &data).expect(0);
    run(&["restore", path.to_str().unwrap()], &data).expect(0);
    let managed = Appliance::builder().data_dir(&data).config("redis: { mode: off }\n").start();
    assert_eq!(all(&managed), all(&appliance));
    create(&managed, &record("new", "n", "s", "2023-08-01")).expect(200);
    // The password of the external server is nowhere in the file.
    let bytes = fs::read(&path).unwrap();
    assert!(!String::from_utf8_lossy(&bytes).contains(&server.password));
}

#[test]
fn a_role_that_may_not_read_everything_is_told_what_it_needs() {
    let server = shared_postgres();
    let database = server.create_database();
    let sql = server.sql(&database);
    sql.run("CREATE TABLE hidden (a int); CREATE ROLE backup_reader LOGIN PASSWORD 'r'");
    let scratch = Scratch::new("reader");
    let config = format!(
        "postgres:\n  host: 127.0.0.1\n  port: {}\n  database: {database}\n  user: backup_reader\n  password: r\n",
        server.port
    );
    let create = || {
        Appliance::builder()
            .config(&config)
            .command(&["backup", "create"])
            .arg("--data-dir")
            .arg(&scratch.path().join("data").display().to_string())
            .finish()
    };
    let refused = create().expect(1);
    assert!(
        refused.stderr.contains("public.hidden") && refused.stderr.contains("GRANT pg_read_all_data TO backup_reader"),
        "{}",
        refused.stderr
    );
    sql.run("GRANT pg_read_all_data TO backup_reader");
    create().expect(0);
}

#[test]
fn a_server_that_is_newer_than_the_programs_is_refused_with_its_version() {
    let server = shared_postgres();
    let database = server.create_database();
    // What the server says about itself is replaced by a function that this database finds first.
    server.sql(&database).run(&format!(
        "CREATE SCHEMA newer; \
         CREATE FUNCTION newer.current_setting(name text) RETURNS text LANGUAGE sql AS $$ SELECT CASE name \
             WHEN 'server_version_num' THEN '990001' WHEN 'server_version' THEN '99.1 (test)' \
             ELSE pg_catalog.current_setting(name) END $$; \
         ALTER DATABASE {database} SET search_path = newer, pg_catalog, public"
    ));
    assert_refuses_newer(server, &database, "99.1 (test)");
    for major in [17, 18] {
        let programs = PathBuf::from(format!("/usr/lib/postgresql/{major}/bin"));
        if programs.join("initdb").exists() {
            let server = Postgres::start_with(&programs);
            assert_refuses_newer(&server, &server.create_database(), &format!("{major}."));
        }
    }
}

fn assert_refuses_newer(server: &Postgres, database: &str, version: &str) {
    let scratch = Scratch::new("newer");
    let data = scratch.path().join("data");
    let create = Appliance::builder().postgres(server, database).command(&["backup", "create"]);
    let refused = create.arg("--data-dir").arg(&data.display().to_string()).finish().expect(1);
    let version = format!("is version {version}");
    for words in [version.as_str(), "the programs here are of version 16."] {
        assert!(refused.stderr.contains(words), "{words}: {}", refused.stderr);
    }
    assert!(super::files(&data.join("backups")).is_empty(), "no file is left");
}

//! An external PostgreSQL that is read-only, a standby, promoted, moved, or of a role with few privileges: it is served, or explained.

use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::{
    API, Appliance, Builder, Postgres, Response, Scratch, create, eventually, record, records, shared_postgres,
};

fn on(postgres: &Postgres, database: &str) -> Builder {
    Appliance::builder().postgres(postgres, database).config("redis: { mode: off }\n")
}

fn with_timeout(postgres: &Postgres, database: &str, timeout: &str) -> Builder {
    let section = postgres.config(database);
    Appliance::builder().config(&format!("{section}  connect_timeout: {timeout}\nredis: {{ mode: off }}\n"))
}

/// Makes the schema and one record in the database `postgres` of a server that is then stopped.
fn stopped_with_one_record() -> Postgres {
    let mut postgres = Postgres::start();
    let mut appliance = on(&postgres, "postgres").start();
    create(&appliance, &record("before", "n", "s", "2023-08-01")).expect(200);
    appliance.stop();
    postgres.stop();
    postgres
}

fn assert_serves_reads_only(appliance: &Appliance) {
    assert_eq!(records(appliance, "").len(), 1);
    appliance.get(&format!("{API}/search?id=before")).expect(200);
    appliance.get(&format!("{API}/health")).expect(200);
    appliance.get("/readyz").expect(200);
    let refused: Response = create(appliance, &record("refused", "n", "s", "2023-08-01")).expect(503);
    assert!(refused.text().contains("accepts no changes"), "{}", refused.text());
}

fn assert_stores(appliance: &Appliance, id: &str) {
    let stored = || create(appliance, &record(id, "n", "s", "2023-08-01")).status == 200;
    eventually("records are stored", || stored().then_some(()));
    appliance.get(&format!("{API}/search?id={id}")).expect(200);
}

#[test]
fn a_read_only_server_without_the_schema_is_explained() {
    let ways = [
        "ALTER DATABASE {database} SET default_transaction_read_only = on",
        "CREATE ROLE {database}_role LOGIN SUPERUSER PASSWORD 'pw'; ALTER ROLE {database}_role SET default_transaction_read_only = on",
    ];
    for way in ways {
        let database = shared_postgres().create_database();
        shared_postgres().sql("postgres").run(&way.replace("{database}", &database));
        let mut text = shared_postgres().config(&database);
        if way.contains("_role") {
            text = text.replace("user: postgres", &format!("user: {database}_role"));
            text = text.replace(&shared_postgres().password, "pw");
        }
        let builder = Appliance::builder().config(&format!("{text}  connect_timeout: 2s\nredis: {{ mode: off }}\n"));
        let stderr = builder.finish().expect(1).stderr;
        for word in ["accepts no changes", "default_transaction_read_only", "127.0.0.1"] {
            assert!(stderr.contains(word), "{way}: {word:?} is not in {stderr}");
        }
        assert!(!stderr.contains("CREATE"), "{stderr}");
    }
}

#[test]
fn a_read_only_server_with_the_schema_is_served_and_stores_as_soon_as_it_can() {
    let mut postgres = stopped_with_one_record();
    postgres.restart();
    let set = |value: &str| {
        let sql = postgres.sql("postgres");
        sql.run(&format!("ALTER SYSTEM SET default_transaction_read_only = {value}"));
        sql.run("SELECT pg_reload_conf()");
    };
    set("on");
    eventually("it is read-only", || {
        (postgres.sql("postgres").value("SHOW default_transaction_read_only") == "on").then_some(())
    });
    let mut appliance = on(&postgres, "postgres").start();
    assert_serves_reads_only(&appliance);
    // The superuser's session of this statement is read-only as well.
    let sql = postgres.sql("postgres");
    sql.run("SET default_transaction_read_only = off");
    sql.run("ALTER SYSTEM RESET default_transaction_read_only");
    sql.run("SELECT pg_reload_conf()");
    assert_stores(&appliance, "after");
    appliance.stop();
}

#[test]
fn a_standby_is_served_and_stores_after_its_promotion() {
    let mut primary = stopped_with_one_record();
    let mut standby = primary.copy_at("127.0.0.2");
    standby.follow(&primary);
    primary.restart();
    standby.restart();
    assert_eq!(standby.sql("postgres").value("SELECT pg_is_in_recovery()"), "t");
    let mut appliance = on(&standby, "postgres").start();
    assert_serves_reads_only(&appliance);
    // It follows: what the primary stores is seen.
    primary.sql("postgres").run("INSERT INTO records (id, name, status, date) VALUES ('x', 'n', 's', '2023-08-01')");
    eventually("the record of the primary", || (records(&appliance, "").len() == 2).then_some(()));
    primary.kill();
    standby.sql("postgres").run("SELECT pg_promote()");
    assert_stores(&appliance, "after");
    appliance.stop();
}

#[test]
fn a_standby_without_the_schema_is_waited_for_until_its_promotion() {
    let mut primary = Postgres::start();
    primary.stop();
    let mut standby = primary.copy_at("127.0.0.2");
    standby.follow(&primary);
    standby.restart();
    let stderr = with_timeout(&standby, "postgres", "2s").finish().expect(1).stderr;
    assert!(stderr.contains("standby") && stderr.contains("postgres.host"), "{stderr}");
    let mut appliance = on(&standby, "postgres").spawn();
    appliance.wait_log("that it waits", |line| {
        line["message"].as_str().is_some_and(|text| text.contains("waiting for PostgreSQL to accept changes"))
    });
    standby.sql("postgres").run("SELECT pg_promote()");
    appliance.wait_listening();
    assert_stores(&appliance, "1");
    appliance.stop();
    drop(primary);
}

#[test]
fn a_role_without_the_right_to_change_the_schema_is_served_if_the_schema_is_there() {
    let rights = [
        // The owner of everything, but not of the database.
        "GRANT ALL ON ALL TABLES IN SCHEMA public, attendance_api TO {role}; GRANT USAGE ON SCHEMA attendance_api TO {role}",
        // Only what requests need, and to see that the schema is current.
        "GRANT SELECT, INSERT ON records TO {role}; GRANT SELECT ON databasechangelog TO {role};
         GRANT USAGE ON SCHEMA attendance_api TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA attendance_api TO {role}",
    ];
    for (number, rights) in rights.into_iter().enumerate() {
        let database = shared_postgres().create_database();
        on(shared_postgres(), &database).start().stop();
        let role = format!("{database}_{number}");
        let sql = shared_postgres().sql(&database);
        sql.run(&format!("CREATE ROLE {role} LOGIN PASSWORD 'role-pw'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"));
        let config = shared_postgres().config(&database).replace("user: postgres", &format!("user: {role}"));
        let config = config.replace(&shared_postgres().password, "role-pw");
        let builder = || Appliance::builder().config(&format!("{config}redis: {{ mode: off }}\n"));
        let stderr = builder().finish().expect(1).stderr;
        assert!(stderr.contains("permission denied"), "{stderr}");
        sql.run(&rights.replace("{role}", &role));
        let mut appliance = builder().start();
        create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
        assert_eq!(records(&appliance, "").len(), 1);
        appliance.stop();
        // The lock was not left behind: others can migrate.
        on(shared_postgres(), &database).start().stop();
    }
}

#[test]
fn a_restarted_server_is_used_again() {
    let mut postgres = stopped_with_one_record();
    postgres.restart();
    let mut appliance = on(&postgres, "postgres").start();
    for round in 0..3 {
        if round == 1 {
            postgres.kill()
        } else {
            postgres.stop()
        }
        create(&appliance, &record("refused", "n", "s", "2023-08-01")).expect(503);
        postgres.restart();
        assert_stores(&appliance, &format!("round-{round}"));
    }
    assert_eq!(records(&appliance, "").len(), 4);
    appliance.stop();
}

#[test]
fn a_host_name_with_a_new_address_is_looked_up_again() {
    let mut old = stopped_with_one_record();
    let mut new = old.copy_at("127.0.0.3");
    old.restart();
    let scratch = Scratch::new("hosts");
    // Written in place, because the file itself is mounted.
    let hosts = scratch.file("hosts", "127.0.0.1 database.test\n");
    let config = old.config("postgres").replace("host: 127.0.0.1", "host: database.test");
    let builder = Appliance::builder().config(&format!("{config}redis: {{ mode: off }}\n")).hosts(&hosts);
    let mut appliance = builder.start();
    assert_stores(&appliance, "at-the-old-address");
    old.kill();
    fs::write(&hosts, "127.0.0.3 database.test\n").unwrap();
    new.restart();
    assert_stores(&appliance, "at-the-new-address");
    assert_eq!(new.sql("postgres").value("SELECT count(*) FROM records"), "2");
    appliance.stop();

    // Also while the start waits.
    new.stop();
    fs::write(&hosts, "127.0.0.1 database.test\n").unwrap();
    let mut appliance = appliance.settings().spawn();
    appliance.wait_log("that it waits", |line| line["message"] == "waiting for PostgreSQL");
    fs::write(&hosts, "127.0.0.3 database.test\n").unwrap();
    new.restart();
    appliance.wait_listening();
    assert_stores(&appliance, "after-the-start");
    appliance.stop();
}

#[test]
fn connect_timeout_is_the_time_that_is_waited() {
    // One refuses connections, the other accepts them and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let stopped = Postgres::stopped();
    let config = |port: u16| {
        format!("postgres: {{ host: 127.0.0.1, port: {port}, connect_timeout: 4s }}\nredis: {{ mode: off }}\n")
    };
    for port in [stopped.port, silent.local_addr().unwrap().port()] {
        let started = Instant::now();
        let stderr = Appliance::builder().config(&config(port)).finish().expect(1).stderr;
        let waited = started.elapsed();
        assert!((Duration::from_secs(4)..Duration::from_secs(9)).contains(&waited), "{waited:?}: {stderr}");
        assert!(stderr.contains("not reachable within 4 s"), "{stderr}");
        assert!(!stderr.contains("within 0 s"), "{stderr}");
    }
}

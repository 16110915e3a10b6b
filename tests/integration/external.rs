//! External services: the reference's configuration, and servers that are late, missing or reject the appliance.

use std::time::Duration;

use serde_json::json;

use crate::support::{
    API, Appliance, Postgres, RedisServer, children_of, create, eventually, record, records, shared_postgres,
    wait_for_cache,
};

#[test]
fn the_configuration_of_the_reference_works_unchanged() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let text = format!(
        "---\npostgres:\n  database: {database}\n  host: 127.0.0.1\n  port: {}\n  user: postgres\n  password: {}\n\nredis:\n  host: 127.0.0.1\n  port: {}\n  password: {}\n",
        shared_postgres().port,
        shared_postgres().password,
        redis.port,
        redis.password
    );
    let appliance = Appliance::builder().config(&text).start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "One", "Present", "2023-08-01")).expect(200);
    assert_eq!(
        appliance.get(&format!("{API}/search?id=1")).expect(200).json(),
        record("1", "One", "Present", "2023-08-01")
    );
    assert_eq!(records(&appliance, "").len(), 1);
    let detail = appliance.get(&format!("{API}/health/detail")).expect(200).json();
    assert_eq!(
        (&detail["details"]["postgresql"]["managed"], &detail["details"]["redis"]["managed"]),
        (&json!(false), &json!(false))
    );
    let children = children_of(appliance.pid());
    assert!(children.is_empty(), "nothing is managed: {children:?}");
    assert_eq!(shared_postgres().sql(&database).value("SELECT count(*) FROM records"), "1");
}

#[test]
fn an_empty_redis_password_means_no_password() {
    let redis = RedisServer::without_password();
    let database = shared_postgres().create_database();
    let appliance = Appliance::builder().postgres(shared_postgres(), &database).config(&redis.config()).start();
    assert!(redis.config().contains("password: \"\""));
    wait_for_cache(&appliance);
}

#[test]
fn the_configuration_file_is_found_by_config_file_or_in_the_working_directory() {
    for by_variable in [true, false] {
        let database = shared_postgres().create_database();
        let builder = Appliance::builder();
        let name = if by_variable { "elsewhere.yaml" } else { "config.yaml" };
        let text = format!("{}redis: {{ mode: off }}\n", shared_postgres().config(&database));
        let path = builder.scratch().join(name);
        std::fs::write(&path, text).expect("a file can be written");
        let builder = if by_variable { builder.env("CONFIG_FILE", &path.display().to_string()) } else { builder };
        create(&builder.start(), &record("1", "n", "s", "2023-08-01")).expect(200);
        assert_eq!(shared_postgres().sql(&database).value("SELECT count(*) FROM records"), "1");
    }
}

#[test]
fn services_can_be_configured_by_environment_variables_and_urls() {
    let redis = RedisServer::start();
    let database = shared_postgres().create_database();
    let encoded: String = shared_postgres().password.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let appliance = Appliance::builder()
        .env(
            "ATTENDANCE_API__POSTGRES__URL",
            &format!("postgres://postgres:{encoded}@127.0.0.1:{}/{database}", shared_postgres().port),
        )
        .env("ATTENDANCE_API__REDIS__HOST", "127.0.0.1")
        .env("ATTENDANCE_API__REDIS__PORT", &redis.port.to_string())
        .env("ATTENDANCE_API__REDIS__PASSWORD", &redis.password)
        .start();
    wait_for_cache(&appliance);
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
}

#[test]
fn startup_waits_for_postgresql_and_logs_a_line_a_second() {
    let mut postgres = Postgres::stopped();
    let mut appliance = Appliance::builder().postgres(&postgres, "postgres").config("redis: { mode: off }\n").spawn();
    let place = format!("127.0.0.1:{}", postgres.port);
    let waiting = |appliance: &Appliance| {
        let lines = appliance
            .log()
            .into_iter()
            .filter(|line| line["level"] != "DEBUG" && line.to_string().contains(&postgres.port.to_string()));
        lines.count()
    };
    eventually("it logs repeatedly that it waits", || (waiting(&appliance) >= 3).then_some(()));
    assert!(appliance.stdout_lines().join("\n").contains(&place), "it names the server");
    assert!(appliance.logged("listening").is_empty(), "it does not serve before the schema is there");
    postgres.restart();
    appliance.wait_listening();
    create(&appliance, &record("1", "n", "s", "2023-08-01")).expect(200);
}

#[test]
fn a_postgresql_that_never_comes_up_is_an_error_that_says_what_to_do() {
    let postgres = Postgres::stopped();
    let text = format!("{}  connect_timeout: 2s\nredis: {{ mode: off }}\n", postgres.config("postgres"));
    let stderr = Appliance::builder().config(&text).finish().expect(1).stderr;
    assert!(stderr.contains("127.0.0.1") && stderr.contains(&postgres.port.to_string()), "{stderr}");
    assert!(stderr.contains("connect_timeout") || stderr.contains("postgres.host"), "what to do: {stderr}");
    assert!(!stderr.contains(&postgres.password), "{stderr}");
}

#[test]
fn a_wrong_postgresql_password_is_an_error_that_does_not_show_it() {
    let database = shared_postgres().create_database();
    let text = shared_postgres().config(&database).replace(&shared_postgres().password, "wr0ng-passw0rd");
    let finished =
        Appliance::builder().config(&format!("{text}  connect_timeout: 5s\nredis: {{ mode: off }}\n")).finish();
    let finished = finished.expect(1);
    assert!(finished.stderr.contains("password"), "{}", finished.stderr);
    assert!(finished.stderr.contains("postgres"), "which role: {}", finished.stderr);
    assert!(!finished.output().contains("wr0ng-passw0rd"), "{}", finished.output());
}

#[test]
fn a_missing_database_is_an_error_that_names_it() {
    let text = shared_postgres().config("no_such_database");
    let finished =
        Appliance::builder().config(&format!("{text}  connect_timeout: 5s\nredis: {{ mode: off }}\n")).finish();
    let stderr = finished.expect(1).stderr;
    assert!(stderr.contains("no_such_database"), "{stderr}");
}

#[test]
fn a_role_without_permission_to_change_the_schema_is_an_error_that_says_so() {
    let database = shared_postgres().create_database();
    let sql = shared_postgres().sql(&database);
    sql.run(&format!(
        "CREATE ROLE {database}_reader LOGIN PASSWORD 'reader-pw'; REVOKE CREATE ON SCHEMA public FROM PUBLIC"
    ));
    let text = shared_postgres()
        .config(&database)
        .replace("user: postgres", &format!("user: {database}_reader"))
        .replace(&shared_postgres().password, "reader-pw");
    let stderr = Appliance::builder().config(&format!("{text}redis: {{ mode: off }}\n")).finish().expect(1).stderr;
    assert!(stderr.contains("permission denied"), "{stderr}");
}

#[test]
fn the_connection_pool_is_bounded() {
    let database = shared_postgres().create_database();
    let text = format!("{}  pool_size: 3\nredis: {{ mode: off }}\n", shared_postgres().config(&database));
    let appliance = Appliance::builder().config(&text).start();
    std::thread::scope(|scope| {
        for client in 0..24 {
            let appliance = &appliance;
            scope.spawn(move || {
                for day in 1..=20 {
                    create(appliance, &record(&format!("c{client}"), "n", "s", &format!("2023-08-{day:02}")))
                        .expect(200);
                    appliance.get(&format!("{API}/search?id=c{client}")).expect(200);
                }
            });
        }
        let sql = shared_postgres().sql("postgres");
        let connections = format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}'");
        for _ in 0..20 {
            let open: u32 = sql.value(&connections).parse().expect("a number");
            // The health check may hold one connection of its own.
            assert!(open <= 4, "{open} connections with a pool of 3");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    assert_eq!(records(&appliance, "").len(), 480);
}

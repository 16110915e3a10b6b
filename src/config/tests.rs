//! Tests of loading as a whole: the order of the layers, every kind of problem, the file of the Python service.

use std::path::{Path, PathBuf};

use std::time::Duration;

use super::config::TABLE;
use super::kind::Kind;
use super::settings::Settings;
use super::*;

/// A configuration file for one test, removed at the end.
struct TestFile(PathBuf);

impl TestFile {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let dir =
            nix::unistd::mkdtemp(&std::env::temp_dir().join("config-test-XXXXXX")).expect("a temporary directory");
        let path = dir.join("config.yaml");
        std::fs::write(&path, text).expect("the file is written");
        Self(path)
    }
}

impl Drop for TestFile {
    fn drop(&mut self) {
        if let Some(dir) = self.0.parent() {
            std::fs::remove_dir_all(dir).ok();
        }
    }
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
    Environment { variables, default_files: Vec::new(), is_root: true }
}

fn flags(config: Option<&Path>) -> Flags {
    Flags { config: config.map(Path::to_owned), ..Flags::default() }
}

fn from_text(text: &str) -> Result<Loaded, Error> {
    let file = TestFile::new(text);
    load(&flags(Some(&file.0)), &environment(&[]))
}

fn from_variables(variables: &[(&str, &str)]) -> Result<Loaded, Error> {
    load(&Flags::default(), &environment(variables))
}

/// The problems of a file, without the path in front.
fn problems(text: &str) -> Vec<String> {
    let file = TestFile::new(text);
    let errors = load(&flags(Some(&file.0)), &environment(&[])).expect_err("the file is wrong");
    let path = file.0.display().to_string();
    errors.lines().map(|line| line.replace(&path, "FILE")).collect()
}

fn problem(text: &str) -> String {
    let lines = problems(text);
    assert_eq!(lines.len(), 1, "{lines:#?}");
    lines.into_iter().next().unwrap_or_default()
}

fn wrong(errors: Result<Loaded, Error>) -> String {
    errors.expect_err("it is wrong").to_string()
}

#[test]
fn the_defaults_are_valid_and_every_key_is_declared_once() {
    let mut settings = Settings::new(&TABLE);
    layers::apply_defaults(&mut settings);
    assert!(settings.problems.is_empty(), "{:?}", settings.problems);
    let mut paths: Vec<_> = TABLE.keys().map(|key| key.path).collect();
    let count = paths.len();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), count);
    assert!(TABLE.keys().all(|key| key.section().is_none_or(|section| TABLE.is_section(section))));
}

/// Bounds and words are declared beside the text that explains them; here they are compared.
#[test]
fn the_documentation_of_a_key_states_which_values_are_valid() {
    let millis = |value: u64| units::show_duration(Duration::from_millis(value));
    for key in TABLE.keys() {
        let expected = match key.kind {
            Kind::Integer(min, max) => vec![format!("{min} to {max}")],
            Kind::Duration(min, max) => vec![format!("{} to {}", millis(min), millis(max))],
            Kind::Size(min, max) => vec![format!("{} to {}", units::show_size(min), units::show_size(max))],
            Kind::Port => vec!["1 to 65535".to_owned()],
            Kind::Enum(words) => words.iter().map(|&word| word.to_owned()).collect(),
            Kind::Boolean => vec!["true".to_owned(), "false".to_owned()],
            Kind::TimeOfDay => vec!["00:00 to 23:59".to_owned()],
            Kind::AbsolutePath => vec!["absolute path".to_owned()],
            Kind::Text
            | Kind::Path
            | Kind::Address
            | Kind::BasePath
            | Kind::Networks
            | Kind::Origins
            | Kind::Weekdays
            | Kind::TimeZone
            | Kind::Statuses
            | Kind::Day
            | Kind::PostgresUrl
            | Kind::RedisUrl => Vec::new(),
        };
        let text = key.documentation;
        assert!(text.lines().all(|line| line.starts_with(' ')) && text.ends_with('\n'), "{}", key.path);
        assert!(expected.iter().all(|part| text.contains(part.as_str())), "{}: {expected:?}\n{text}", key.path);
    }
}

#[test]
fn the_values_of_reloadable_keys_are_taken_over_and_no_others() {
    let mut config = from_variables(&[]).unwrap().config;
    let changed =
        from_text("server: { max_body: 2MiB, drain_timeout: 1s }\nlog: { level: debug, format: json }\n").unwrap();
    config.take_reloadable(&changed.config);
    assert_eq!((config.server.max_body, config.server.drain_timeout), (2 << 20, Duration::from_secs(10)));
    assert_eq!((config.log.level, config.log.format), (tracing::Level::DEBUG, LogFormat::Auto));
    let changes = from_variables(&[]).unwrap().changes(&changed);
    assert_eq!(changes.reloadable, ["server.max_body", "log.level"]);
    assert_eq!(changes.need_restart, ["server.drain_timeout", "log.format"]);
}

#[test]
fn without_any_configuration_both_services_are_managed() {
    let config = from_variables(&[]).unwrap().config;
    assert!(matches!(config.postgres.service, PostgresService::Managed(ManagedPostgresConfig { bin_dir: None, .. })));
    assert!(matches!(
        config.redis.service,
        RedisService::Managed(ManagedRedisConfig { program: None, max_memory: None })
    ));
    assert_eq!(config.server.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(config.postgres.request_timeout, Duration::from_millis(1900));
    assert_eq!(config.redis.ttl, Duration::from_secs(20));
    assert_eq!(config.data_dir, Path::new("/var/lib/attendance-api"));
}

#[test]
fn the_file_of_the_python_service_works_unchanged() {
    let text = "postgres:\n  database: attendance_db\n  host: 10.0.0.3\n  port: 5432\n  user: postgres\n  \
                password: password\n\nredis:\n  host: 10.0.0.4\n  port: 6379\n  password: \"\"\n";
    let loaded = from_text(text).unwrap();
    assert!(loaded.show().contains("  sslmode: prefer  # from default\n"));
    assert!(loaded.show().contains("  mode: external  # from default\n"));
    let config = loaded.config;
    let PostgresService::External(postgres) = config.postgres.service else { panic!("managed") };
    assert_eq!((postgres.host.as_str(), postgres.port, postgres.user.as_str()), ("10.0.0.3", 5432, "postgres"));
    assert_eq!((postgres.password.expose(), postgres.database.as_str()), ("password", "attendance_db"));
    let RedisService::External(redis) = config.redis.service else { panic!("managed") };
    assert_eq!((redis.host.as_str(), redis.port, redis.password), ("10.0.0.4", 6379, None));
}

#[test]
fn quoted_ports_numeric_passwords_and_urls_are_accepted() {
    let text = "postgres: {url: 'postgres://app@db:6432/att?sslmode=disable', password: 12345}\n\
                redis: {host: cache, port: '6380', password: \"0123\"}\n";
    let config = from_text(text).unwrap().config;
    let PostgresService::External(postgres) = config.postgres.service else { panic!("managed") };
    assert_eq!((postgres.user.as_str(), postgres.password.expose(), postgres.port), ("app", "12345", 6432));
    assert_eq!((postgres.database.as_str(), postgres.sslmode), ("att", SslMode::Disable));
    let RedisService::External(redis) = config.redis.service else { panic!("managed") };
    assert_eq!((redis.port, redis.password), (6380, Some(Secret::new("0123"))));
}

#[test]
fn a_flag_overrides_a_variable_the_file_and_the_default_in_this_order() {
    let file = TestFile::new("log: {level: warn, access: errors}\nserver: {listen: 127.0.0.1:1, max_body: 2MiB}\n");
    let mut flags = flags(Some(&file.0));
    flags.listen = Some("127.0.0.1:3".to_owned());
    flags.set = vec!["server.listen=127.0.0.1:4".to_owned(), "log.level=trace".to_owned()];
    let around =
        environment(&[("ATTENDANCE_API__SERVER__LISTEN", "127.0.0.1:2"), ("ATTENDANCE_API__SERVER__MAX_BODY", "3MiB")]);
    let loaded = load(&flags, &around).unwrap();
    assert_eq!(loaded.config.server.listen.port(), 3);
    assert_eq!(loaded.config.server.max_body, 3 << 20);
    assert_eq!(loaded.config.log.level, tracing::Level::TRACE);
    assert_eq!(loaded.config.log.access, LoggedRequests::Errors);
    let shown = loaded.show();
    assert!(shown.contains("listen: 127.0.0.1:3  # from flag --listen"), "{shown}");
    assert!(shown.contains("max_body: 3MiB  # from environment variable ATTENDANCE_API__SERVER__MAX_BODY"), "{shown}");
    assert!(shown.contains(&format!("access: errors  # from {}:1:28", file.0.display())), "{shown}");
    assert!(shown.contains("max_head: 16KiB  # from default"), "{shown}");
    assert!(yaml::parse(&shown).is_ok());
}

#[test]
fn only_the_first_file_is_read() {
    let (named, other) = (TestFile::new("log: {level: warn}"), TestFile::new("log: {level: error}"));
    let mut around = environment(&[]);
    around.default_files = vec!["/nonexistent/config.yaml".into(), other.0.clone()];
    let level = |flags: &Flags, around: &Environment| load(flags, around).unwrap().config.log.level;
    assert_eq!(level(&Flags::default(), &around), tracing::Level::ERROR);
    around.variables.push(("CONFIG_FILE".into(), named.0.clone().into()));
    assert_eq!(level(&Flags::default(), &around), tracing::Level::WARN);
    assert_eq!(level(&flags(Some(&other.0)), &around), tracing::Level::ERROR);
}

#[test]
fn a_named_file_must_exist_and_be_a_text_file_of_limited_size() {
    let missing = wrong(load(&flags(Some(Path::new("/nonexistent.yaml"))), &environment(&[])));
    assert!(missing.contains("/nonexistent.yaml named by --config does not exist"), "{missing}");
    let missing = wrong(from_variables(&[("CONFIG_FILE", "/nonexistent.yaml")]));
    assert!(missing.contains("named by CONFIG_FILE"), "{missing}");
    let directory = wrong(load(&flags(Some(Path::new("/"))), &environment(&[])));
    assert!(directory.contains("not a regular file"), "{directory}");
    let large = TestFile::new(vec![b'#'; (1 << 20) + 1]);
    assert!(wrong(load(&flags(Some(&large.0)), &environment(&[]))).contains("larger than 1048576 bytes"));
    let binary = TestFile::new(b"log: \xff");
    assert!(wrong(load(&flags(Some(&binary.0)), &environment(&[]))).contains("not UTF-8 text from byte 5"));
}

#[test]
fn the_data_directory_is_the_first_that_is_configured_or_a_default() {
    let dir = |variables: &[(&str, &str)], is_root| {
        let around = Environment { is_root, ..environment(variables) };
        load(&Flags::default(), &around).map(|loaded| loaded.config.data_dir)
    };
    let state = ("STATE_DIRECTORY", "/var/lib/a:/var/lib/b");
    assert_eq!(dir(&[state, ("ATTENDANCE_API__DATA_DIR", "/d")], true).unwrap(), Path::new("/d"));
    assert_eq!(dir(&[state], true).unwrap(), Path::new("/var/lib/a"));
    let home = ("HOME", "/home/u");
    assert_eq!(dir(&[home, ("XDG_DATA_HOME", "/x")], false).unwrap(), Path::new("/x/attendance-api"));
    assert_eq!(dir(&[home], false).unwrap(), Path::new("/home/u/.local/share/attendance-api"));
    assert!(dir(&[("ATTENDANCE_API__DATA_DIR", "rel")], true).unwrap().is_absolute());
    assert!(dir(&[], false).unwrap_err().to_string().contains("no data directory"));
}

#[test]
fn all_problems_are_reported_at_once_with_their_positions() {
    let lines = problems("server:\n  listne: x\n  max_body: lots\npostgres:\n  port: 05432\nlogg: 1\n");
    assert_eq!(
        lines,
        [
            "FILE:2:3: unknown key server.listne; did you mean server.listen? Otherwise remove it",
            "FILE:3:13: server.max_body is \"lots\", expected a size from 1KiB to 1GiB, like 64KiB, 1MiB, 10MB or a number of bytes",
            "FILE:5:9: postgres.port is \"05432\", expected a port number from 1 to 65535; with a leading zero some YAML readers read it as octal; write 5432",
            "FILE:6:1: unknown key logg; remove it (`attendance-api config template` lists every key)",
            "FILE:5:9: postgres.port is given without postgres.host or postgres.url; name the server, or remove the key and the appliance runs its own PostgreSQL",
        ]
    );
}

#[test]
fn a_mutilated_file_never_panics_and_each_problem_is_one_line() {
    let original = template::render("");
    let marks = b"\n :#-[]{}\"'*&!|>%@\t09ay\0";
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..2000 {
        let mut bytes = original.clone().into_bytes();
        for _ in 0..=random(8) {
            let at = random(bytes.len());
            bytes[at] = marks[random(marks.len())];
        }
        bytes.truncate(1 + random(bytes.len()));
        let mut settings = Settings::new(&TABLE);
        layers::apply_document(&mut settings, &String::from_utf8_lossy(&bytes), &|_| origin::Origin::Default);
        let error = Error::from(settings.problems);
        assert!(error.lines().all(|line| !line.contains('\n')));
    }
}

#[test]
fn the_number_of_listed_problems_is_limited() {
    let text: String = (0..100_000).map(|n| format!("k{n}: 1\n")).collect();
    let lines = problems(&text);
    assert_eq!(lines.len(), 51);
    assert_eq!(lines[50], "and 99950 more problems");
    assert_eq!(problems("\"a\\nb\": 1\n").len(), 1);
}

#[test]
fn a_list_or_mapping_in_the_wrong_position_is_a_problem() {
    assert!(problem("- a\n").contains("the file is a list, expected a section"));
    assert!(problem("server: 8080\n").contains("FILE:1:9: server is a value, expected a section"));
    assert!(problem("server: {listen: [::]:8080}\n").starts_with("FILE:1:"));
    assert!(problem("server:\n  listen: [a, b]\n").contains("server.listen is a list, expected an IP address"));
    assert!(problem("log: {level: {a: b}}\n").contains("log.level is a mapping, expected one of error"));
    assert!(problem("a: *b\n").starts_with("FILE:1:4: aliases and merge keys are not supported"));
    assert!(problem("a: \"b\n").starts_with("FILE:2:1: not valid YAML"));
    assert!(problem("log: {level: info}\nlog: {}\n").contains("FILE:2:1: the key log is given a second time"));
}

#[test]
fn a_list_is_written_as_a_list_or_with_commas() {
    let proxies = |text: &str| from_text(text).unwrap().config.server.trusted_proxies.len();
    assert_eq!(proxies("server: {trusted_proxies: [10.0.0.0/8, '::1']}\n"), 2);
    assert_eq!(proxies("server:\n  trusted_proxies:\n    - 10.0.0.0/8\n    - \"fd00::/8\"\n    - 192.168.0.1\n"), 3);
    assert_eq!(proxies("server: {trusted_proxies: '10.0.0.0/8, ::1'}\n"), 2);
    assert_eq!(proxies("server: {trusted_proxies: 10.0.0.1}\n"), 1);
    assert_eq!(proxies("server: {trusted_proxies: []}\n"), 0);
    let variable = from_variables(&[("ATTENDANCE_API__SERVER__TRUSTED_PROXIES", "10.0.0.0/8,::1")]).unwrap();
    assert_eq!(variable.config.server.trusted_proxies.len(), 2);
    assert!(
        variable.show().contains("  trusted_proxies: \"10.0.0.0/8,::1\"  # from environment"),
        "{}",
        variable.show()
    );
    let wrong = problem("server: {trusted_proxies: [10.0.0.0/8, proxy]}\n");
    assert!(
        wrong.starts_with("FILE:1:27: server.trusted_proxies is \"10.0.0.0/8, proxy\", expected networks"),
        "{wrong}"
    );
    assert!(wrong.ends_with("; \"proxy\" is neither an address nor a network"), "{wrong}");
    let nested = problem("server: {trusted_proxies: [10.0.0.0/8, [a]]}\n");
    assert!(nested.starts_with("FILE:1:40: server.trusted_proxies contains a list, expected networks"), "{nested}");
    assert!(problem("server: {trusted_proxies: {a: b}}\n").contains("server.trusted_proxies is a mapping"));
}

#[test]
fn a_section_may_be_within_another_one() {
    let loaded = from_text(
        "server: { cors: { origins: [http://ui:3000, HTTPS://UI:443], credentials: true }, max_body: 2MiB }\n",
    );
    let server = loaded.unwrap().config.server;
    assert_eq!((server.cors.origins.len(), server.cors.credentials, server.max_body), (2, true, 2 << 20));
    assert_eq!(server.cors.find(b"https://ui"), server.cors.origins.last());
    let variable = from_variables(&[("ATTENDANCE_API__SERVER__CORS__ORIGINS", "http://ui")]).unwrap();
    let shown = variable.show();
    assert!(shown.contains("\n  cors:\n    origins: http://ui  # from environment"), "{shown}");
    assert!(shown.contains("\n    credentials: false  # from default\n"), "{shown}");
    assert!(template().contains("\n  cors:\n") && template().contains("\n    #credentials: false\n"));
    assert!(problem("server: { cors: true }\n").contains("server.cors is a value, expected a section"));
    assert!(problem("server: { cors: { origin: http://ui } }\n").contains("did you mean server.cors.origins?"));
    assert!(problem("server: { cors: { origins: [http://ui/] } }\n").contains("\"http://ui/\" is not an origin"));
    assert!(problem("server: { cors: { origins: [http://ui], credentials: yes } }\n").ends_with("; write true"));
}

#[test]
fn a_base_path_is_checked() {
    let wrong = problem("server: { base_path: attendance/ }\n");
    assert!(
        wrong
            .ends_with("server.base_path is \"attendance/\", expected a path like /attendance; it begins with a slash"),
        "{wrong}"
    );
    let config = from_text("server: { base_path: /attendance }\n").unwrap().config;
    assert_eq!(config.server.base_path.map(|base| base.path().to_string()).as_deref(), Some("/attendance"));
}

#[test]
fn credentials_need_listed_origins() {
    let any = problem("server: { cors: { origins: [http://ui, '*'], credentials: true } }\n");
    assert!(
        any.contains("server.cors.origins: * (FILE:1:28) and server.cors.credentials (FILE:1:59) contradict"),
        "{any}"
    );
    let none = problem("server: { cors: { credentials: true } }\n");
    assert!(none.contains("server.cors.credentials: true is given without server.cors.origins"), "{none}");
    assert!(from_text("server: { cors: { origins: '*', credentials: false } }\n").is_ok());
}

#[test]
fn unquoted_booleans_and_ambiguous_numbers_are_problems() {
    assert!(
        problem("redis: {mode: no}\n")
            .contains("redis.mode is \"no\", expected one of managed, external, off; write off")
    );
    assert!(problem("log: {level: yes}\n").contains("this key is not a boolean"));
    assert!(problem("log: {level: INFO}\n").contains("write info"));
    let octal = problem("postgres: {host: db, password: 0123}\n");
    assert!(octal.contains("postgres.password is ***, which YAML reads as a number or a boolean"), "{octal}");
    assert!(from_text("redis: {mode: off}\n").is_ok());
}

#[test]
fn a_contradiction_names_both_keys() {
    let mode = problem("redis:\n  mode: managed\n  host: cache\n");
    assert!(mode.contains("redis.mode: managed (FILE:2:9) and redis.host (FILE:3:9) contradict each other"), "{mode}");
    assert!(
        problem("redis: {mode: external}\n").contains("redis.mode: external is given without redis.host or redis.url")
    );
    assert!(problem("redis: {host: c, program: /r}\n").contains("redis.host (FILE:1:15) and redis.program"));
    assert!(problem("postgres: {host: d, bin_dir: /b}\n").contains("postgres.host (FILE:1:18) and postgres.bin_dir"));
    let twice = problem("postgres: {url: 'postgres://u:p@h/d', password: x}\n");
    assert!(twice.contains("postgres.url (FILE:1:17) and postgres.password (FILE:1:49)"), "{twice}");
}

#[test]
fn an_empty_value_of_a_higher_layer_unsets_a_key() {
    let file = TestFile::new("postgres: {host: db}\nredis: {host: cache}\n");
    let mut flags = flags(Some(&file.0));
    flags.set = vec!["redis.mode=off".to_owned(), "redis.host=".to_owned()];
    let loaded = load(&flags, &environment(&[("ATTENDANCE_API__POSTGRES__HOST", "")])).unwrap();
    assert!(matches!(loaded.config.postgres.service, PostgresService::Managed { .. }));
    assert!(matches!(loaded.config.redis.service, RedisService::Off));
    assert!(loaded.show().contains("host: null  # unset by environment variable ATTENDANCE_API__POSTGRES__HOST"));
}

#[test]
fn unknown_variables_and_malformed_sets_are_problems() {
    let text = wrong(from_variables(&[("ATTENDANCE_API__SERVER__LISTENS", "x"), ("ATTENDANCE_API_PORT", "tcp://x")]));
    assert_eq!(
        text,
        "environment variable ATTENDANCE_API__SERVER__LISTENS: sets no known key; \
         did you mean ATTENDANCE_API__SERVER__LISTEN? Otherwise remove it"
    );
    let set = ["postgres.password=geheim", "log.level", "log.lvel=info", "redis.password:geheim"];
    let flags = Flags { set: set.map(str::to_owned).into(), ..Flags::default() };
    let text = wrong(load(&flags, &environment(&[])));
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.contains("use the environment variable ATTENDANCE_API__POSTGRES__PASSWORD"), "{text}");
    assert!(!text.contains("geheim"), "{text}");
}

#[test]
fn secrets_are_never_shown() {
    let text = "postgres: {url: 'postgres://u:geheim@h/d'}\nredis: {host: c, password: geheim}\n";
    let file = TestFile::new(text);
    let loaded = load(&flags(Some(&file.0)), &environment(&[])).unwrap();
    for output in [loaded.show(), format!("{:?}", loaded.config)] {
        assert!(output.contains("***") && !output.contains("geheim"), "{output}");
    }
    assert_eq!(loaded.warnings().len(), 1, "{:?}", loaded.warnings());
    let broken =
        problems("postgres: {url: 'postgres://u:geheim@@h/d'}\nredis: {host: c, password: \"geh\\u0001eim\"}\n");
    assert!(broken.len() == 2 && broken.iter().all(|line| line.contains("***") && !line.contains("geh")), "{broken:?}");
}

#[test]
fn the_template_changes_nothing_and_each_key_in_it_can_be_uncommented() {
    assert!(from_text(&template()).is_ok());
    let set = |line: &str| line.contains(':') && !line.trim_start().starts_with('#') && !line.ends_with(':');
    assert!(!template().lines().any(set));
    assert!(template().contains("\n  #max_body: 1MiB\n") && template().contains("\n#data_dir:\n"));
    assert!(from_text(&template::render("")).is_ok(), "every key is valid with its default");
    let edited = template().replace("  #level: info", "  level: debug");
    assert_eq!(from_text(&edited).unwrap().config.log.level, tracing::Level::DEBUG);
}

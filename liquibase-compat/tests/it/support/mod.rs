//! The shared server, databases on it, and commands and queries on them.

mod server;

use std::sync::atomic::{AtomicUsize, Ordering};

use liquibase_compat::{Changelog, EmbeddedSource, Error, Lock, LockOptions, Options, Report};
use tokio_postgres::{Client, NoTls};

pub(crate) use server::pg_dump;

/// The path under which the appliance embeds its changelog.
pub(crate) const RECORDS: &str = "migration/db.changelog-master.xml";

/// A database of its own on the shared server.
pub(crate) struct Database {
    pub(crate) name: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin = connect("postgres").await;
        // From template0: template1 cannot be copied while another test is connected to it.
        admin.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0")).await.unwrap();
        Self { name }
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Client {
        connect(&self.name).await
    }

    /// Runs SQL on a connection of its own.
    pub(crate) async fn run(&self, sql: &str) {
        self.connect().await.batch_execute(sql).await.unwrap();
    }

    /// The rows of a query, each with its columns joined by `|`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let client = self.connect().await;
        let wrapped = format!(
            "SELECT concat_ws('|', VARIADIC ARRAY(SELECT COALESCE(value, '-') FROM json_each_text(to_json(q)))) FROM ({sql}) q"
        );
        client.query(&wrapped, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    /// Updates it, under the lock.
    pub(crate) async fn update(&self, changelog: &Changelog) -> Result<Report, Error> {
        self.update_with(changelog, &Options::default()).await
    }

    pub(crate) async fn update_with(&self, changelog: &Changelog, options: &Options) -> Result<Report, Error> {
        let mut client = self.connect().await;
        let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
        let done = liquibase_compat::update(&mut lock, changelog, options).await;
        lock.release().await?;
        done
    }

    /// Rolls back the newest changesets, under the lock.
    pub(crate) async fn rollback(&self, changelog: &Changelog, count: usize) -> Result<Report, Error> {
        self.rollback_with(changelog, &Options::default(), count).await
    }

    pub(crate) async fn rollback_with(
        &self,
        changelog: &Changelog,
        options: &Options,
        count: usize,
    ) -> Result<Report, Error> {
        let mut client = self.connect().await;
        let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
        let done = liquibase_compat::rollback_count(&mut lock, changelog, options, count).await;
        lock.release().await?;
        done
    }

    pub(crate) async fn rollback_to_tag(
        &self,
        changelog: &Changelog,
        options: &Options,
        tag: &str,
    ) -> Result<Report, Error> {
        let mut client = self.connect().await;
        let mut lock = Lock::acquire(&mut client, &LockOptions::default()).await?;
        let done = liquibase_compat::rollback_to_tag(&mut lock, changelog, options, tag).await;
        lock.release().await?;
        done
    }
}

async fn connect(database: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    let (socket, port) = server::address();
    config.host_path(socket).port(port).user("postgres").dbname(database);
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// The changelog the appliance embeds.
pub(crate) fn records() -> Changelog {
    let master = include_str!("../../../../migrations/liquibase/db.changelog-master.xml");
    let included = include_str!("../../../../migrations/liquibase/db.changelog-records.xml");
    load(&[(RECORDS, master), ("migration/db.changelog-records.xml", included)], RECORDS)
}

/// A changelog of a few files.
pub(crate) fn load(files: &[(&str, &str)], root: &str) -> Changelog {
    Changelog::load(&EmbeddedSource::of_texts(files), root, &Options::default()).unwrap()
}

/// A changelog `log.xml` of these changesets.
pub(crate) fn log(changesets: &str) -> Changelog {
    load(&[("log.xml", &format!("<databaseChangeLog>{changesets}</databaseChangeLog>"))], "log.xml")
}

//! The attendance appliance.
//!
//! Dispatch of the hidden subcommands, until the command line is there.

mod config;
mod managed;

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let verb = args.first().and_then(|arg| arg.to_str()).unwrap_or_default();
    let result: Result<(), Box<dyn std::error::Error>> = match verb {
        "supervised-child" => {
            let parent = args[2].to_str().and_then(|pid| pid.parse().ok()).unwrap_or_default();
            let signal = args[4].to_string_lossy().into_owned();
            Err(managed::shim::run_supervised_child(parent, &signal, &args[6..]).into())
        }
        "mini-redis-child" => managed::mini_redis::run_mini_redis().map_err(Into::into),
        #[cfg(feature = "download")]
        "pg-embed-child" => {
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Into::into).and_then(|runtime| {
                runtime.block_on(managed::pg_embed::run_pg_embed_child(&args[1..])).map_err(Into::into)
            })
        }
        "trial" => trial(&args[1..]),
        _ => Ok(()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the last word of a failed process")]
            {
                eprintln!("attendance-api: {error}");
            }
            ExitCode::FAILURE
        }
    }
}

struct Print;

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Print {
    #[expect(clippy::print_stdout, reason = "a trial by hand")]
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        struct V(String);
        impl tracing::field::Visit for V {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0 = format!("{value:?}");
            }
        }
        let m = event.metadata();
        if !m.target().starts_with("attendance") && m.target() != "postgres" && m.target() != "redis" {
            return;
        }
        let mut v = V(String::new());
        event.record(&mut v);
        println!("{} {} {}", m.level(), m.target(), v.0);
    }
}

#[expect(clippy::print_stdout, reason = "a trial by hand")]
fn trial(args: &[OsString]) -> Result<(), Box<dyn std::error::Error>> {
    use std::time::{Duration, Instant};
    let data_dir = std::path::PathBuf::from(&args[0]);
    let env_path = |name| std::env::var_os(name).map(std::path::PathBuf::from);
    let user = managed::privileges::drop_to_unprivileged(&data_dir)?;
    println!("user {user:?}");
    let _lock = managed::lock::DataDirLock::acquire(&data_dir)?;
    use tracing_subscriber::layer::SubscriberExt;
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Print));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let begun = Instant::now();
        let redis = managed::redis::ManagedRedis::start(managed::redis::RedisOptions {
            data_dir: data_dir.clone(),
            program: env_path("REDIS_PROGRAM"),
            max_memory: 64 << 20,
        })
        .await?;
        println!("redis {} after {:?}", redis.endpoint(), begun.elapsed());
        let postgres = managed::postgres::ManagedPostgres::start(managed::postgres::PostgresOptions {
            data_dir: data_dir.clone(),
            bin_dir: env_path("BIN_DIR"),
            database: "attendance_db".into(),
            max_connections: 20,
            init_timeout: Duration::from_secs(60),
            start_timeout: Duration::from_secs(60),
            stop_timeout: Duration::from_secs(10),
        })
        .await?;
        println!("postgres {:?} {} after {:?}", postgres.endpoint(), postgres.choice(), begun.elapsed());
        tokio::signal::ctrl_c().await?;
        println!("{:?}\n{:?}", postgres.status().borrow(), redis.status().borrow());
        let begun = Instant::now();
        postgres.stop().await;
        redis.stop().await;
        println!("stopped after {:?}", begun.elapsed());
        Ok(())
    })
}

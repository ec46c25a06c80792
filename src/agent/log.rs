//! Where log lines go: standard error, as text or JSON, or where a service manager wants them. It decides nothing of what is
//! logged.

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, Layered, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry, reload};

use super::config::Level;

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Sets the level once the configuration is known; lines before that are written at `info`.
pub struct Log(reload::Handle<LevelFilter, registry::Registry>);

impl Log {
    /// Starts logging. A second call in one process changes nothing.
    pub fn start(format: LogFormat) -> Log {
        Self::with(writer(format))
    }

    /// Starts logging into `place`, which knows the time of each line itself.
    pub fn start_into(place: impl for<'line> MakeWriter<'line> + Send + Sync + 'static) -> Log {
        let lines = fmt::layer().with_writer(place).with_ansi(false);
        Self::with(lines.without_time().with_level(false).with_target(false).boxed())
    }

    fn with(lines: Lines) -> Log {
        let (level, handle) = reload::Layer::new(LevelFilter::INFO);
        // An error means that a subscriber is there already, which then gets the lines.
        let _ = registry().with(level).with(lines).try_init();
        Log(handle)
    }

    /// Sets the level.
    pub fn set_level(&self, level: Level) {
        let filter = match level {
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        };
        // An error means that the subscriber is gone, and its lines with it.
        let _ = self.0.reload(filter);
    }
}

type Lines = Box<dyn Layer<Layered<reload::Layer<LevelFilter, registry::Registry>, registry::Registry>> + Send + Sync>;

fn writer(format: LogFormat) -> Lines {
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    }
}

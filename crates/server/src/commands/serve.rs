//! `grantry serve`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use grantry_api::App;
use grantry_core::meter::Unmetered;
use grantry_core::{Clock as _, Meter, Secret};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use url::Url;

use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::control::ControlSocket;
use crate::data_dir::{DataDir, write_private};
use crate::failure::{Exit, Failure};
use crate::front::Front;
use crate::house::{self, House};
use crate::listen::{self, Doors};
use crate::master_key::OnNew;
use crate::metrics::Metrics;
use crate::tls::Tls;
use crate::{harden, out, telemetry};

/// What shells say of a command that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Run the server.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    config: config::Flags,
}

/// Serves until SIGTERM or SIGINT.
pub async fn run(args: Args) -> Result<(), Failure> {
    let config = Config::load(&args.config)?;
    let traces = match &config.spans {
        Some(spans) => Some(telemetry::collect(spans, house::extra_ca(&config)?)?),
        None => None,
    };
    let (spans, exporter) = traces.unzip();
    telemetry::start("info", spans)?;
    harden::this_process()?;
    let stop = asked_to_stop()?;
    let directory = DataDir::open(&config.data_dir)?;
    let tcp = listen::tcp(config.listen).await?;
    let server = Server::open(&config, directory, tcp).await?;
    server.greet().await?;
    let flusher = exporter.map(|exporter| exporter.start(server.house.engine.instance()));
    let served = server.run(stop).await;
    if let Some(flusher) = flusher {
        flusher.flush().await;
    }
    served
}

/// A server that is ready to serve.
pub struct Server {
    house: House,
    tcp: TcpListener,
    control: ControlSocket,
    metrics: Option<(Arc<Metrics>, TcpListener)>,
    address: SocketAddr,
    url: Url,
    front: Front,
    tls: Option<Tls>,
    hangup: Signal,
}

impl Server {
    /// Opens the data of `config` in `directory` behind `tcp`.
    pub async fn open(
        config: &Config,
        directory: DataDir,
        tcp: TcpListener,
    ) -> Result<Self, Failure> {
        // Before all that may take long: a reload meanwhile must not end the process.
        let hangup = watch(SignalKind::hangup())?;
        let address = tcp.local_addr();
        let address = address.map_err(|error| Failure::new(Exit::Address, error))?;
        let url = config.public_url(address)?;
        let tls = config.tls.as_ref().map(Tls::load).transpose()?;
        let metrics = match config.metrics_listen {
            None => None,
            Some(address) => Some((Arc::new(Metrics::new()?), listen::tcp(address).await?)),
        };
        let meter: Arc<dyn Meter> = match &metrics {
            None => Arc::new(Unmetered),
            Some((metrics, _)) => Arc::clone(metrics) as _,
        };
        let house = house::open(config, directory, url.clone(), OnNew::Make, meter).await?;
        let socket = house.directory.control_socket();
        let control = ControlSocket::open(&socket).map_err(|error| {
            Failure::new(
                Exit::Store,
                format!(
                    "cannot open the control socket {}: {error}",
                    socket.display()
                ),
            )
        })?;
        Ok(Self {
            house,
            tcp,
            control,
            metrics,
            address,
            url,
            front: config.front.clone(),
            tls,
            hangup,
        })
    }

    /// The house behind the doors.
    pub const fn house(&self) -> &House {
        &self.house
    }

    /// The public URL.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Hands out the first key of new data, and says where the server is.
    async fn greet(&self) -> Result<(), Failure> {
        let key = self.house.engine.first_server_key().await;
        let key = key.map_err(|error| {
            Failure::new(Exit::Store, format!("cannot make the first key: {error}"))
        })?;
        if let Some(key) = key {
            self.hand_out(&key)?;
        }
        tracing::info!(
            address = %self.address,
            url = %self.url,
            data = %self.house.directory.path().display(),
            "listening"
        );
        Ok(())
    }

    /// Shows `key` to the person at the terminal, or writes it where only the owner reads.
    fn hand_out(&self, key: &Secret) -> Result<(), Failure> {
        if out::is_terminal() {
            out::line(&format!(
                "First server key, shown only now (it may do everything):\n\n  {}\n\n  export GRANTRY_URL={} GRANTRY_KEY={}\n",
                out::bold(key.expose()),
                self.url.as_str().trim_end_matches('/'),
                key.expose()
            ));
            return Ok(());
        }
        let file = self.house.directory.first_key();
        write_private(&file, &format!("{}\n", key.expose())).map_err(|error| {
            Failure::new(
                Exit::Store,
                format!("cannot write {}: {error}", file.display()),
            )
        })?;
        tracing::info!(file = %file.display(), "wrote the first server key");
        Ok(())
    }

    /// Serves until `stop` completes, then finishes what has begun (for `limits.stop_time_max` at most).
    pub async fn run(self, stop: impl Future<Output = ()>) -> Result<(), Failure> {
        let engine = self.house.engine;
        let limits = &engine.settings().limits;
        let stop_delay = limits.stop_delay;
        let stop_time = limits.stop_time_max;
        let started = engine.start().await;
        started.map_err(|error| Failure::new(Exit::Store, format!("cannot start: {error}")))?;
        if let Some((metrics, listener)) = self.metrics {
            // Ends with the process, so that the stop can be watched too.
            tokio::spawn(metrics.serve(listener, Arc::clone(&engine)));
        }
        let app = |local| App {
            engine: engine.clone(),
            local,
        };
        let watched = self.tls.clone();
        let hangup = self.hangup;
        let doors = Doors {
            tcp: self.tcp,
            public: grantry_api::router(app(false)),
            control: self.control,
            local: grantry_api::router(app(true)),
            tls: self.tls,
            front: self.front,
            limits: limits.clone(),
        };
        let (ordered, stopping) = tokio::sync::oneshot::channel();
        let stop = async {
            stop.await;
            tracing::info!("stopping");
            // The receiver waits below; were it gone, there would be nobody to tell.
            let _nobody_waits = ordered.send(());
            engine.announce_stop();
            if !stop_delay.is_zero() {
                SystemClock.sleep(stop_delay).await;
            }
            engine.dismiss_listeners();
        };
        let (for_requests, for_the_rest) = shares(stop_time, stop_delay);
        let late = async {
            // Fails only where serving ended without an order, and then nobody waits here.
            let _ordered = stopping.await;
            SystemClock.sleep(for_requests).await;
        };
        let watched = async {
            if let Some(tls) = watched {
                tls.watch(&SystemClock, hangup).await;
            } else {
                // SIGHUP means "read the certificate again"; without one it means nothing, and ends nobody.
                let mut hangup = hangup;
                while hangup.recv().await.is_some() {}
            }
            std::future::pending::<()>().await;
        };
        let answered = tokio::select! {
            () = watched => true,
            () = doors.serve(stop) => true,
            () = late => false,
        };
        // One client that does not take in its answer must not cost what everybody's reads counted up to.
        tokio::select! {
            () = engine.drain() => if answered {
                tracing::info!("stopped");
            } else {
                tracing::warn!("stopped with requests unfinished after {} s", for_requests.as_secs());
            },
            () = SystemClock.sleep(for_the_rest) => {
                tracing::warn!("stopped with work unfinished after {} s", stop_time.as_secs());
            }
        }
        Ok(())
    }
}

/// Of the time for a stop: what requests have of it, `delay` included, and what is left for what they leave
/// behind (flights, counted reads), a tenth.
fn shares(stop_time: Duration, delay: Duration) -> (Duration, Duration) {
    let rest = stop_time.saturating_sub(delay) / 10;
    (stop_time.saturating_sub(rest), rest)
}

fn watch(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot watch signals: {error}")))
}

/// Completes with the first SIGTERM or SIGINT. Whoever presses Ctrl-C again does not want to wait: a
/// SIGINT after that ends the process at once.
pub fn asked_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = watch(SignalKind::terminate())?;
    let mut interrupt = watch(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tokio::spawn(async move {
            interrupt.recv().await;
            std::process::exit(INTERRUPTED);
        });
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_their_time_after_the_delay_and_leave_some() {
        for (time, delay) in [(29, 0), (29, 28), (1, 0)] {
            let (time, delay) = (Duration::from_secs(time), Duration::from_secs(delay));
            let (requests, rest) = shares(time, delay);
            assert!(requests > delay && !rest.is_zero() && requests + rest == time);
        }
    }
}

//! NOTIFY, which wakes the poll of the change feed and does nothing else.
//!
//! One connection of its own listens and tells, after the write is committed and answered: a NOTIFY inside
//! the write would make all commits of the database take turns. Where it is not to be had (engines without
//! it, pgbouncer between) the poll finds the change half a second later.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use grantry_core::Clock;
use tokio::sync::Notify;
use tokio_postgres::AsyncMessage;

use super::chain;
use super::tls::Way;

/// Pause before the connection is made anew, doubled up to [`PAUSE_MAX`] while it cannot be had.
const PAUSE: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is waited for and what is to be told. Each holds one word, however often it was said.
#[derive(Default)]
pub(super) struct Wake {
    /// Somebody committed a change.
    pub heard: Notify,
    /// This node committed one.
    pub committed: Notify,
}

/// Listens and tells for ever.
pub(super) async fn run(way: Way, wake: Arc<Wake>, clock: Arc<dyn Clock>) {
    let mut pause = PAUSE;
    loop {
        let mut listening = false;
        if let Err(error) = session(&way, &wake, &mut listening).await {
            let error = chain(&error);
            // Once per outage: the pool says the same louder.
            if listening || pause == PAUSE {
                tracing::info!(
                    error,
                    "no wake-up calls from the database; changes are found by polling"
                );
            }
        }
        pause = if listening {
            PAUSE
        } else {
            PAUSE_MAX.min(pause * 2)
        };
        clock.sleep(pause).await;
    }
}

async fn session(
    way: &Way,
    wake: &Arc<Wake>,
    listening: &mut bool,
) -> Result<(), tokio_postgres::Error> {
    let (client, mut connection) = way.config.connect(way.tls.clone()).await?;
    let heard = Arc::clone(wake);
    let ear = async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(_) = message? {
                heard.heard.notify_one();
            }
        }
        Ok(())
    };
    let mouth = async {
        client.batch_execute("LISTEN grantry_changes").await?;
        *listening = true;
        // Whatever was told while nobody listened.
        wake.heard.notify_one();
        loop {
            wake.committed.notified().await;
            client.batch_execute("NOTIFY grantry_changes").await?;
        }
    };
    tokio::select! {
        ended = ear => ended,
        failed = mouth => failed,
    }
}

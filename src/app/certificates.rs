//! Follows the files of the listener's certificates: reads them again when they change, and says so in log and metrics.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::notify::event::{Event, Events};
use crate::observe::metrics::Metrics;
use crate::tls::Certificates;

/// How often the files are looked at. It takes a few system calls.
const EVERY: Duration = Duration::from_secs(1);

/// Follows the files until it is dropped.
pub(super) async fn watch(certificates: Arc<Certificates>, metrics: Arc<Metrics>, events: Events) {
    metrics.tls.read(true);
    record_ends(&certificates, &metrics);
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let files = Arc::clone(&certificates);
        // Files may be on a slow network.
        let Ok(Some(outcome)) = tokio::task::spawn_blocking(move || files.reload()).await else { continue };
        metrics.tls.read(outcome.is_ok());
        match outcome {
            Ok(()) => {
                record_ends(&certificates, &metrics);
                tracing::info!("the certificates changed and are in use");
            }
            Err(complaints) => {
                events.send(Event::ReloadFailed { what: "The changed certificates", problems: complaints.len() });
                for complaint in complaints {
                    tracing::error!(error = %complaint, help = complaint.help, "the certificates changed and cannot be used; those from before stay in use");
                }
            }
        }
    }
}

fn record_ends(certificates: &Certificates, metrics: &Metrics) {
    let all = certificates.validity();
    metrics.tls.certificate_ends(all.iter().map(|validity| (&*validity.file, validity.not_after)));
}

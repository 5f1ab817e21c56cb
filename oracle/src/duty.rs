//! What a prover's node does for its own account beside the work: it hears news and looks at the chain.

use std::future::Future;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Time between two looks at the chain.
const LOOK_INTERVAL: Duration = Duration::from_secs(3);

/// Something to do for an account, for as long as the node runs. What fails is tried again at the
/// next look.
pub(crate) trait Duty: Send {
    /// What it is told.
    type News: Send;

    /// Where it is told.
    fn news(&mut self) -> &mut mpsc::Receiver<Self::News>;

    /// Takes news in, on disk if it must outlive the process.
    fn hear(&mut self, news: Self::News) -> impl Future<Output = ()> + Send;

    /// Looks at the chain and does what is due.
    fn look(&mut self) -> impl Future<Output = ()> + Send;
}

/// Does a duty until `stop`, and then once more for what was told before.
pub(crate) async fn attend<D: Duty>(mut duty: D, stop: CancellationToken) {
    let mut clock = interval(LOOK_INTERVAL);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => {
                while let Ok(news) = duty.news().try_recv() {
                    duty.hear(news).await;
                }
                return duty.look().await;
            }
            news = duty.news().recv() => match news {
                Some(news) => duty.hear(news).await,
                None => return,
            },
            _ = clock.tick() => duty.look().await,
        }
    }
}

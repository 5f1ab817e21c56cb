//! Following a job to its end, over restarts of the dispatcher too.

use std::time::{Duration, Instant};

use futures::StreamExt;
use proofgrid_core::ids::JobId;
use proofgrid_proto::v1;
use serde::Serialize;

use super::jobs::local_time;
use crate::client::{Client, refused};
use crate::exit::{CliResult, Exit, ExitError};
use crate::job_view::{JobView, SubmissionView, TaskView, VotesView, word};
use crate::output::{self, Format};

/// How long a dispatcher may be away before following it is given up: a restart with a large journal
/// and the service manager's own pause fit in.
const PATIENCE: Duration = Duration::from_secs(120);
/// Pause between two tries to reach it.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// An event of a job as JSON.
#[derive(Debug, Serialize)]
struct EventView {
    sequence: u64,
    time_unix_ms: u64,
    state: String,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    task: Option<TaskView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    votes: Option<VotesView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    submission: Option<SubmissionView>,
}

impl From<&v1::JobEvent> for EventView {
    fn from(event: &v1::JobEvent) -> Self {
        use v1::job_event::Detail;
        let detail = event.detail.as_ref();
        Self {
            sequence: event.sequence,
            time_unix_ms: event.time_unix_ms,
            state: word(event.state().as_str_name(), "JOB_STATE_"),
            text: event.text.clone(),
            task: match detail {
                Some(Detail::Task(task)) => Some(task.into()),
                _ => None,
            },
            votes: match detail {
                Some(Detail::Statement(votes)) => Some(votes.into()),
                _ => None,
            },
            submission: match detail {
                Some(Detail::Submission(submission)) => Some(submission.into()),
                _ => None,
            },
        }
    }
}

/// Prints events until the job ends, then gives the job. A connection that breaks is made again and
/// goes on with the next event.
///
/// # Errors
/// When there is no such job, or the dispatcher stays away.
pub async fn follow(client: &Client, job: JobId, output: Format) -> CliResult<JobView> {
    let mut next = 0;
    let mut away_since: Option<Instant> = None;
    loop {
        let before = next;
        let error = match read_to_end(client, job, &mut next, output).await {
            Ok(view) if view.ended() => return Ok(view),
            // A dispatcher that shuts down ends its streams before their jobs end.
            Ok(_) => None,
            Err(error) if error.exit == Exit::Unreachable => Some(error),
            Err(error) => return Err(error),
        };
        if next > before {
            away_since = None;
        }
        match away_since {
            None => {
                away_since = Some(Instant::now());
                eprintln!("the dispatcher is away; trying again for {} s", PATIENCE.as_secs());
            }
            Some(since) if since.elapsed() > PATIENCE => return Err(gave_up(job, error)),
            Some(_) => {}
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Prints events from `next` on until the stream ends, and gives the job as it is then.
async fn read_to_end(
    client: &Client,
    job: JobId,
    next: &mut u64,
    output: Format,
) -> CliResult<JobView> {
    let mut events = client.watch(job, *next).await?;
    while let Some(event) = events.next().await {
        let Some(event) = event.map_err(refused)?.event else { continue };
        *next = event.sequence.saturating_add(1);
        let view = EventView::from(&event);
        match output {
            Format::Json => output::json(&view, true)?,
            Format::Table => {
                let time = local_time(view.time_unix_ms);
                output::line(&format!("{time}  {:<14} {}", view.state, view.text));
            }
        }
    }
    Ok(JobView::from(&client.job(job).await?))
}

fn gave_up(job: JobId, error: Option<ExitError>) -> ExitError {
    let why = error.map(|error| format!(": {error}")).unwrap_or_default();
    let text = format!(
        "the dispatcher was away for {} s{why}; the job is in its journal, so go on later \
         with `proofgrid watch {job}`",
        PATIENCE.as_secs()
    );
    ExitError { exit: Exit::Unreachable, error: anyhow::Error::msg(text) }
}

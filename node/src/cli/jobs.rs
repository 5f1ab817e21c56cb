//! `status`, `watch`, `explain`, `cancel`: what requesters ask about their jobs.

use proofgrid_core::crypto::eip712::Request;
use proofgrid_core::ids::JobId;
use proofgrid_proto::v1;
use serde::Serialize;

use super::follow::follow;
use super::{NetworkArgs, WalletArgs};
use crate::client::{Client, open_wallet, refused, request_expiry, timed};
use crate::exit::{CliResult, Exit, fail};
use crate::job_view::{JobView, TaskView, hex0x, percent};
use crate::output::{self, Format, millis, short};
use crate::runtime::block_on;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Where the network is.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// The job; without it, the newest jobs are listed.
    pub job: Option<JobId>,
    /// Most jobs to list.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub limit: u32,
}

/// Arguments of commands about one job.
#[derive(Debug, clap::Args)]
pub struct JobArgs {
    /// Where the network is.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// The job.
    pub job: JobId,
}

/// Arguments of `cancel`.
#[derive(Debug, clap::Args)]
pub struct CancelArgs {
    /// Where the network is.
    #[command(flatten)]
    pub network: NetworkArgs,
    /// The requester.
    #[command(flatten)]
    pub wallet: WalletArgs,
    /// The job.
    pub job: JobId,
}

/// Prints one job or the newest ones.
///
/// # Errors
/// When the network cannot be reached or has no such job.
pub fn status(args: &StatusArgs, output: Format) -> CliResult {
    block_on(async {
        let client = Client::connect(&args.network).await?;
        if let Some(job) = args.job {
            let view = JobView::from(&client.job(job).await?);
            return match output {
                Format::Json => Ok(output::json(&view, false)?),
                Format::Table => {
                    print_job(&view);
                    Ok(())
                }
            };
        }
        let request = v1::ListJobsRequest { page_size: args.limit, ..Default::default() };
        let page = client.jobs().list_jobs(timed(request)).await.map_err(refused)?.into_inner();
        let views: Vec<_> = page.jobs.iter().map(JobView::from).collect();
        match output {
            Format::Json => output::json(&views, false)?,
            Format::Table if views.is_empty() => {
                output::line("no jobs yet; submit one with `proofgrid submit`");
            }
            Format::Table => print_jobs(&views),
        }
        Ok(())
    })
}

/// Prints a job's events, history first, until it ends.
///
/// # Errors
/// When the network cannot be reached, has no such job, or the job ends unsettled.
pub fn watch(args: &JobArgs, output: Format) -> CliResult {
    block_on(async {
        let client = Client::connect(&args.network).await?;
        let view = follow(&client, args.job, output).await?;
        if view.state == "settled" {
            return Ok(());
        }
        fail(Exit::JobFailed, format!("the job ended as {}: {}", view.state, view.reason))
    })
}

#[derive(Debug, Serialize)]
struct ExplanationView {
    time_unix_ms: u64,
    task: String,
    text: String,
}

/// Prints the decisions that brought a job where it is.
///
/// # Errors
/// When the network cannot be reached or has no such job.
pub fn explain(args: &JobArgs, output: Format) -> CliResult {
    block_on(async {
        let client = Client::connect(&args.network).await?;
        let request = v1::ExplainJobRequest { job_id: args.job.as_bytes().to_vec() };
        let response =
            client.jobs().explain_job(timed(request)).await.map_err(refused)?.into_inner();
        let entries: Vec<_> = response
            .entries
            .iter()
            .map(|entry| ExplanationView {
                time_unix_ms: entry.time_unix_ms,
                task: hex0x(&entry.task_id),
                text: entry.text.clone(),
            })
            .collect();
        if output == Format::Json {
            return Ok(output::json(&entries, false)?);
        }
        for entry in &entries {
            let time = local_time(entry.time_unix_ms);
            output::line(&format!("{time}  {:<12} {}", short(&entry.task), entry.text));
        }
        Ok(())
    })
}

/// Withdraws a job under its requester's signature.
///
/// # Errors
/// When it is too late or the wallet is not the requester's.
pub fn cancel(args: &CancelArgs, output: Format) -> CliResult {
    block_on(async {
        let client = Client::connect(&args.network).await?;
        let wallet = open_wallet(&args.wallet)?;
        let expires = request_expiry();
        let message = Request::CancelJob { job: args.job, expires };
        let request = v1::CancelJobRequest {
            job_id: args.job.as_bytes().to_vec(),
            expires_unix_s: expires.get(),
            signature: client.sign(&wallet, message),
        };
        client.jobs().cancel_job(timed(request)).await.map_err(refused)?;
        let view = JobView::from(&client.job(args.job).await?);
        match output {
            Format::Json => output::json(&view, false)?,
            Format::Table => output::line(&format!("{} is {}", view.id, view.state)),
        }
        Ok(())
    })
}

fn print_jobs(views: &[JobView]) {
    let rows = views
        .iter()
        .map(|job| {
            vec![
                job.id.clone(),
                job.source.into(),
                job.state.clone(),
                if job.unpaid { "unpaid".into() } else { "escrowed".into() },
                local_time(job.created_unix_ms),
            ]
        })
        .collect();
    output::line(&output::table(&["job", "source", "state", "fee", "created"], rows).to_string());
}

/// Prints everything about one job.
pub fn print_job(job: &JobView) {
    output::line(&format!("job        {}", job.id));
    output::line(&format!("source     {}{}", job.source, if job.unpaid { ", unpaid" } else { "" }));
    output::line(&format!("requester  {}", job.requester));
    output::line(&format!("program    {}", job.program));
    let reason = if job.reason.is_empty() { String::new() } else { format!(": {}", job.reason) };
    output::line(&format!("state      {}{reason}", job.state));
    if let Some(race) = &job.race {
        let revealed = race.entries.iter().filter(|entry| entry.round == race.round).count();
        output::line(&format!(
            "race       round {}, {revealed} commitments revealed; waits for {}",
            race.round, race.waits_for
        ));
        for entry in &race.entries {
            output::line(&format!(
                "entry      round {}, {}: {}",
                entry.round, entry.prover, entry.standing
            ));
        }
    }
    if let Some(votes) = &job.votes {
        output::line(&format!(
            "votes      {} of the stake committed; {} of {} members voted, {} of the stake for valid, \
             {} for invalid (epoch {})",
            percent(votes.stake_committed, votes.stake_total),
            votes.num_votes,
            votes.num_members,
            percent(votes.stake_valid, votes.stake_total),
            percent(votes.stake_invalid, votes.stake_total),
            votes.epoch
        ));
    }
    if !job.certificate.is_empty() {
        output::line(&format!("certificate {}", job.certificate));
    }
    for submission in &job.submissions {
        output::line(&format!(
            "{:<10} {} {} {}",
            submission.kind, submission.state, submission.tx_hash, submission.text
        ));
    }
    if !job.tasks.is_empty() {
        let header = ["task", "state", "try", "prover", "units", "progress", "proved in", "bytes"];
        output::line(&output::table(&header, job.tasks.iter().map(task_row).collect()).to_string());
    }
}

fn task_row(task: &TaskView) -> Vec<String> {
    let progress = match task.state.as_str() {
        "accepted" => "done".to_owned(),
        "leased" => format!("{} {} %", task.phase, task.progress_permille / 10),
        _ => String::new(),
    };
    vec![
        format!("{} {}", task.kind, task.index),
        task.state.clone(),
        task.attempt.to_string(),
        short(&task.prover),
        task.work_units.to_string(),
        progress,
        if task.prove_ms > 0 { millis(task.prove_ms) } else { String::new() },
        if task.proof_bytes > 0 { task.proof_bytes.to_string() } else { String::new() },
    ]
}

pub(super) fn local_time(unix_ms: u64) -> String {
    i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(String::new, |time| {
            time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S%.3f").to_string()
        })
}

//! The asynchronous runtime of short commands.

use crate::exit::CliResult;

/// Runs a command's future to its end on a runtime of its own.
///
/// # Errors
/// The command's, or that no runtime could be started.
pub fn block_on<T>(future: impl Future<Output = CliResult<T>>) -> CliResult<T> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(
        // Boxed, because commands hold large client state across awaits.
        Box::pin(future),
    )
}

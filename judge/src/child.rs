//! The child's side: one request in, one reply out.

use std::io::{self, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use proofgrid_proofs::program::Registry;

use crate::sandbox;
use crate::wire::{Header, Reply, Request, shorten};

/// Judges the one request on standard input and writes the reply to standard output.
///
/// To be called first thing in a process that was started by a [`Judge`](crate::Judge): before any
/// thread, runtime, logger or configuration. The exit code is 0 exactly when a reply was written.
#[must_use]
pub fn run(registry: &Registry) -> ExitCode {
    // The message travels in the reply; a hook would write a hostile proof's text to the log.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    match serve(registry, &mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The parent shows this in its own log.
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(registry: &Registry, input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let header = Header::read(input)?;
    sandbox::enter(header)?;
    let request = Request::read(input, header)?;
    judge(registry, &request).write(output)
}

fn judge(registry: &Registry, request: &Request) -> Reply {
    let Some(program) = registry.get(&request.program) else {
        return Reply::UnknownProgram;
    };
    let binding = request.binding();
    match catch_unwind(AssertUnwindSafe(|| program.verify(&request.proof, &binding))) {
        Ok(Ok(verified)) => Reply::Verified {
            public_values: verified.public_values,
            vk_digest: verified.vk_digest,
            work_units: verified.work_units,
        },
        Ok(Err(refusal)) => {
            Reply::Refused { code: refusal.code().as_u8(), detail: shorten(refusal.detail()) }
        }
        Err(panic) => Reply::Panicked { message: panic_text(panic.as_ref()) },
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    shorten(text.unwrap_or("without a message"))
}

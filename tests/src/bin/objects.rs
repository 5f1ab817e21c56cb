//! The scenarios' S3 server as a process of its own: `proofgrid-objects FOLDER PORT`.

use std::path::Path;
use std::process::ExitCode;

use proofgrid_objects::Objects;

fn serve(folder: &Path, port: u16) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async { Objects::open(folder, port).await?.serve().await })
}

fn main() -> ExitCode {
    proofgrid_node::devnet::process::follow_parent();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let port = arguments.get(1).and_then(|port| port.parse().ok());
    let (Some(folder), Some(port)) = (arguments.first(), port) else {
        eprintln!("usage: proofgrid-objects FOLDER PORT");
        return ExitCode::from(2);
    };
    match serve(Path::new(folder), port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

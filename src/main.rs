//! Parse, run, print what went wrong, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use provision::cli::Cli;
use provision::commands;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

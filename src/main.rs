//! Parse, run, print what went wrong, exit code.

use std::process::ExitCode;

use clap::Parser as _;
use provision::cli::Cli;
use provision::commands;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(typed) => {
            let help = !typed.use_stderr();
            let _ = typed.print();
            // clap's own code for bad input is 2, which says "changes pending" here.
            return ExitCode::from(if help { 0 } else { commands::BAD_INPUT });
        }
    };
    match commands::run(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code())
        }
    }
}

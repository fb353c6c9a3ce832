//! One file a command. `apply.rs` is the one function that shows the whole way.

mod applied;
mod apply;
mod audit;
mod backend;
mod caller;
mod clouds;
mod costs;
mod destroy;
mod explained;
mod export;
mod extend;
mod failure;
mod files;
mod gc;
mod graph;
mod history;
mod init;
mod kept;
mod keyring;
mod life;
mod locked;
mod origin;
mod output;
mod plan;
mod project;
mod refresh;
mod saved;
mod secrets;
mod show;
mod shown;
mod ssh;
mod stacks;
mod state;
mod stats;
mod status;
mod stop;
mod surgery;
mod tally;
mod terminal;
mod told;
mod unlock;

pub use failure::{BAD_INPUT, Failure};

use clap::CommandFactory as _;

use crate::cli::{self, Cli, Command};
use crate::environment::schema::schema;
use terminal::print;

/// Runs what was typed.
///
/// # Errors
/// Whatever kept it from its end, with the exit code for it.
pub async fn run(cli: Cli) -> Result<(), Failure> {
    let result = command(cli).await;
    stats::of_process();
    result
}

async fn command(cli: Cli) -> Result<(), Failure> {
    let directory = &cli.directory;
    let operator = cli.operator_cidr.as_ref();
    // Each on the heap: with a cloud's SDK inside, one future of them all is too deep for the compiler.
    match &cli.command {
        Command::Init(args) => init::run(directory, args),
        Command::Validate(args) => files::validate(directory, args),
        Command::Render(args) => files::render(directory, args),
        Command::Plan(args) if args.refresh_only => Box::pin(refresh::show(directory, operator, args)).await,
        Command::Plan(args) => Box::pin(plan::run(directory, operator, args)).await,
        Command::Show(args) => show::run(args),
        Command::Apply(args) if args.refresh_only => Box::pin(refresh::take(directory, operator, args)).await,
        Command::Apply(args) => Box::pin(apply::run(directory, operator, args)).await,
        Command::Status(args) => Box::pin(status::run(directory, operator, args)).await,
        Command::Audit(args) => Box::pin(audit::run(directory, operator, args)).await,
        Command::Graph(args) => graph::run(directory, args),
        Command::Output(args) => output::run(directory, args),
        Command::History(args) => history::run(directory, args),
        Command::Ssh(args) => Box::pin(ssh::run(directory, operator, args)).await,
        Command::Secrets(args) => Box::pin(secrets::run(directory, args)).await,
        Command::Destroy(args) => Box::pin(destroy::run(directory, args)).await,
        Command::Extend(args) => Box::pin(extend::run(directory, operator, args)).await,
        Command::State(args) => match &args.command {
            cli::StateCommand::Rebuild(args) => Box::pin(state::rebuild(directory, args)).await,
            cli::StateCommand::Import(args) => Box::pin(state::import(directory, args)).await,
            cli::StateCommand::List(args) => surgery::list(directory, args),
            cli::StateCommand::Show(args) => surgery::show(directory, args),
            cli::StateCommand::Rm(args) => Box::pin(surgery::rm(directory, args)).await,
            cli::StateCommand::Unlock(args) if args.host => Box::pin(unlock::host(directory, operator, args)).await,
            cli::StateCommand::Unlock(args) => unlock::state(directory, args),
            cli::StateCommand::Pull(args) => surgery::pull(directory, args),
            cli::StateCommand::Push(args) => Box::pin(surgery::push(directory, args)).await,
            cli::StateCommand::Migrate(args) => Box::pin(surgery::migrate(directory, args)).await,
        },
        Command::Gc(args) => Box::pin(gc::run(directory, args)).await,
        Command::Stacks(args) => stacks::run(directory, args),
        Command::Export(args) => match &args.form {
            cli::ExportForm::Compose(args) => export::compose(directory, args),
        },
        Command::Schema(args) => print(&match args.of {
            cli::SchemaOf::Environment => format!("{:#}\n", schema()),
            cli::SchemaOf::Events => format!("{:#}\n", crate::progress::stream::schema()),
        }),
        Command::Completions(args) => {
            let mut text = Vec::new();
            clap_complete::generate(args.shell, &mut Cli::command(), "provision", &mut text);
            print(&String::from_utf8_lossy(&text))
        }
    }
}

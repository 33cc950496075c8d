//! A shell and applets in one component, called by `argv[0]` or as `busybox APPLET`.
mod applets;
mod proc;

/// Runs a command by name.
pub fn run(p: proc::Proc) -> proc::Running {
    match applets::find(p.name()) {
        Some(command) => command(p),
        None => Box::pin(async move {
            p.complain("not found").await;
            127
        }),
    }
}

fn main() {
    let mut p = proc::Proc::of_host();
    if p.name() == "busybox" && p.args.len() > 1 {
        p.args.remove(0);
    }
    let code = wstd::runtime::block_on(run(p));
    wasip2::cli::exit::exit_with_code(code as u8);
}

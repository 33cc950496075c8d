//! A shell and applets in one component, called by `argv[0]` or as `busybox APPLET`.
mod proc;

fn main() {
    let proc = proc::Proc::of_host();
    let code = wstd::runtime::block_on(async move {
        let _ = proc.stdout.write_all(proc.name().as_bytes()).await;
        let (r, w) = proc::pipe();
        let _ = w.write_all(b"x\n").await;
        drop(w);
        let _ = r.read_line().await;
        7
    });
    wasip2::cli::exit::exit_with_code(code);
}

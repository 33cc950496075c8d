//! Guarantee: the exit code arrives unchanged. `exit_code CODE` exits with std's `exit` (0 to 255 on WASI 0.1; only 0
//! and 1 with WASI 0.2's std), `exit_code CODE exact` with `exit-with-code` (0.2.12), and `exit_code return` by
//! returning from `main`.

fn main() {
    let mut args = std::env::args().skip(1);
    let wish = args.next().unwrap_or_else(|| "0".into());
    if wish == "return" {
        return;
    }
    let code: i32 = wish.parse().unwrap_or(2);
    println!("exiting with {code}");
    #[cfg(target_env = "p2")]
    if args.next().as_deref() == Some("exact") {
        wasip2::cli::exit::exit_with_code(code as u8);
    }
    std::process::exit(code);
}

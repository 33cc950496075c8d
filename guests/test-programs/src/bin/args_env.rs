//! Guarantee: arguments, environment variables and the working directory arrive as the pod's spec gives them, in order
//! and including empty ones (the directory for WASI 0.2 only).

fn main() {
    for (i, arg) in std::env::args().enumerate() {
        println!("arg {i} {arg:?}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("env {name}={value:?}");
    }
    // std ignores it on WASI 0.2, and WASI 0.1 does not have it.
    #[cfg(target_env = "p2")]
    println!("cwd {:?}", wasip2::cli::environment::initial_cwd());
}

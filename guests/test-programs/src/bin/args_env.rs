//! Promise: arguments, environment variables and the working directory arrive as the pod's spec
//! gives them, in order, empty ones included (the directory for WASI 0.2 only).

fn main() {
    for (i, arg) in std::env::args().enumerate() {
        println!("arg {i} {arg:?}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("env {name}={value:?}");
    }
    // std does not ask for it on WASI 0.2, and WASI 0.1 does not know it.
    #[cfg(target_env = "p2")]
    println!("cwd {:?}", wasip2::cli::environment::initial_cwd());
}

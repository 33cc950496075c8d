//! Promise: arguments, environment variables and the working directory arrive as the pod's spec
//! gives them, in order, empty ones included.

fn main() {
    for (i, arg) in std::env::args().enumerate() {
        println!("arg {i} {arg:?}");
    }
    let mut variables: Vec<_> = std::env::vars().collect();
    variables.sort();
    for (name, value) in variables {
        println!("env {name}={value:?}");
    }
    match std::env::current_dir() {
        Ok(dir) => println!("cwd {}", dir.display()),
        Err(error) => println!("cwd {error}"),
    }
}

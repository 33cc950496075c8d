//! Greets its first argument in the words of `$GREETING`.

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "world".into());
    let greeting = std::env::var("GREETING").unwrap_or_else(|_| "Hello".into());
    println!("{greeting}, {name}!");
}

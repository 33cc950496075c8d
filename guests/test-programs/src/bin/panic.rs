//! Guarantee: a panic's message reaches the log, and the container ends with 134 as after an abort.

fn main() {
    println!("before");
    panic!("this is the message");
}

//! thin
#![allow(dead_code)]
mod lifecycle;
mod proc;

fn main() {
    let proc = proc::Proc::of_host();
    let code = wstd::runtime::block_on(async move {
        let text = proc.args.join(" ");
        let mut p = brush_parser::Parser::new(std::io::Cursor::new(text.as_bytes()), &brush_parser::ParserOptions::default());
        let r = p.parse_program();
        let _ = proc.stdout.write_all(format!("{}", r.is_ok()).as_bytes()).await;
        if lifecycle::requested() { 1 } else {7}
    });
    wasip2::cli::exit::exit_with_code(code as u8);
}

//! vi, a subset of busybox's: `editor` decides, this module reads the keys and the files and draws.

mod colon;
mod editor;
mod ex;
mod motion;
mod normal;
#[cfg(test)]
mod tests;
mod text;
mod view;

use std::io::ErrorKind;

use super::{Options, Outcome, fail};
use crate::console::frame::Frame;
use crate::console::keyboard::{Event, Keyboard};
use crate::console::{ENTER_ALTERNATE, LEAVE_ALTERNATE};
use crate::proc::{Proc, Reader, strerror};

use editor::{Editor, Effect};

pub async fn vi(p: Proc) -> Outcome {
    let o = Options::parse(&p, "c:RHe").await?;
    let mut files = o.operands.clone();
    let first_command = match files.first().and_then(|arg| arg.strip_prefix('+')) {
        Some(command) => {
            let command = if command.is_empty() { "$" } else { command }.to_string();
            files.remove(0);
            Some(command)
        }
        None => o.get('c').map(str::to_string),
    };
    let (Some(terminal), Some(size)) = (Reader::terminal(), terminal::size()) else {
        return fail(&p, 1, "standard input: Not a tty").await;
    };
    let mut editor = Editor::new(size.columns.into(), size.rows.into());
    open(&p, &mut editor, files.first().cloned());
    if let Some(command) = first_command {
        let message = editor.message.clone();
        editor.run_colon(&command);
        editor.message = message;
        editor.scroll();
    }
    let _raw = terminal::RawMode::enter();
    let mut keyboard = Keyboard::new(terminal);
    p.stdout.write_all(ENTER_ALTERNATE.as_bytes()).await?;
    let edited = edit(&p, &mut editor, &mut keyboard).await;
    p.stdout.write_all(LEAVE_ALTERNATE.as_bytes()).await?;
    edited?;
    Ok(0)
}

async fn edit(p: &Proc, editor: &mut Editor, keyboard: &mut Keyboard) -> std::io::Result<()> {
    let mut frame = Frame::default();
    loop {
        let (rows, cursor) = editor.draw();
        p.stdout.write_all(frame.update(rows, cursor).as_bytes()).await?;
        match keyboard.next().await {
            Event::Key(key) => {
                // Another program may have written to the screen.
                if key == crate::console::keys::Key::Ctrl('L') {
                    frame.forget();
                }
                let effect = editor.press(key);
                if perform(p, editor, effect) {
                    return Ok(());
                }
            }
            Event::Resized => {
                if let Some(size) = terminal::size() {
                    editor.resize(size.columns.into(), size.rows.into());
                }
                frame.forget();
            }
            Event::End => return Ok(()),
        }
    }
}

/// Performs what the editor asks for; returns whether it ends.
fn perform(p: &Proc, editor: &mut Editor, effect: Effect) -> bool {
    match effect {
        Effect::None => {}
        Effect::Quit => return true,
        Effect::Write { file, bytes, is_whole, quits } => match std::fs::write(p.path(&file), &bytes) {
            Ok(()) => {
                editor.saved(&file, &bytes, is_whole);
                return quits;
            }
            Err(error) => editor.message = format!("'{file}' {}", strerror(&error)),
        },
        Effect::Edit { file } => open(p, editor, Some(file)),
        Effect::Read { file, line } => match std::fs::read(p.path(&file)) {
            Ok(bytes) => editor.insert_file(line, &bytes),
            Err(error) => editor.message = format!("'{file}' {}", strerror(&error)),
        },
    }
    false
}

fn open(p: &Proc, editor: &mut Editor, file: Option<String>) {
    let Some(name) = file else { return editor.open(None, None) };
    let path = p.path(&name);
    match std::fs::read(&path) {
        Ok(bytes) => editor.open(Some(name), Some(&bytes)),
        Err(error) if error.kind() == ErrorKind::NotFound => editor.open(Some(name), None),
        Err(error) => {
            let why = if path.is_dir() { "Is a directory".into() } else { strerror(&error) };
            editor.open(None, None);
            editor.message = format!("'{name}' {why}");
        }
    }
}

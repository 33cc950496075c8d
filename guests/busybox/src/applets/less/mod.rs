//! less: reads the keys from the terminal, so that standard input may be a pipe. `pager` decides what is shown.

mod pager;
mod rows;

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use super::stream::{open, pump, read_fairly};
use super::{EarlyExit, Options, Outcome, usage};
use crate::console::frame::Frame;
use crate::console::keyboard::{Event, Keyboard};
use crate::console::{CLEAR_LINE, ENTER_ALTERNATE, LEAVE_ALTERNATE, PLAIN, REVERSE, move_to, width};
use crate::proc::{Proc, Reader};

use pager::{Pager, Step, Style};

pub async fn less(p: Proc) -> Outcome {
    let o = Options::parse(&p, "SNRrFXEeiIMm~").await?;
    let (terminal, size) = match (Reader::terminal(), terminal::size()) {
        (Some(terminal), Some(size)) if p.stdout.is_terminal() => (terminal, size),
        _ => return copy(&p, o.files()).await,
    };
    if o.operands.is_empty() && p.stdin.is_terminal() {
        return usage(&p).await;
    }
    let style = Style {
        chops: o.has('S'),
        numbers: o.has('N'),
        colours: o.has('R') || o.has('r'),
        ignores_case: o.has('i') || o.has('I'),
    };
    let mut view =
        FileView { p: &p, columns: size.columns, rows: size.rows, style, frame: Frame::default(), is_drawn: false };
    let _raw = terminal::RawMode::enter();
    let mut keyboard = Keyboard::new(terminal);
    let files = o.files();
    let mut index = 0;
    let mut code = 0;
    let quits_early = o.has('F') && files.len() == 1;
    let alternate = !o.has('X') && !quits_early;
    if alternate {
        p.stdout.write_all(ENTER_ALTERNATE.as_bytes()).await?;
    }
    while let Some(file) = files.get(index) {
        let step = match open(&p, file).await {
            Some(reader) => view.show(file, reader, &mut keyboard, quits_early).await?,
            None => {
                code = 1;
                if index + 1 < files.len() { Step::NextFile } else { Step::Quit }
            }
        };
        match step {
            Step::NextFile => index = (index + 1).min(files.len() - 1),
            Step::PreviousFile => index = index.saturating_sub(1),
            Step::Continue | Step::Quit => break,
        }
    }
    let end = match (alternate, !view.is_drawn) {
        (true, _) => LEAVE_ALTERNATE.to_string(),
        (false, false) => move_to(usize::from(view.rows).saturating_sub(1), 0) + CLEAR_LINE,
        (false, true) => String::new(),
    };
    p.stdout.write_all(end.as_bytes()).await?;
    Ok(code)
}

/// Without a terminal, less is cat.
async fn copy(p: &Proc, files: Vec<String>) -> Outcome {
    let mut code = 0;
    for file in files {
        match open(p, &file).await {
            Some(reader) => _ = pump(&reader, &p.stdout).await?,
            None => code = 1,
        }
    }
    Ok(code)
}

/// The screen on which one file after another is shown.
struct FileView<'a> {
    p: &'a Proc,
    columns: u16,
    rows: u16,
    style: Style,
    frame: Frame,
    /// Whether anything was drawn.
    is_drawn: bool,
}

impl FileView<'_> {
    async fn show(
        &mut self,
        file: &str,
        reader: Reader,
        keyboard: &mut Keyboard,
        quits_early: bool,
    ) -> Result<Step, EarlyExit> {
        let name = if file == "-" { "" } else { file };
        let mut pager = Pager::new(name, self.style, self.columns.into(), self.rows.into());
        let mut text = Vec::new();
        let mut buf = vec![0; 16 * 1024];
        loop {
            // Without text yet, the screen would only flicker.
            let waits = pager.is_empty() || (quits_early && pager.wants_text());
            if !waits {
                self.draw(&pager).await?;
            }
            match next(keyboard, pager.wants_text().then_some(&reader), &mut buf).await {
                Next::Text(n) => {
                    let bytes = buf.get(..n).unwrap_or_default();
                    if n == 0 {
                        pager.finish();
                    } else {
                        pager.add(bytes);
                    }
                    if quits_early && !self.is_drawn {
                        text.extend_from_slice(bytes);
                        if pager.fits() {
                            self.p.stdout.write_all(&text).await?;
                            return Ok(Step::Quit);
                        }
                    }
                }
                Next::Event(Event::Key(key)) => match pager.press(key) {
                    Step::Continue => {}
                    step => return Ok(step),
                },
                Next::Event(Event::Resized) => {
                    if let Some(size) = terminal::size() {
                        (self.columns, self.rows) = (size.columns, size.rows);
                        pager.resize(size.columns.into(), size.rows.into());
                        self.frame.forget();
                    }
                }
                Next::Event(Event::End) => return Ok(Step::Quit),
            }
        }
    }

    /// Draws what changed.
    async fn draw(&mut self, pager: &Pager) -> Result<(), EarlyExit> {
        let rows = pager.draw();
        let bottom = rows.last().map_or("", String::as_str).replace(REVERSE, "").replace(PLAIN, "");
        let cursor = (rows.len().saturating_sub(1), width::of_str(&bottom));
        self.is_drawn = true;
        self.p.stdout.write_all(self.frame.update(rows, cursor).as_bytes()).await?;
        Ok(())
    }
}

enum Next {
    Event(Event),
    /// The number of bytes that were read; 0 is the end.
    Text(usize),
}

/// Waits for a key or, if there is a reader, for text.
async fn next(keyboard: &mut Keyboard, reader: Option<&Reader>, buf: &mut [u8]) -> Next {
    let mut event = pin!(keyboard.next());
    let mut text = pin!(async {
        match reader {
            Some(reader) => read_fairly(reader, buf).await.unwrap_or(0),
            None => std::future::pending().await,
        }
    });
    poll_fn(|cx| {
        if let Poll::Ready(event) = event.as_mut().poll(cx) {
            return Poll::Ready(Next::Event(event));
        }
        text.as_mut().poll(cx).map(Next::Text)
    })
    .await
}

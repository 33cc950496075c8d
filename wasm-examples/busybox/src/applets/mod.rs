//! The applets by name. (A few to try the shell with.)

use crate::proc::{Command, Proc, Running};

/// All applets' names, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    ["cat", "env", "sleep"].into_iter()
}

/// The applet called `name`.
pub fn find(name: &str) -> Option<Command> {
    match name {
        "cat" => Some(cat),
        "env" => Some(env),
        "sleep" => Some(sleep),
        _ => None,
    }
}

fn cat(proc: Proc) -> Running {
    Box::pin(async move {
        let mut operands: Vec<&str> = proc.args.iter().skip(1).map(String::as_str).collect();
        if operands.is_empty() {
            operands.push("-");
        }
        let mut status = 0;
        for operand in operands {
            let reader = match proc.open(operand) {
                Ok(reader) => reader,
                Err(error) => {
                    proc.complain(format!(
                        "can't open '{operand}': {}",
                        crate::proc::strerror(&error)
                    ))
                    .await;
                    status = 1;
                    continue;
                }
            };
            let mut buf = vec![0; 16 * 1024];
            while let Ok(n) = reader.read(&mut buf).await {
                if n == 0 {
                    break;
                }
                if proc
                    .stdout
                    .write_all(buf.get(..n).unwrap_or_default())
                    .await
                    .is_err()
                {
                    return 141;
                }
            }
        }
        status
    })
}

fn env(proc: Proc) -> Running {
    Box::pin(async move {
        for (name, value) in &proc.env {
            let line = format!("{name}={value}\n");
            let _ = proc.stdout.write_all(line.as_bytes()).await;
        }
        0
    })
}

fn sleep(proc: Proc) -> Running {
    Box::pin(async move {
        let seconds = proc
            .args
            .get(1)
            .and_then(|arg| arg.parse::<f64>().ok())
            .unwrap_or(0.0);
        let duration = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        wstd::task::sleep(duration.into()).await;
        0
    })
}

/// The commands that busybox has, sorted; a test holds them against `busybox --list`.
pub const APPLETS: &[&str] = &["busybox", "sh"];

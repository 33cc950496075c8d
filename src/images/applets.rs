/// The applets of the built-in busybox, sorted; a test compares them with `busybox --list`.
#[rustfmt::skip]
pub const APPLETS: &[&str] = &[
    "[", "[[", "ash", "awk", "base64", "basename", "busybox", "cat", "chmod", "cksum", "clear", "cmp", "comm", "cp",
    "curl", "cut", "date", "dd", "df", "diff", "dig", "dirname", "du", "echo", "egrep", "env", "expand", "expr",
    "false", "fgrep", "find", "fold", "free", "grep", "head", "hostname", "httpd", "id", "kill", "killall", "less",
    "ln", "ls", "md5sum", "mkdir", "mktemp", "mount", "mv", "nc", "nice", "nl", "nohup", "nproc", "nslookup", "od",
    "paste", "pgrep", "pidof", "ping", "pkill", "printenv", "printf", "ps", "pwd", "readlink", "realpath", "reset",
    "rev", "rm", "rmdir", "sed", "seq", "sh", "sha1sum", "sha256sum", "sleep", "sort", "split", "stat", "stty",
    "sync", "tac", "tail", "tar", "tee", "test", "time", "timeout", "top", "touch", "tr", "true", "truncate", "tty",
    "uname", "uniq", "unlink", "uptime", "vi", "watch", "wc", "wget", "which", "whoami", "xargs", "yes",
];

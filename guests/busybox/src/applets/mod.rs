//! The applets.
//!
//! Owns the table of names, usages and functions, and how an applet ends. Guarantees that applets use only their
//! `Proc`, so that the commands of a pipeline can run side by side. The shell has its own builtins.

use std::io;

use crate::proc::{Command, Proc, Running, strerror};

mod awk;
mod compare;
mod copy;
mod curl;
mod cut;
mod date;
mod dd;
mod dig;
mod digest;
mod du;
mod echo;
mod env;
mod expr;
mod files;
mod find;
mod free;
mod grep;
mod head;
mod http;
mod httpd;
mod identity;
mod less;
mod lines;
mod ls;
mod mounts;
mod names;
mod nc;
mod nslookup;
mod numbers;
mod od;
mod options;
mod pattern;
mod posix;
mod printf;
mod processes;
mod sed;
mod sleep;
mod sort;
mod stat;
mod stream;
mod tail;
mod tar;
mod terminal;
mod time;
mod tr;
mod vi;
mod watch;
mod wc;
mod wget;
mod xargs;

pub use options::Options;
pub use processes::{find_own, send_signal};
pub use stream::{Lines, Output};
pub use time::format_times;

/// Why an applet ends early.
pub enum EarlyExit {
    /// The exit code; messages have been printed.
    Code(i32),
    /// The output could not be written.
    Write(io::Error),
}

/// The exit code of an applet.
pub type Outcome = Result<i32, EarlyExit>;

impl From<io::Error> for EarlyExit {
    fn from(error: io::Error) -> EarlyExit {
        EarlyExit::Write(error)
    }
}

struct Applet {
    name: &'static str,
    usage: &'static str,
    run: Command,
}

macro_rules! table {
    ($($name:literal $usage:literal $function:path,)*) => {
        const TABLE: &[Applet] = &[$(Applet {
            name: $name,
            usage: $usage,
            run: |p| start(p.clone(), Box::pin($function(p))),
        },)*];
    };
}

table! {
    "awk" "[-v VAR=VALUE]... [-F SEP] { PROGRAM | -f FILE... } [FILE|VAR=VALUE]..." awk::awk,
    "base64" "[-d] [-w N] [FILE]" digest::base64,
    "basename" "FILE [SUFFIX] | -a FILE... | -s SUFFIX FILE..." names::basename,
    "cat" "[-n] [FILE]..." stream::cat,
    "chmod" "[-Rcvf] MODE FILE..." files::chmod,
    "cksum" "[FILE]..." digest::cksum,
    "clear" "" terminal::clear,
    "cmp" "[-ls] FILE1 [FILE2]" compare::cmp,
    "comm" "[-123] FILE1 FILE2" compare::comm,
    "cp" "[-arRpf] SOURCE... DEST" copy::cp,
    "curl" "[OPTIONS] URL..." curl::curl,
    "cut" "[OPTIONS] [FILE]..." cut::cut,
    "date" "[-uR] [-I[SPEC]] [-d TIME] [-r FILE] [+FMT]" date::date,
    "dd" "[if=FILE] [of=FILE] [bs=N] [count=N] [skip=N] [seek=N] [conv=notrunc]" dd::dd,
    "df" "[-hkmPT] [FILE]..." mounts::df,
    "diff" "[-qs] FILE1 FILE2" compare::diff,
    "dig" "[+short] [-t TYPE] NAME [TYPE] | -x ADDRESS" dig::dig,
    "dirname" "FILENAME" names::dirname,
    "du" "[-ahks] [-d N] [FILE]..." du::du,
    "echo" "[-neE] [ARG]..." echo::echo,
    "egrep" "PATTERN [FILE]..." grep::grep,
    "env" "[-i] [-u NAME]... [NAME=VALUE]... [PROG ARGS]" env::env,
    "expand" "[-t N] [FILE]..." lines::expand,
    "expr" "EXPRESSION" expr::expr,
    "false" "" echo::exit_1,
    "fgrep" "PATTERN [FILE]..." grep::grep,
    "find" "[PATH]... [OPTIONS] [ACTIONS]" find::find,
    "fold" "[-bs] [-w WIDTH] [FILE]..." lines::fold,
    "free" "[-bkmgh]" free::free,
    "grep" "[-HhnlLoqvsriwFExc] [-m N] [-A|B|C N] { PATTERN | -e PATTERN... | -f FILE... } [FILE]..." grep::grep,
    "head" "[-n N] [-c N] [-qv] [FILE]..." head::head,
    "hostname" "[-sfdi]" identity::hostname,
    "httpd" "[-fv] [-p [IP:]PORT] [-h HOME]" httpd::httpd,
    "id" "[-ugGn]" identity::id,
    "killall" "[-SIGNAL] NAME..." processes::killall,
    "less" "[-FINRSX] [FILE]..." less::less,
    "ln" "[-sfn] TARGET... LINK|DIR" files::ln,
    "ls" "[-1AaCdFhiLlpRrSt] [--color] [FILE]..." ls::ls,
    "md5sum" "[-c] [FILE]..." digest::md5sum,
    "mkdir" "[-m MODE] [-p] DIRECTORY..." files::mkdir,
    "mktemp" "[-d] [-p DIR] [TEMPLATE]" files::mktemp,
    "mount" "" mounts::mount,
    "mv" "[-f] SOURCE... DEST" copy::mv,
    "nc" "[-l] [-p PORT] [-w SEC] [-z] [HOST PORT]" nc::nc,
    "nice" "[-n N] [PROG ARGS]" env::nice,
    "nl" "[-b a|t|n] [-s SEP] [-w N] [-v N] [FILE]..." lines::nl,
    "nohup" "PROG ARGS" env::nohup,
    "nproc" "" identity::nproc,
    "nslookup" "HOST" nslookup::nslookup,
    "od" "[-c] [-b] [-d] [-o] [-x] [-A d|o|x|n] [-t TYPE] [-N N] [-j N] [-v] [FILE]..." od::od,
    "paste" "[-s] [-d LIST] [FILE]..." lines::paste,
    "pgrep" "[-flanovxc] PATTERN" processes::pgrep,
    "pidof" "[-s] NAME..." processes::pidof,
    "ping" "HOST" nc::ping,
    "pkill" "[-SIGNAL] [-fnovx] PATTERN" processes::pkill,
    "printenv" "[NAME]..." env::printenv,
    "printf" "FORMAT [ARG]..." printf::printf,
    "ps" "[-o COL1,COL2=HEADER]" processes::ps,
    "pwd" "" names::pwd,
    "readlink" "[-fn] FILE" names::readlink,
    "realpath" "FILE..." names::realpath,
    "reset" "" terminal::reset,
    "rev" "[FILE]..." lines::rev,
    "rm" "[-irf] FILE..." files::rm,
    "rmdir" "[-p] DIRECTORY..." files::rmdir,
    "sed" "[-i] [-nE] [-e CMD]... [-f FILE]... [CMD] [FILE]..." sed::sed,
    "seq" "[-w] [-s SEP] [FIRST [INC]] LAST" numbers::seq,
    "sha1sum" "[-c] [FILE]..." digest::sha1sum,
    "sha256sum" "[-c] [FILE]..." digest::sha256sum,
    "sleep" "[N]..." sleep::sleep,
    "sort" "[-nrufhVbcs] [-o FILE] [-t CHAR] [-k N[,M]] [FILE]..." sort::sort,
    "split" "[-b N] [-l N] [-a N] [FILE [PREFIX]]" lines::split,
    "stat" "[-L] [-c FORMAT] FILE..." stat::stat,
    "stty" "[-a|g] [SETTING]..." terminal::stty,
    "sync" "" echo::exit_0,
    "tac" "[FILE]..." lines::tac,
    "tail" "[-n N] [-c N] [-fFqv] [-s SEC] [FILE]..." tail::tail,
    "tar" "c|x|t [-vOm] [-f TARFILE] [-C DIR] [--exclude PATTERN]... [FILE]..." tar::tar,
    "tee" "[-a] [FILE]..." stream::tee,
    "time" "[-p] [-a] [-o FILE] PROG ARGS" time::time,
    "timeout" "[-s SIG] [-k KILL_SECS] SECS PROG ARGS" sleep::timeout,
    "top" "[-b] [-n COUNT] [-d SECONDS]" processes::top,
    "touch" "[-cam] [-d TIME] [-t TIME] [-r FILE] FILE..." files::touch,
    "tr" "[-cds] STRING1 [STRING2]" tr::tr,
    "true" "" echo::exit_0,
    "truncate" "[-c] -s SIZE FILE..." files::truncate,
    "tty" "[-s]" terminal::tty,
    "uname" "[-amnrspvio]" identity::uname,
    "uniq" "[-cduzi] [-f N] [-s N] [-w N] [FILE [OUTFILE]]" sort::uniq,
    "unlink" "FILE" files::unlink,
    "uptime" "" processes::uptime,
    "vi" "[-c CMD] [+N] [FILE]" vi::vi,
    "watch" "[-n SEC] [-t] PROG ARGS" watch::watch,
    "wc" "[-clmw] [FILE]..." wc::wc,
    "wget" "[-qS] [--spider] [-O FILE] [-T SEC] [--header STR] [--post-data STR] URL..." wget::wget,
    "which" "COMMAND..." names::which,
    "whoami" "" identity::whoami,
    "xargs" "[-0rt] [-n N] [-L N] [-I STR] [PROG ARGS]" xargs::xargs,
    "yes" "[STRING]..." echo::yes,
}

/// Returns the applet of this name.
pub fn find(name: &str) -> Option<Command> {
    TABLE.iter().find(|a| a.name == name).map(|a| a.run)
}

/// Returns the names of all applets, sorted.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|a| a.name)
}

/// Runs another command: an applet, or a name that `main` dispatches.
fn run(p: Proc) -> Running {
    match find(p.name()) {
        Some(command) => command(p),
        None => crate::run(p),
    }
}

/// Runs an applet; turns its end into an exit code.
fn start(p: Proc, body: std::pin::Pin<Box<dyn Future<Output = Outcome>>>) -> Running {
    Box::pin(async move {
        match body.await {
            Ok(code) | Err(EarlyExit::Code(code)) => code,
            // The reader is gone: exit silently as SIGPIPE would.
            Err(EarlyExit::Write(error)) if is_closed(&error) => 141,
            Err(EarlyExit::Write(error)) => {
                p.print_error(format_args!("write error: {}", strerror(&error))).await;
                1
            }
        }
    })
}

/// Whether the reader is gone; wstd reports a closed host stream as a reset connection.
fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Prints `why` and ends the applet with this code.
async fn fail<T>(p: &Proc, code: i32, why: &str) -> Result<T, EarlyExit> {
    p.print_error(why).await;
    Err(EarlyExit::Code(code))
}

/// Prints the usage and ends the applet with 1.
async fn usage<T>(p: &Proc) -> Result<T, EarlyExit> {
    let name = p.name();
    let words = TABLE.iter().find(|a| a.name == name).map_or("", |a| a.usage);
    let _ = p.stderr.write_all(format!("\nUsage: {name} {words}\n").as_bytes()).await;
    Err(EarlyExit::Code(1))
}

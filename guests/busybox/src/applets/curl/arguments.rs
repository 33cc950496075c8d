//! curl's command line.

use std::fmt;

use super::super::sleep::parse_duration;

/// Where data of a request comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    Text(String),
    /// The name of a file, and whether its line ends are removed.
    File {
        name: String,
        without_lines: bool,
    },
    /// A prefix such as `name=`, and text to encode behind it.
    Encoded {
        prefix: String,
        text: String,
    },
}

/// Where a response goes.
#[derive(Clone, Debug, PartialEq)]
pub enum Destination {
    File(String),
    /// `-O`: a file with the name in the URL.
    RemoteName,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments {
    pub urls: Vec<String>,
    pub request: RequestOptions,
    pub output: OutputOptions,
    pub transfer: TransferOptions,
}

/// Options of the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestOptions {
    pub method: Option<String>,
    pub headers: Vec<String>,
    pub data: Vec<Data>,
    /// `-G`: the data becomes the query.
    pub data_in_query: bool,
    /// `-T`.
    pub upload: Option<String>,
    pub credentials: Option<String>,
    pub user_agent: Option<String>,
    pub referer: Option<String>,
    pub cookies: Vec<String>,
}

/// Options of what is printed and saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutputOptions {
    /// One per URL.
    pub destinations: Vec<Destination>,
    pub directory: Option<String>,
    pub create_directories: bool,
    /// `-i`.
    pub with_head: bool,
    /// `-I`.
    pub only_head: bool,
    pub dump_head: Option<String>,
    pub silent: bool,
    pub shows_errors: bool,
    pub verbose: bool,
    pub write_out: Option<String>,
}

/// Options of the transfer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TransferOptions {
    /// `-f`.
    pub fails: bool,
    /// `--fail-with-body`.
    pub fails_with_body: bool,
    pub follows: bool,
    /// Defaults to 50.
    pub max_redirects: Option<usize>,
    pub max_seconds: Option<f64>,
    pub connect_seconds: Option<f64>,
    pub retries: u64,
    pub retry_delay: Option<f64>,
    pub retries_refused: bool,
    pub retries_all: bool,
}

/// Why the command line is not valid; all end with code 2.
#[derive(Debug, PartialEq)]
pub enum UsageError {
    Unknown(String),
    NoValue(String),
    BadNumber(String),
    NotSupported(String),
    NoUrl,
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsageError::Unknown(option) => write!(f, "option {option}: is unknown"),
            UsageError::NoValue(option) => write!(f, "option {option}: requires parameter"),
            UsageError::BadNumber(option) => write!(f, "option {option}: expected a proper numerical parameter"),
            UsageError::NotSupported(option) => write!(f, "option {option}: is not supported yet"),
            UsageError::NoUrl => f.write_str("(2) no URL specified"),
        }
    }
}

/// An option with its names; some have only a long one.
struct Known {
    letter: Option<char>,
    name: &'static str,
    takes_value: bool,
}

const fn known(letter: char, name: &'static str, takes_value: bool) -> Known {
    Known { letter: if letter == ' ' { None } else { Some(letter) }, name, takes_value }
}

const OPTIONS: &[Known] = &[
    known('0', "http1.0", false),
    known(' ', "http1.1", false),
    known('4', "ipv4", false),
    known('A', "user-agent", true),
    known('b', "cookie", true),
    known(' ', "compressed", false),
    known(' ', "connect-timeout", true),
    known(' ', "create-dirs", false),
    known('d', "data", true),
    known(' ', "data-ascii", true),
    known(' ', "data-binary", true),
    known(' ', "data-raw", true),
    known(' ', "data-urlencode", true),
    known('D', "dump-header", true),
    known('e', "referer", true),
    known('f', "fail", false),
    known(' ', "fail-with-body", false),
    known('F', "form", true),
    known('g', "globoff", false),
    known('G', "get", false),
    known('H', "header", true),
    known('i', "include", false),
    known(' ', "show-headers", false),
    known('I', "head", false),
    known(' ', "json", true),
    known('k', "insecure", false),
    known('L', "location", false),
    known('m', "max-time", true),
    known(' ', "max-redirs", true),
    known('N', "no-buffer", false),
    known(' ', "no-progress-meter", false),
    known('o', "output", true),
    known('O', "remote-name", false),
    known(' ', "output-dir", true),
    known('q', "disable", false),
    known(' ', "request", true),
    known(' ', "retry", true),
    known(' ', "retry-all-errors", false),
    known(' ', "retry-connrefused", false),
    known(' ', "retry-delay", true),
    known('s', "silent", false),
    known('S', "show-error", false),
    known('T', "upload-file", true),
    known('u', "user", true),
    known(' ', "url", true),
    known('v', "verbose", false),
    known('w', "write-out", true),
    known('x', "proxy", true),
    known('X', "request", true),
    known('#', "progress-bar", false),
];

impl Arguments {
    /// Parses the arguments behind the command's name.
    ///
    /// # Errors
    /// The first option that is not valid.
    pub fn parse(arguments: &[String]) -> Result<Arguments, UsageError> {
        let mut parsed = Arguments::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let mut value = |option: &str| rest.next().cloned().ok_or_else(|| UsageError::NoValue(option.into()));
            if argument == "--" {
                parsed.urls.extend(rest.cloned());
                break;
            } else if let Some(name) = argument.strip_prefix("--") {
                let positive = name.strip_prefix("no-").filter(|_| name != "no-buffer" && name != "no-progress-meter");
                let option = OPTIONS.iter().find(|option| option.name == positive.unwrap_or(name));
                let option = option.ok_or_else(|| UsageError::Unknown(argument.clone()))?;
                let value = if option.takes_value { value(argument)? } else { String::new() };
                if positive.is_none() {
                    parsed.apply(option.name, argument, value)?;
                }
            } else if argument.len() > 1 && argument.starts_with('-') {
                let mut letters = argument.chars().skip(1);
                while let Some(letter) = letters.next() {
                    let shown = format!("-{letter}");
                    let option = OPTIONS.iter().find(|option| option.letter == Some(letter));
                    let option = option.ok_or_else(|| UsageError::Unknown(shown.clone()))?;
                    let mut text = String::new();
                    if option.takes_value {
                        text = letters.by_ref().collect();
                        if text.is_empty() {
                            text = value(&shown)?;
                        }
                    }
                    parsed.apply(option.name, &shown, text)?;
                }
            } else {
                parsed.urls.push(argument.clone());
            }
        }
        if parsed.urls.is_empty() { Err(UsageError::NoUrl) } else { Ok(parsed) }
    }

    /// Applies one option; `shown` is how it was written.
    fn apply(&mut self, name: &str, shown: &str, value: String) -> Result<(), UsageError> {
        let (request, output, transfer) = (&mut self.request, &mut self.output, &mut self.transfer);
        let bad_number = || UsageError::BadNumber(shown.into());
        let seconds = |value: &str| value.parse().ok().filter(|n: &f64| *n >= 0.0).ok_or_else(bad_number);
        match name {
            "user-agent" => request.user_agent = Some(value),
            "cookie" => request.cookies.push(value),
            "connect-timeout" => transfer.connect_seconds = Some(seconds(&value)?),
            "create-dirs" => output.create_directories = true,
            "data" | "data-ascii" => request.data.push(match value.strip_prefix('@') {
                Some(file) => Data::File { name: file.into(), without_lines: true },
                None => Data::Text(value),
            }),
            "data-binary" => request.data.push(match value.strip_prefix('@') {
                Some(file) => Data::File { name: file.into(), without_lines: false },
                None => Data::Text(value),
            }),
            "data-raw" => request.data.push(Data::Text(value)),
            "data-urlencode" => request.data.push(match value.split_once('=') {
                Some(("", text)) => Data::Encoded { prefix: String::new(), text: text.into() },
                Some((name, text)) => Data::Encoded { prefix: format!("{name}="), text: text.into() },
                None => Data::Encoded { prefix: String::new(), text: value },
            }),
            "dump-header" => output.dump_head = Some(value),
            "referer" => request.referer = Some(value),
            "fail" => transfer.fails = true,
            "fail-with-body" => (transfer.fails, transfer.fails_with_body) = (true, true),
            "get" => request.data_in_query = true,
            "header" => request.headers.push(value),
            "include" | "show-headers" => output.with_head = true,
            "head" => output.only_head = true,
            "json" => {
                request.data.push(match value.strip_prefix('@') {
                    Some(file) => Data::File { name: file.into(), without_lines: false },
                    None => Data::Text(value),
                });
                for header in ["Content-Type: application/json", "Accept: application/json"] {
                    request.headers.push(header.into());
                }
            }
            "location" => transfer.follows = true,
            "max-time" => transfer.max_seconds = Some(seconds(&value)?),
            "max-redirs" => {
                // Negative: without a limit.
                let most: i64 = value.parse().map_err(|_| bad_number())?;
                transfer.max_redirects = Some(usize::try_from(most).unwrap_or(usize::MAX));
            }
            "output" => output.destinations.push(Destination::File(value)),
            "remote-name" => output.destinations.push(Destination::RemoteName),
            "output-dir" => output.directory = Some(value),
            "request" => request.method = Some(value),
            "retry" => transfer.retries = value.parse().map_err(|_| bad_number())?,
            "retry-all-errors" => transfer.retries_all = true,
            "retry-connrefused" => transfer.retries_refused = true,
            "retry-delay" => transfer.retry_delay = Some(parse_duration(&value).ok_or_else(bad_number)?),
            "silent" => output.silent = true,
            "show-error" => output.shows_errors = true,
            "upload-file" => request.upload = Some(value),
            "user" => request.credentials = Some(value),
            "url" => self.urls.push(value),
            "verbose" => output.verbose = true,
            "write-out" => output.write_out = Some(value),
            "form" | "proxy" => return Err(UsageError::NotSupported(shown.into())),
            // The others are accepted without an effect: there is no TLS, no compression and no progress meter.
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, UsageError> {
        let words: Vec<String> = line.split(' ').map(str::to_string).collect();
        Arguments::parse(&words)
    }

    #[test]
    fn letters_combine_and_take_values() {
        let parsed = parse("-sSfLo out -XPUT -HA:b -d x http://a --max-time 2.5 -k").expect("valid");
        assert!(parsed.output.silent && parsed.output.shows_errors && parsed.transfer.fails && parsed.transfer.follows);
        assert_eq!(parsed.output.destinations, [Destination::File("out".into())]);
        assert_eq!((parsed.request.method.as_deref(), parsed.transfer.max_seconds), (Some("PUT"), Some(2.5)));
        assert_eq!(parsed.request.headers, ["A:b"]);
        assert_eq!(parsed.urls, ["http://a"]);
    }

    #[test]
    fn data_comes_from_text_and_files() {
        let parsed = parse("-d @f --data-raw @f --data-binary @f --data-urlencode a=b=c u").expect("valid");
        let file = |without_lines| Data::File { name: "f".into(), without_lines };
        let encoded = Data::Encoded { prefix: "a=".into(), text: "b=c".into() };
        assert_eq!(parsed.request.data, [file(true), Data::Text("@f".into()), file(false), encoded]);
    }

    #[test]
    fn invalid_options_are_named() {
        assert_eq!(parse("-sZ u"), Err(UsageError::Unknown("-Z".into())));
        assert_eq!(parse("--nope u"), Err(UsageError::Unknown("--nope".into())));
        assert_eq!(parse("u -o"), Err(UsageError::NoValue("-o".into())));
        assert_eq!(parse("-m x u"), Err(UsageError::BadNumber("-m".into())));
        assert_eq!(parse("-F a=b u"), Err(UsageError::NotSupported("-F".into())));
        assert_eq!(parse("-s"), Err(UsageError::NoUrl));
    }
}

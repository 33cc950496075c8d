//! Options (`set -e`, `set -o pipefail`).

/// The state of the options.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub allexport: bool,
    pub errexit: bool,
    pub interactive: bool,
    pub noclobber: bool,
    pub noexec: bool,
    pub noglob: bool,
    pub nounset: bool,
    pub pipefail: bool,
    pub stdin: bool,
    pub verbose: bool,
    pub xtrace: bool,
    without_effect: OptionsWithoutEffect,
}

/// Options that are accepted and reported but not supported; there is no job control, for example.
#[derive(Debug, Clone, Default)]
struct OptionsWithoutEffect {
    ignoreeof: bool,
    monitor: bool,
    notify: bool,
}

impl Options {
    fn all(&mut self) -> [(Option<char>, &'static str, &mut bool); 14] {
        [
            (Some('e'), "errexit", &mut self.errexit),
            (Some('f'), "noglob", &mut self.noglob),
            (None, "ignoreeof", &mut self.without_effect.ignoreeof),
            (Some('i'), "interactive", &mut self.interactive),
            (Some('m'), "monitor", &mut self.without_effect.monitor),
            (Some('n'), "noexec", &mut self.noexec),
            (Some('s'), "stdin", &mut self.stdin),
            (Some('x'), "xtrace", &mut self.xtrace),
            (Some('v'), "verbose", &mut self.verbose),
            (Some('C'), "noclobber", &mut self.noclobber),
            (Some('a'), "allexport", &mut self.allexport),
            (Some('b'), "notify", &mut self.without_effect.notify),
            (Some('u'), "nounset", &mut self.nounset),
            (None, "pipefail", &mut self.pipefail),
        ]
    }

    /// Sets an option by its letter; false if it is unknown.
    pub fn set_letter(&mut self, letter: char, on: bool) -> bool {
        self.set(|known, _| known == Some(letter), on)
    }

    /// Sets an option by its name; false if it is unknown.
    pub fn set_name(&mut self, name: &str, on: bool) -> bool {
        self.set(|_, known| known == name, on)
    }

    fn set(&mut self, is: impl Fn(Option<char>, &str) -> bool, on: bool) -> bool {
        let mut all = self.all();
        let option = all.iter_mut().find(|(letter, name, _)| is(*letter, name));
        match option {
            Some((_, _, flag)) => {
                **flag = on;
                true
            }
            None => false,
        }
    }

    /// Returns `$-`.
    pub fn letters(&self) -> String {
        let mut copy = self.clone();
        copy.all().iter().filter(|(_, _, on)| **on).filter_map(|(letter, _, _)| *letter).collect()
    }

    /// Returns name and state of each option, for `set -o`.
    pub fn named(&self) -> Vec<(&'static str, bool)> {
        let mut copy = self.clone();
        copy.all().iter().map(|(_, name, on)| (*name, **on)).collect()
    }
}

//! Parses tokens to a syntax tree, by recursive descent.

mod expression;

use super::error::{Error, Position, Problem};
use super::lexer::{Token, tokens};
use super::syntax::{Expr, Function, Redirect, Rule, Statement, StatementKind, Tree, Trigger};

/// The deepest nesting of statements and expressions; the parser's stack is a guest's, which is small.
const MAX_DEPTH: usize = 80;

/// Parses a program from its sources.
///
/// # Errors
/// The first syntax error.
pub fn parse(sources: &[Vec<u8>]) -> Result<Tree, Error> {
    let mut all = Vec::new();
    for (index, source) in sources.iter().enumerate() {
        all.extend(tokens(source, index)?);
        let at = all.last().map_or(Position { source: index, line: 1 }, |(_, at)| *at);
        all.push((Token::Mark("\n"), at));
    }
    let mut parser = Parser { tokens: all, next: 0, depth: 0, greater_redirects: false };
    let parsed = parser.parse_program();
    parsed.map_err(|problem| Error { at: parser.position(), problem })
}

struct Parser {
    tokens: Vec<(Token, Position)>,
    next: usize,
    depth: usize,
    /// Whether `>` is a redirection, as after `print` outside of parentheses.
    greater_redirects: bool,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.peek_at(0)
    }

    fn peek_at(&self, ahead: usize) -> &Token {
        self.tokens.get(self.next + ahead).map_or(&Token::End, |(token, _)| token)
    }

    fn position(&self) -> Position {
        self.tokens.get(self.next).or(self.tokens.last()).map_or(Position::default(), |(_, at)| *at)
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.peek(), Token::Mark(found) if *found == mark)
    }

    fn take(&mut self, mark: &str) -> bool {
        let found = self.is(mark);
        self.next += usize::from(found);
        found
    }

    /// Takes the first of these marks that follows.
    fn take_any(&mut self, marks: &[&'static str]) -> Option<&'static str> {
        marks.iter().copied().find(|mark| self.take(mark))
    }

    fn expect(&mut self, mark: &str) -> Result<(), Problem> {
        if self.take(mark) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn unexpected(&self) -> Problem {
        // The line end that `parse` adds is the end of the program.
        let at_end = (self.next..self.tokens.len()).all(|at| matches!(self.tokens[at].0, Token::Mark("\n")));
        if at_end { Problem::UnexpectedEnd } else { Problem::UnexpectedToken }
    }

    fn take_name(&mut self) -> Result<String, Problem> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.next += 1;
                Ok(name)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn skip_lines(&mut self) {
        while self.take("\n") {}
    }

    fn skip_ends(&mut self) {
        while self.take("\n") || self.take(";") {}
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T, Problem>) -> Result<T, Problem> {
        if self.depth >= MAX_DEPTH {
            return Err(Problem::TooDeep);
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn parse_program(&mut self) -> Result<Tree, Problem> {
        let mut tree = Tree::default();
        loop {
            self.skip_ends();
            if *self.peek() == Token::End {
                return Ok(tree);
            }
            if self.take("function") {
                let function = self.parse_function()?;
                tree.functions.push(function);
            } else {
                let rule = self.parse_rule()?;
                tree.rules.push(rule);
            }
        }
    }

    fn parse_function(&mut self) -> Result<Function, Problem> {
        let name = match self.peek() {
            Token::Name(name) | Token::Call(name) => name.clone(),
            _ => return Err(self.unexpected()),
        };
        self.next += 1;
        self.expect("(")?;
        let mut parameters = Vec::new();
        while !self.take(")") {
            if !parameters.is_empty() {
                self.expect(",")?;
                self.skip_lines();
            }
            parameters.push(self.take_name()?);
        }
        self.skip_lines();
        Ok(Function { name, parameters, body: self.parse_block()? })
    }

    fn parse_rule(&mut self) -> Result<Rule, Problem> {
        let at = self.position();
        let trigger = if self.take("BEGIN") {
            Trigger::Begin
        } else if self.take("END") {
            Trigger::End
        } else if self.is("{") {
            Trigger::Always
        } else {
            let first = self.parse_expr()?;
            if self.take(",") {
                self.skip_lines();
                Trigger::Range(Box::new([first, self.parse_expr()?]))
            } else {
                Trigger::When(first)
            }
        };
        if self.is("{") {
            return Ok(Rule { at, trigger, body: Some(self.parse_block()?) });
        }
        let needs_body = matches!(trigger, Trigger::Begin | Trigger::End);
        if needs_body || !(self.is("\n") || self.is(";")) {
            return Err(self.unexpected());
        }
        Ok(Rule { at, trigger, body: None })
    }

    fn parse_block(&mut self) -> Result<Statement, Problem> {
        let at = self.position();
        self.expect("{")?;
        let mut statements = Vec::new();
        loop {
            self.skip_ends();
            if self.take("}") {
                return Ok(Statement { at, kind: StatementKind::Block(statements) });
            }
            let statement = self.nested(Parser::parse_statement)?;
            statements.push(statement);
        }
    }

    /// Parses the statement that a condition or a loop governs; `;` is an empty one.
    fn parse_body(&mut self) -> Result<Box<Statement>, Problem> {
        self.skip_lines();
        let at = self.position();
        if self.take(";") {
            return Ok(Box::new(Statement { at, kind: StatementKind::Block(vec![]) }));
        }
        Ok(Box::new(self.nested(Parser::parse_statement)?))
    }

    fn parse_statement(&mut self) -> Result<Statement, Problem> {
        let at = self.position();
        if self.is("{") {
            return self.parse_block();
        }
        const COMPOUND: [&str; 4] = ["if", "while", "do", "for"];
        let kind = match self.take_any(&COMPOUND) {
            Some("if") => self.parse_if()?,
            Some("while") => {
                let condition = self.parse_condition()?;
                if self.is(";") {
                    self.next += 1;
                    StatementKind::While(condition, Box::new(Statement { at, kind: StatementKind::Block(vec![]) }))
                } else {
                    StatementKind::While(condition, self.parse_body()?)
                }
            }
            Some("do") => self.parse_do()?,
            Some(_) => self.parse_for()?,
            None => {
                let statement = self.parse_simple()?;
                if !(self.take(";") || self.take("\n") || self.is("}")) {
                    return Err(self.unexpected());
                }
                return Ok(statement);
            }
        };
        Ok(Statement { at, kind })
    }

    fn parse_condition(&mut self) -> Result<Expr, Problem> {
        self.expect("(")?;
        let condition = self.parse_expr()?;
        self.expect(")")?;
        Ok(condition)
    }

    fn parse_if(&mut self) -> Result<StatementKind, Problem> {
        let condition = self.parse_condition()?;
        let then = self.parse_body()?;
        let before = self.next;
        self.skip_ends();
        if !self.take("else") {
            self.next = before;
            return Ok(StatementKind::If(condition, then, None));
        }
        Ok(StatementKind::If(condition, then, Some(self.parse_body()?)))
    }

    fn parse_do(&mut self) -> Result<StatementKind, Problem> {
        let body = self.parse_body()?;
        self.skip_ends();
        self.expect("while")?;
        let condition = self.parse_condition()?;
        Ok(StatementKind::DoWhile(body, condition))
    }

    fn parse_for(&mut self) -> Result<StatementKind, Problem> {
        self.expect("(")?;
        if let (Token::Name(variable), Token::Mark("in"), Token::Name(array), Token::Mark(")")) =
            (self.peek(), self.peek_at(1), self.peek_at(2), self.peek_at(3))
        {
            let (variable, array) = (variable.clone(), array.clone());
            self.next += 4;
            return Ok(StatementKind::ForIn { variable, array, body: self.parse_body()? });
        }
        let first = if self.is(";") { None } else { Some(Box::new(self.parse_simple()?)) };
        self.expect(";")?;
        self.skip_lines();
        let condition = if self.is(";") { None } else { Some(self.parse_expr()?) };
        self.expect(";")?;
        self.skip_lines();
        let step = if self.is(")") { None } else { Some(Box::new(self.parse_simple()?)) };
        self.expect(")")?;
        if self.take(";") {
            let body = Box::new(Statement { at: self.position(), kind: StatementKind::Block(vec![]) });
            return Ok(StatementKind::For { first, condition, step, body });
        }
        Ok(StatementKind::For { first, condition, step, body: self.parse_body()? })
    }

    /// Parses a statement without its end.
    fn parse_simple(&mut self) -> Result<Statement, Problem> {
        const SIMPLE: [&str; 9] =
            ["print", "printf", "delete", "break", "continue", "nextfile", "next", "exit", "return"];
        let at = self.position();
        let kind = match self.take_any(&SIMPLE) {
            Some("print") => self.parse_print(false)?,
            Some("printf") => self.parse_print(true)?,
            Some("delete") => {
                let array = self.take_name()?;
                let key = if self.take("[") { self.parse_list("]")? } else { vec![] };
                StatementKind::Delete(array, key)
            }
            Some("break") => StatementKind::Break,
            Some("continue") => StatementKind::Continue,
            Some("nextfile") => StatementKind::NextFile,
            Some("next") => StatementKind::Next,
            Some("exit") => StatementKind::Exit(self.parse_optional()?),
            Some(_) => StatementKind::Return(self.parse_optional()?),
            None => StatementKind::Expr(self.parse_expr()?),
        };
        Ok(Statement { at, kind })
    }

    fn ends_statement(&self) -> bool {
        matches!(self.peek(), Token::Mark("\n" | ";" | "}" | ")") | Token::End)
    }

    fn parse_optional(&mut self) -> Result<Option<Expr>, Problem> {
        if self.ends_statement() { Ok(None) } else { Ok(Some(self.parse_expr()?)) }
    }

    fn parse_print(&mut self, format: bool) -> Result<StatementKind, Problem> {
        let before = std::mem::replace(&mut self.greater_redirects, true);
        let parsed = self.parse_print_values();
        self.greater_redirects = before;
        let values = parsed?;
        if format && values.is_empty() {
            return Err(Problem::TooFewArguments);
        }
        let redirect = match self.take_any(&[">>", ">", "|"]) {
            None => None,
            Some(mark) => {
                let kind = match mark {
                    ">>" => Redirect::Append,
                    ">" => Redirect::Write,
                    _ => Redirect::Pipe,
                };
                Some((kind, self.parse_concatenation()?))
            }
        };
        Ok(StatementKind::Print { format, values, redirect })
    }

    fn parse_print_values(&mut self) -> Result<Vec<Expr>, Problem> {
        let mut values = Vec::new();
        if self.ends_statement() || matches!(self.peek(), Token::Mark(">" | ">>" | "|")) {
            return Ok(values);
        }
        loop {
            values.push(self.parse_expr()?);
            if !self.take(",") {
                break;
            }
            self.skip_lines();
        }
        // `print (a, b)`
        match values.pop() {
            Some(Expr::List(list)) if values.is_empty() => Ok(list),
            Some(Expr::List(_)) => Err(self.unexpected()),
            last => {
                values.extend(last);
                Ok(values)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn fails(program: &str, problem: Problem, line: usize) {
        let error = parse(&[program.as_bytes().to_vec()]).expect_err("not valid");
        assert_eq!((error.problem, error.at.line), (problem, line), "{program}");
    }

    #[test]
    fn errors_name_the_line() {
        fails("{ print ) }", Problem::UnexpectedToken, 1);
        fails("BEGIN {\n x = 1\n y = = 2\n}", Problem::UnexpectedToken, 3);
        fails("BEGIN {", Problem::UnexpectedEnd, 1);
        fails("BEGIN { if (x", Problem::UnexpectedEnd, 1);
        fails("BEGIN", Problem::UnexpectedEnd, 1);
        fails("BEGIN { printf }", Problem::TooFewArguments, 1);
        fails("{ print 1 2) }", Problem::UnexpectedToken, 1);
        fails("{ a + 1 = 2 }", Problem::UnexpectedToken, 1);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let programs = [
            format!("BEGIN {{ x = {}1{} }}", "(".repeat(5000), ")".repeat(5000)),
            format!("BEGIN {{ x = {}1 }}", "!".repeat(5000)),
            format!("BEGIN {}{}", "{".repeat(5000), "}".repeat(5000)),
            format!("BEGIN {{ x = 1{} }}", "+1".repeat(5000)),
        ];
        // Without optimization, frames are larger than in the guest.
        let check = move || programs.iter().for_each(|program| fails(program, Problem::TooDeep, 1));
        let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(check);
        thread.expect("a thread").join().expect("all are too deep");
    }

    #[test]
    fn line_ends_are_optional_where_posix_says_so() {
        for program in [
            "BEGIN { if (a)\n\n print 1\n else\n print 2 }",
            "BEGIN { if (a) print 1; else print 2 }",
            "BEGIN { if (a) { print 1 } else { print 2 } }",
            "BEGIN { x = a &&\n b ||\n c }",
            "BEGIN { print 1,\n 2 }",
            "BEGIN { do x++; while (x < 3) }",
            "BEGIN { do\n{ x++ }\nwhile (x < 3); y = 1 }",
            "BEGIN { for (;;) break }",
            "BEGIN { while (x++ < 3) ; print x }",
            "function f(a,\n b)\n{ return a }\nBEGIN { f(1) }",
            "/a/, /b/\n$1 > 3; END { print NR };",
            "BEGIN{while((\"cmd\" | getline line) > 0) n++}",
            "BEGIN { print > \"x\" \"y\"; print(1)(2) > \"z\" }",
            "{ print $1, $NF-1, a[1,2] (3) }",
        ] {
            if let Err(error) = parse(&[program.as_bytes().to_vec()]) {
                panic!("{program}: {error:?}");
            }
        }
    }
}

use super::super::{compiler, parser};
use super::*;

/// Performs a program's requests for tests: the input is given, everything written is collected.
fn run(program: &str, input: &str) -> Result<String, Error> {
    let tree = parser::parse(&[program.as_bytes().to_vec()])?;
    let mut machine = Machine::new(Rc::new(compiler::compile(&tree)?), std::iter::empty());
    let mut records = input.lines();
    let mut out = Vec::new();
    let mut sections = vec![Section::End, Section::Begin];
    while let Some(section) = sections.pop() {
        if section == Section::Main {
            let Some(record) = records.next() else { continue };
            machine.set_main_record(record.as_bytes().to_vec());
            sections.push(Section::Main);
        }
        machine.enter(section);
        let mut reply = Reply::None;
        loop {
            let request = machine.run(std::mem::replace(&mut reply, Reply::None))?;
            out.append(&mut machine.output);
            match request {
                Request::Read(Input::Main, _) => {
                    reply = Reply::Record(records.next().map(|record| record.as_bytes().to_vec()));
                }
                Request::Read(_, name) if *name == *b"missing" => reply = Reply::Unreadable,
                Request::Read(_, name) => reply = Reply::Record(Some([b"line of ", &*name].concat())),
                Request::Write { target, bytes, .. } => out.extend([&target, &b": "[..], &bytes].concat()),
                Request::System(_) | Request::Close(_) | Request::Flush(_) | Request::Time => {
                    reply = Reply::Number(7.0);
                }
                Request::SectionEnd | Request::NextFile => break,
                Request::Exit => {
                    sections.retain(|waiting| section != Section::End && *waiting == Section::End);
                    out.extend(format!("[{}]", machine.exit_code).bytes());
                    break;
                }
                Request::Yield => {}
            }
        }
        if section == Section::Begin {
            sections.push(Section::Main);
        }
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

#[track_caller]
fn check(program: &str, input: &str, expected: &str) {
    match run(program, input) {
        Ok(out) => assert_eq!(out, expected, "{program}"),
        Err(error) => panic!("{program}: {error:?}"),
    }
}

#[track_caller]
fn prints(expression: &str, expected: &str) {
    check(&format!("BEGIN {{ print {expression} }}"), "", &format!("{expected}\n"));
}

#[test]
fn arithmetic_and_comparison() {
    prints("1 + 2 * 3", "7");
    prints("-2 ^ 2", "-4");
    prints("2 ^ 3 ^ 2", "512");
    prints("2 ^ -1", "0.5");
    prints("7 % 3 \" \" -7 % 3", "1-1");
    prints("1 - 1 - 1", "-1");
    prints("!0 + 1", "2");
    prints("1 == 1.0, \"a\" < \"b\", \"10\" < \"9\", 10 < 9", "1 1 1 0");
    prints("(1 < 2) ? \"y\" : \"n\"", "y");
    prints("1 \" \" 2 + 3", "1 5");
    prints("\"3x\" + 4", "7");
    prints("0x10, 1e3, .5, 100000 * 100000", "16 1000 0.5 10000000000");
    prints("(1, 2) in a, length(a)", "0 0");
    prints("a = b = 3", "3");
    prints("x++ + ++x, x--, --x", "2 2 0");
    prints("1 && 0 || 1", "1");
    prints("\"a\" ~ /^a$/, \"ab\" ~ \"^a$\", \"b\" !~ /a/", "1 0 1");
}

#[test]
fn fields_follow_the_record_and_the_record_the_fields() {
    check("{ print $1, $NF, NF, $(NF-1) }", "a b c", "a c 3 b\n");
    check("{ $2 = \"x\"; print; print NF }", "a b c", "a x c\n3\n");
    check("{ $5 = \"e\"; print; print NF }", "a b", "a b   e\n5\n");
    check("{ NF = 2; print }", "a b c", "a b\n");
    check("{ $0 = \"x y\"; print $2, NF }", "a", "y 2\n");
    check("BEGIN { FS = \":\"; OFS = \"-\" } { $1 = $1; print }", "a:b:c", "a-b-c\n");
    check("{ FS = \":\"; print $1 }", "a:b c\nd:e f", "a:b\nd\n");
    check("{ $1 += 2; $2++ ; print }", "1 2", "3 3\n");
    check("{ print $1 == 10, $1 == \"10\" }", "10.0", "1 0\n");
    check("{ print -$1, !$2 }", "3 0", "-3 1\n");
}

#[test]
fn rules_run_for_matching_records() {
    check("NR == 2", "a\nb\nc", "b\n");
    check("/b/, /d/ { print NR }", "a\nb\nc\nd\ne\nb", "2\n3\n4\n6\n");
    check("/b/, /b/", "a\nb\nc", "b\n");
    check("!/b/", "a\nb\nc", "a\nc\n");
    check("{ next; print } END { print NR, $0 }", "a\nb", "2 b\n");
    check("BEGIN { exit 3 } END { print \"end\" }", "a", "[3]end\n");
    check("{ exit } END { exit }", "a\nb", "[0][0]");
    check("BEGIN { while ((getline line) > 0) n++; print n, line }", "a\nb\nc", "3 c\n");
    check("NR == 1 { getline; print $1, NR }", "a\nb\nc", "b 2\n");
}

#[test]
fn arrays_keep_order_and_join_keys() {
    check("{ n[$1]++ } END { for (k in n) print k, n[k] }", "b\na\nb", "b 2\na 1\n");
    check("BEGIN { a[1,2] = 3; for (k in a) { split(k, p, SUBSEP); print p[1], p[2] } }", "", "1 2\n");
    check(
        "BEGIN { a[1]; a[2]; delete a[1]; print 1 in a, 2 in a, length(a); delete a; print length(a) }",
        "",
        "0 1 1\n0\n",
    );
    check("BEGIN { a[0.1 + 0.2] = 1; print (0.3 in a) }", "", "1\n");
    check(
        "BEGIN { for (i = 0; i < 3; i++) a[i]; for (k in a) { if (k == 1) break; print k } print \"end\" }",
        "",
        "0\nend\n",
    );
}

#[test]
fn functions_have_local_variables_and_arrays_by_reference() {
    check("function f(n) { return n < 2 ? 1 : n * f(n - 1) } BEGIN { print f(10) }", "", "3628800\n");
    check("function fill(a, i) { a[i] = i; i = 9 } BEGIN { i = 5; fill(b, i); print b[5], i }", "", "5 5\n");
    check("function outer(a) { inner(a) } function inner(b) { b[1] = 2 } BEGIN { outer(c); print c[1] }", "", "2\n");
    check("function f(x,  local) { local[x] = 1; return length(local) } BEGIN { print f(1), f(2) }", "", "1 1\n");
    check("function f() { for (k in a) return k } BEGIN { a[1]; a[2]; print f(), f() }", "", "1 1\n");
    check("function f(x) { x } BEGIN { print f(1) \"!\" }", "", "!\n");
}

#[test]
fn functions_of_text() {
    prints("length(\"abc\"), length(12345)", "3 5");
    prints(
        "substr(\"hello\", 2, 3), substr(\"hello\", 0, 2), substr(\"hello\", -1), substr(\"hello\", 4, 9)",
        "ell h hello lo",
    );
    prints("index(\"hello\", \"ll\"), index(\"a\", \"b\")", "3 0");
    prints("toupper(\"aBc\") tolower(\"aBc\")", "ABCabc");
    prints("match(\"xxabbc\", /ab+/), RSTART, RLENGTH, match(\"x\", /a/), RLENGTH", "3 3 3 0 -1");
    prints("split(\"a:b:c\", p, \":\"), p[3], split(\"\", p), length(p)", "3 c 0 0");
    prints("sprintf(\"%05.1f|%-3s|%c\", 3.14159, \"a\", 66)", "003.1|a  |B");
    prints("gensub(/(a)(b)/, \"\\\\2\\\\1\", \"g\", \"abab\")", "baba");
    check("{ n = gsub(/a/, \"<&>\"); print n, $0; sub(\"x\", \"y\", $1); print $1 }", "xaa", "2 x<a><a>\ny<a><a>\n");
    check("BEGIN { s = \"aaa\"; print sub(/a/, \"b\", s), s, gsub(/z/, \"y\", s), s }", "", "1 baa 0 baa\n");
    prints("int(-3.7), int(\"12abc\"), sqrt(16), and(12, 10), or(12, 10), xor(12, 10)", "-3 12 4 8 14 6");
    prints("srand(5), srand() == 5, rand() < 1", "0 1 1");
    prints("mktime(\"2020 01 02 03 04 05\"), strftime(\"%Y-%m-%d\", 86400)", "1577934245 1970-01-02");
}

#[test]
fn print_and_getline_use_files_and_commands() {
    check(
        "BEGIN { print \"a\", \"b\" > \"file\" \"x\"; print \"c\" | \"cat\"; printf(\"%d\\n\", 4) >> \"f\" }",
        "",
        "filex: a b\ncat: c\nf: 4\n",
    );
    check("BEGIN { while ((getline line < \"file\") > 0) { print line; break } }", "", "line of file\n");
    check("BEGIN { \"cmd\" | getline; print $3, NR; \"cmd\" | getline x[1]; print x[1] }", "", "cmd 1\nline of cmd\n");
    check("BEGIN { print (getline < \"missing\"), NF }", "", "-1 0\n");
    check("BEGIN { print system(\"x\"), close(\"x\"); fflush() }", "", "7 7\n");
    check("BEGIN { print(1, 2) > \"f\"; print (1)(2) }", "", "f: 1 2\n12\n");
    check(
        "BEGIN { OFS = \"-\"; ORS = \"!\"; print 1, 2; OFMT = \"%.2f\"; print 3.14159, 3 \"\" 0.5 }",
        "",
        "1-2!3.14-30.5!",
    );
}

#[test]
fn control_flow() {
    check(
        "BEGIN { for (i = 0; i < 5; i++) { if (i == 1) continue; if (i == 4) break; printf \"%d \", i } }",
        "",
        "0 2 3 ",
    );
    check("BEGIN { do { n++ } while (n < 3); while (n < 10) { n++; if (n == 7) break }; print n }", "", "7\n");
    check("BEGIN { if (!(3 in a)) print \"no\"; else print \"yes\" }", "", "no\n");
    check("BEGIN { for (;;) if (++n > 30000) break; print n }", "", "30001\n");
}

#[test]
fn failing_operations_name_their_line() {
    let problem = |program: &str| {
        let error = run(program, "a").expect_err("an error");
        (error.problem, error.at.line)
    };
    assert_eq!(problem("BEGIN {\n print 1 / 0 }"), (Problem::DivisionByZero, 2));
    assert_eq!(problem("BEGIN { x = 1 % 0 }"), (Problem::DivisionByZero, 1));
    assert_eq!(problem("{ print $-1 }"), (Problem::NegativeField, 1));
    assert_eq!(problem("BEGIN { printf \"%z\" }"), (Problem::InvalidFormat, 1));
    assert_eq!(problem("BEGIN {\n\n f(1) }"), (Problem::UndefinedFunction, 3));
    assert_eq!(problem("function f(a) { return f(a) } BEGIN { f(1) }").0, Problem::TooDeep);
    assert!(matches!(problem("BEGIN { print \"a\" ~ \"(\" }").0, Problem::BadRegex(..)));
}

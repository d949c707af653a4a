//! What Dockerfiles mean, shown on small ones.

use proptest::prelude::{any, prop_assert, proptest};
use proptest::strategy::Strategy as _;

use crate::words::{expand, split};
use crate::{
    BuildArguments, CopyOrigin, CopySource, CopyStep, Dockerfile, IgnoreRules, Instruction, Problem,
    StageSource, StageState, Step,
};

const PLATFORM: &str = "linux/amd64";

fn parse(text: &str) -> Dockerfile {
    Dockerfile::parse(text, &BuildArguments::new(), PLATFORM).unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(text: &str) -> (usize, String) {
    let error = Dockerfile::parse(text, &BuildArguments::new(), PLATFORM).expect_err("it is refused");
    assert!(!error.problem.advice().is_empty());
    (error.line, error.problem.to_string())
}

fn arguments(pairs: &[(&str, &str)]) -> BuildArguments {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Carries out the last stage and returns its end and what was to be done.
fn play(text: &str, given: &[(&str, &str)]) -> (StageState, Vec<Step>) {
    let given = arguments(given);
    let dockerfile = Dockerfile::parse(text, &given, PLATFORM).unwrap_or_else(|error| panic!("{error}"));
    let mut state = StageState::default();
    let last = dockerfile.stages.last().expect("a stage");
    let steps = last.instructions.iter().map(|(line, _, instruction)| {
        state.apply(instruction, &dockerfile, &given).unwrap_or_else(|problem| panic!("{line}: {problem}"))
    });
    let steps = steps.collect();
    (state, steps)
}

fn copies(text: &str) -> Vec<CopyStep> {
    let steps = play(text, &[]).1.into_iter();
    steps.filter_map(|step| if let Step::Copy(copy) = step { Some(copy) } else { None }).collect()
}

fn commands(text: &str) -> Vec<Vec<String>> {
    let steps = play(text, &[]).1.into_iter();
    steps.filter_map(|step| if let Step::Run(run) = step { Some(run.arguments) } else { None }).collect()
}

#[test]
fn words_end_at_white_space_that_is_neither_quoted_nor_escaped() {
    assert_eq!(split(r#"a="b c" d=\ e 'f "g'"#, '\\'), [r#"a="b c""#, r"d=\ e", r#"'f "g'"#]);
    assert_eq!(split(r"  a  ", '\\'), ["a"]);
}

#[test]
fn variables_are_replaced_as_docker_does() {
    let value = |name: &str| match name {
        "A" => Some("x y".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    };
    for (word, expected) in [
        ("$A-${A}", "x y-x y"),
        ("${NO:-d}|${EMPTY:-d}|${EMPTY-d}|${NO-d}", "d|d||d"),
        ("${A:+set}|${NO:+set}|${EMPTY:+set}|${EMPTY+set}", "set|||set"),
        ("${NO:-${A}}", "x y"),
        (r#""$A" '$A' \$A"#, "x y $A $A"),
        (r#""a \"b\" \c""#, r#"a "b" \c"#),
        ("$", "$"),
        ("a$1b$", "ab$"),
        ("$NO_", ""),
        (r"a\", r"a\"),
    ] {
        assert_eq!(expand(word, '\\', &value).as_deref(), Ok(expected), "{word}");
    }
    for word in ["'a", "\"a", "${A", "${}", "${A!b}", "${NO:?say why}", "${A#x}", "${A%x}", "${A/x/y}"] {
        assert!(expand(word, '\\', &value).is_err(), "{word}");
    }
    let deep = format!("{}{}", "${N:-".repeat(10_000), "}".repeat(10_000));
    assert!(expand(&deep, '\\', &value).is_err());
}

#[test]
fn lines_go_on_over_comments_and_empty_lines() {
    let text = "# syntax=docker/dockerfile:1\nFROM a\nrun one \\\n  # no part of it\n\n  two \\  \n three\\\\\nENV A=1\n";
    assert_eq!(commands(text)[0][2], "one   two  three\\\\");
    assert_eq!(parse(text).stages[0].instructions[1].0, 8);
    assert_eq!(parse("FROM a\r\nRUN b \\\r\n c\r\n").stages[0].instructions.len(), 1);
}

#[test]
fn the_escape_can_be_a_backtick() {
    let text = "# escape=`\nFROM a\nRUN dir C:\\ `\n&& x\nENV A=`$B C=\\d";
    let (state, _) = play(text, &[]);
    assert_eq!(commands(text)[0][2], "dir C:\\ && x");
    assert_eq!(state.environment, [("A".into(), "$B".into()), ("C".into(), "\\d".into())]);
    assert_eq!(refusal("#escape=\\\n#escape=\\\nFROM a").0, 2);
    assert_eq!(refusal("# escape=x\nFROM a").0, 1);
    // Behind a comment or an instruction it is a comment.
    assert_eq!(parse("# hello\n# escape=`\nFROM a\nRUN b \\\nc").escape, '\\');
}

#[test]
fn here_documents_are_for_the_shell_or_for_files() {
    let text = "FROM a\nRUN <<EOF\necho $A\n# no comment\nEOF\nRUN cat <<'A' - <<-B > /x\n1\nA\n\t2\n\tB\nENV X=v\n\
                COPY <<one.txt <<\"two\" /d/\n$X\none.txt\n$X\ntwo\nRUN echo $((1<<2)) \"<<EOF\"\n";
    let commands = commands(text);
    assert_eq!(commands[0][2], "echo $A\n# no comment\n");
    assert_eq!(commands[1][2], "cat <<'A' - <<-B > /x\n1\nA\n2\nB");
    assert_eq!(commands[2][2], "echo $((1<<2)) \"<<EOF\"");
    let inline =
        |name: &str, content: &str| CopySource::Inline { name: name.into(), content: content.into() };
    assert_eq!(copies(text)[0].sources, [inline("one.txt", "v\n"), inline("two", "$X\n")]);
    assert_eq!(refusal("FROM a\nRUN <<EOF\nx\n").0, 2);
    assert!(refusal("FROM a\nRUN <<EOF\n#!/usr/bin/python3\nEOF").1.contains("interpreter"));
}

#[test]
fn a_stage_begins_with_an_image_a_stage_or_nothing() {
    let text = "ARG TAG=12\nFROM debian:$TAG AS Build\nRUN a\nFROM scratch\nCOPY --from=build /a /a\nCOPY --from=busybox:1 /b /b\n\
                FROM BUILD as last\nFROM scratch\nCOPY --from=0 a b";
    let dockerfile = parse(text);
    let sources: Vec<_> = dockerfile.stages.iter().map(|stage| stage.source.clone()).collect();
    assert_eq!(
        sources,
        [
            StageSource::Image("debian:12".into()),
            StageSource::Scratch,
            StageSource::Stage(0),
            StageSource::Scratch
        ]
    );
    let Instruction::Copy(copy) = &dockerfile.stages[1].instructions[1].2 else { panic!("a copy") };
    assert_eq!(copy.origin, CopyOrigin::Image("busybox:1".into()));
    let needed = |target| dockerfile.needed(target).into_iter().collect::<Vec<_>>();
    assert_eq!((needed(0), needed(1), needed(2), needed(3)), (vec![0], vec![0, 1], vec![0, 2], vec![0, 3]));
    assert_eq!(dockerfile.target(Some("LAST")), Some(2));
    assert_eq!((dockerfile.target(None), dockerfile.target(Some("x"))), (Some(3), None));
    assert_eq!(parse("FROM --platform=$BUILDPLATFORM a\n").stages.len(), 1);
}

#[test]
fn variables_come_from_env_then_arg_then_what_was_given() {
    let text = "ARG V=global\nFROM a\nARG V\nARG W=$V-w\nARG G=default\nENV E=$W F=$E\nENV G=env\nENV OLD form of $V\nRUN x";
    let (state, steps) = play(text, &[("G", "given")]);
    let value = |name: &str| {
        state.environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    };
    assert_eq!((value("E"), value("F"), value("G")), (Some("global-w"), Some(""), Some("env")));
    assert_eq!(value("OLD"), Some("form of global"));
    let Some(Step::Run(run)) = steps.last() else { panic!("a run") };
    let names: Vec<_> = run.environment.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["V", "W", "E", "F", "G", "OLD"]);
    let (state, _) = play("ARG T=1\nFROM a\nARG T\nLABEL t=$T \"a b\"='$T'", &[("T", "2")]);
    assert_eq!(state.labels, arguments(&[("t", "2"), ("a b", "$T")]));
    let given = arguments(&[("T", "1"), ("HTTP_PROXY", "p"), ("NOBODY", "x")]);
    assert_eq!(parse("ARG T\nFROM a\nARG T").unused(&given), ["NOBODY"]);
}

#[test]
fn what_the_image_says_of_itself_is_gathered() {
    let text = "FROM a\nWORKDIR /a\nWORKDIR b/../c\nUSER u:g\nSHELL [\"/bin/bash\", \"-c\"]\nCMD run it\nENTRYPOINT [\"e\"]\n\
                EXPOSE 80 53/udp 8000-8010\nVOLUME /v\nSTOPSIGNAL SIGINT\nMAINTAINER me <a@b>\nHEALTHCHECK NONE";
    let (state, steps) = play(text, &[]);
    assert_eq!((state.directory.as_str(), state.user.as_str()), ("/a/c", "u:g"));
    assert_eq!(steps[1], Step::Directory("/a/c".to_owned()));
    assert_eq!(state.command, ["/bin/bash", "-c", "run it"]);
    assert_eq!(state.entrypoint, ["e"]);
    assert_eq!(state.ports.into_iter().collect::<Vec<_>>(), ["53/udp", "80/tcp", "8000-8010/tcp"]);
    // An entrypoint of its own makes the command of the base meaningless, but not one of its own.
    let mut state = StageState::default();
    state.command = vec!["of the base".into()];
    let dockerfile = parse("FROM a\nENTRYPOINT e");
    state
        .apply(&dockerfile.stages[0].instructions[0].2, &dockerfile, &BuildArguments::new())
        .expect("applied");
    assert!(state.command.is_empty());
}

#[test]
fn copies_say_where_from_and_where_to() {
    let text = "FROM a\nWORKDIR /w\nENV D=dir\nCOPY --chown=u:$D --chmod=0640 --link $D/*.txt ./\nADD [\"a b\", \"c\"]\nCOPY x ../../y";
    let copies = copies(text);
    assert_eq!(copies[0].sources, [CopySource::Path("dir/*.txt".into())]);
    assert_eq!((copies[0].destination.as_str(), copies[0].mode), ("/w/", Some(0o640)));
    assert_eq!(copies[0].owner.as_deref(), Some("u:dir"));
    assert_eq!((copies[1].sources.clone(), copies[1].unpacks), (vec![CopySource::Path("a b".into())], true));
    assert_eq!(copies[2].destination, "/y");
}

#[test]
fn what_is_not_supported_is_refused_by_name_and_line() {
    for (text, line, part) in [
        ("", 1, "no FROM"),
        ("RUN x\nFROM a", 1, "RUN comes before"),
        ("FROM a\nFETCH x", 2, "\"FETCH\" is no instruction"),
        ("FROM a\nRUN --mount=type=cache,target=/x y", 2, "RUN --mount is not supported"),
        ("FROM a\nRUN --network=host y", 2, "RUN --network"),
        ("FROM a\nRUN --security=insecure y", 2, "RUN --security"),
        ("FROM a\n\nADD https://example.com/x /y", 3, "ADD https://example.com/x is not supported"),
        ("FROM a\nADD --checksum=sha256:0 x /y", 2, "ADD --checksum"),
        ("FROM a\nADD --from=x x /y", 2, "ADD --from"),
        ("FROM a\nCOPY --parents x /y", 2, "COPY --parents"),
        ("FROM a\nCOPY --exclude=x y /y", 2, "COPY --exclude"),
        ("FROM a\nCOPY --from=$X y /y", 2, "variable in COPY --from"),
        ("FROM a\nCOPY --from=0 y /y", 2, "no stage \"0\""),
        ("FROM a\nCOPY x", 2, "needs at least one source"),
        ("FROM --platform=linux/riscv64 a", 1, "FROM --platform=linux/riscv64"),
        ("FROM a AS b\nFROM c AS B", 2, "a stage \"b\" already"),
        ("FROM a b", 1, "needs an image"),
        ("FROM a AS 1", 1, "name of a stage"),
        ("FROM $NOTHING", 1, "cannot be \"$NOTHING\""),
        ("FROM a\nONBUILD RUN x", 2, "ONBUILD"),
        ("FROM a\nENV", 2, "ENV needs"),
        ("FROM a\nENV A=1 B", 2, "ENV needs"),
        ("FROM a\nENV A='1", 2, "quote has no end"),
        ("FROM a\nENV A=${B", 2, "no variable"),
        ("FROM a\nENV A=${B#x}", 2, "${B#…} is not supported"),
        ("FROM a\nCMD [1]", 2, "an array"),
        ("FROM a\nSHELL bash", 2, "SHELL needs"),
        ("FROM a\nARG \"X\"=1", 2, "name of an ARG"),
        // Stages that nothing needs are looked at as well.
        ("FROM a\nRUN --mount=x y\nFROM b", 2, "RUN --mount"),
    ] {
        let (found, said) = refusal(text);
        assert_eq!(found, line, "{text}: {said}");
        assert!(said.contains(part), "{text}: {said}");
    }
    for (text, part) in
        [("COPY --chmod=u+x a b", "--chmod"), ("COPY a b c", "several sources"), ("EXPOSE x", "EXPOSE")]
    {
        let dockerfile = parse(&format!("FROM a\n{text}"));
        let instruction = &dockerfile.stages[0].instructions[0].2;
        let problem = StageState::default().apply(instruction, &dockerfile, &BuildArguments::new());
        assert!(problem.expect_err("it is refused").to_string().contains(part), "{text}");
    }
    let unset = Problem::Unset { name: "X".into(), reason: "say-it".into() };
    assert_eq!(
        Dockerfile::parse("FROM ${X:?say-it}", &BuildArguments::new(), PLATFORM)
            .map_err(|error| error.problem),
        Err(unset)
    );
}

#[test]
fn patterns_leave_out_what_they_name_and_all_below_it() {
    let rules = IgnoreRules::parse(
        "# a comment\n*/temp*\n/node_modules/\n**/*.log\n!keep.log\ndocs/**\n!docs/**/*.md\nx?y\n[a-c]1\n\\!odd\n./dot/../built\n",
    )
    .expect("patterns");
    for path in [
        "a/temp",
        "a/temporary/x",
        "node_modules",
        "node_modules/a/b",
        "x.log",
        "a/b/x.log",
        "docs/a",
        "xzy",
        "x\u{e9}y",
        "b1",
        "!odd",
        "built/x",
    ] {
        assert!(rules.leaves_out(path.as_bytes()), "{path}");
    }
    for path in
        ["temp", "a/b/temp", "a/node_modules", "keep.log", "docs/a/b.md", "x/y", "xy", "d1", "dot", "x.logs"]
    {
        assert!(!rules.leaves_out(path.as_bytes()), "{path}");
    }
    assert!(rules.has_exceptions());
    let all = IgnoreRules::parse("*\n!src\n").expect("patterns");
    assert!(all.leaves_out(b"a") && !all.leaves_out(b"src") && !all.leaves_out(b"src/main.c"));
    assert_eq!(
        IgnoreRules::parse("a\n[b").expect_err("no pattern").to_string(),
        "line 2: \"[b\" is no pattern"
    );
}

#[test]
fn a_wildcard_stays_within_one_name() {
    let wildcard = crate::Wildcard::new("src/*.[ch]").expect("a pattern");
    assert!(wildcard.fits(b"src/a.c") && wildcard.fits(b"src/.h"));
    assert!(!wildcard.fits(b"src/a/b.c") && !wildcard.fits(b"src/a.cc"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(
        pieces in proptest::collection::vec(
            proptest::sample::select(vec![
                "FROM a", "FROM scratch AS b\n", "RUN ", "COPY ", "--from=0 ", "<<EOF", "EOF\n", "ENV ", "A=", "\"", "'", "${",
                "}", ":-", "\\", "\\\n", "`", "\n", " ", "# escape=`\n", "[", "]", "\"x\"", ",", "$A", "ARG ", "*", "\u{e9}", "\r\n",
                "LABEL ", "EXPOSE 1", "#", "--", "=", "\t", "\u{feff}",
            ]).prop_map(str::to_owned),
            0..40,
        )
    ) {
        let text = pieces.concat();
        let given = BuildArguments::new();
        if let Ok(dockerfile) = Dockerfile::parse(&text, &given, PLATFORM) {
            for stage in &dockerfile.stages {
                let mut state = StageState::default();
                for (line, _, instruction) in &stage.instructions {
                    prop_assert!(*line >= stage.line);
                    state.apply(instruction, &dockerfile, &given).ok();
                }
                prop_assert!(state.directory.is_empty() || state.directory.starts_with('/'));
            }
        }
        IgnoreRules::parse(&text).ok();
    }

    #[test]
    fn a_word_without_special_characters_stays_as_it_is(word in any::<String>()) {
        let plain: String = word.chars().filter(|c| !matches!(c, '$' | '\\' | '"' | '\'')).collect();
        prop_assert!(expand(&plain, '\\', &|_| None).as_deref() == Ok(plain.as_str()));
    }
}

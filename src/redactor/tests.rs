use base64::{Engine as _, prelude::BASE64_STANDARD};
use proptest::prelude::*;

use super::*;

fn owner(server: Option<&str>, secret: Secret) -> Owner {
    Owner { server: server.map(Into::into), source: Source::Declared(secret) }
}

fn knowing(values: &[&str]) -> Redactor {
    let redactor = Redactor::default();
    for value in values {
        redactor.learn(owner(None, Secret::literal(*value)), &SecretString::from(*value));
    }
    redactor
}

#[test]
fn what_is_no_secret_stays_as_it_is() {
    let redactor = knowing(&["hunter2-hunter2"]);
    assert_eq!(redactor.redact("hunter2 alone"), "hunter2 alone");
    assert_eq!(knowing(&[]).redact("anything"), "anything");
    assert_eq!(knowing(&["abc"]).redact("abcabc"), "abcabc");
}

#[test]
fn the_latest_values_of_a_reference_are_remembered() {
    let redactor = Redactor::default();
    let learn = |n: u32| {
        let value = SecretString::from(format!("token-number-{n:02}"));
        redactor.learn(owner(None, Secret::env("TOKEN")), &value)
    };
    (0..20).for_each(|n| assert!(learn(n)));
    assert_eq!(redactor.redact("token-number-19 token-number-12"), "[redacted] [redacted]");
    assert_eq!(redactor.redact("token-number-00"), "token-number-00");
    // One that is in use again is not an old one.
    assert!(learn(12) && learn(20));
    assert_eq!(redactor.redact("token-number-12 token-number-13"), "[redacted] token-number-13");
}

#[test]
fn secrets_that_are_called_the_same_do_not_push_each_other_out() {
    let redactor = Redactor::default();
    let value = |kind: &str, n: u32| format!("{kind}-number-{n:02}");
    for n in 0..40 {
        let literal = value("literal", n);
        redactor.learn(owner(None, Secret::literal(literal.as_str())), &literal.into());
        let (path, printed) = (format!("secret/{n}"), value("printed", n));
        redactor.learn(owner(None, Secret::exec(["vault", "read", &path])), &printed.into());
    }
    for n in 0..40 {
        let told = format!("{} {}", value("literal", n), value("printed", n));
        assert_eq!(redactor.redact(&told), "[redacted] [redacted]", "{told}");
    }
}

#[test]
fn what_is_made_of_a_secret_does_not_push_it_out() {
    let redactor = Redactor::default();
    let source = || Secret::file("password");
    for n in 0..REMEMBERED {
        let value = SecretString::from(format!("password-{n}"));
        redactor.learn(owner(None, source()), &value);
        let made = Owner { server: None, source: Source::Made(source()) };
        redactor.learn(made, &SecretString::from(format!("made-of-it-{n}")));
    }
    for n in 0..REMEMBERED {
        let told = format!("password-{n} made-of-it-{n}");
        assert_eq!(redactor.redact(&told), "[redacted] [redacted]");
    }
}

#[test]
fn whatever_is_learnt_holds_for_everybody_from_then_on() {
    let redactor = Redactor::default();
    std::thread::scope(|threads| {
        for thread in 0..4 {
            let redactor = &redactor;
            threads.spawn(move || {
                for n in 0..50 {
                    let value = format!("secret-{thread}-{n}-of-many");
                    let owner = owner(None, Secret::literal(value.as_str()));
                    assert!(redactor.learn(owner, &SecretString::from(value.as_str())));
                    assert!(!redactor.is_idle());
                    assert_eq!(redactor.redact(&value), "[redacted]");
                }
            });
        }
    });
}

#[test]
fn redacted_json_is_json() {
    let redactor = knowing(&["a\",\"b"]);
    let json = |text: &str| RawValue::from_string(text.to_owned()).unwrap();
    let redacted = |text: &str| redactor.redact_json(&json(text)).unwrap().get().to_owned();
    assert_eq!(redacted(r#"{"x":"a\",\"b"}"#), r#"{"x":"[redacted]"}"#);
    assert_eq!(redacted(r#"["a","b"]"#), r#"["[redacted]"]"#);
    assert_eq!(redacted(r#"{"a":"a","b":1}"#), r#""[redacted]""#);
}

#[test]
fn a_secret_of_another_server_is_found_and_ones_own_is_not() {
    let redactor = Redactor::default();
    let value = SecretString::from("s3cr3t-of-a");
    let of = |server| owner(server, Secret::env("X"));
    redactor.learn(of(Some("a")), &value);
    redactor.learn(of(None), &SecretString::from("of-the-session"));
    assert_eq!(redactor.stranger(b"..s3cr3t-of-a..", "b").as_deref(), Some("a"));
    assert_eq!(redactor.stranger(b"..s3cr3t-of-a..", "a"), None);
    assert_eq!(redactor.stranger(b"of-the-session", "b"), None);
    redactor.learn(of(Some("b")), &value);
    assert_eq!(redactor.stranger(b"..s3cr3t-of-a..", "b"), None);
}

/// Values as secrets are, and worse ones.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9_-]{8,40}", "[ -~]{8,24}", "[ -~äß\u{1F511}\n\t]{8,24}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_form_of_a_secret_is_left(value in value(), before in "[a-z:]{0,5}", after in "[a-z]{0,5}") {
        let redactor = knowing(&[&value]);
        for form in forms::of(&value) {
            let form = String::from_utf8(form).unwrap();
            let text = format!("{before}{form}{after}");
            if form.len() >= SHORTEST {
                prop_assert!(!redactor.redact(&text).contains(&form), "{text:?}");
            }
        }
        // Inside of a longer base64, but for letters that are shared with what is around it.
        let pair = BASE64_STANDARD.encode(format!("{before}{value}{after}"));
        let redacted = redactor.redact(&pair);
        prop_assert!(redacted.contains(REDACTED), "{pair} stayed {redacted}");
    }

    #[test]
    fn cutting_a_text_changes_nothing(
        value in value(),
        other in value(),
        text in "[a-z \n]{0,20}",
        cuts in prop::collection::vec(0usize..200, 0..8),
    ) {
        let redactor = knowing(&[&value, &other]);
        let whole = format!("{text}{value}{text}{other}{other}{text}.");
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % (whole.len() + 1)).collect();
        cuts.sort_unstable();
        let mut stream = redactor.stream();
        let (mut told, mut from) = (Vec::new(), 0);
        for cut in cuts {
            told.extend(stream.push(&whole.as_bytes()[from..cut]));
            from = cut;
        }
        told.extend(stream.push(&whole.as_bytes()[from..]));
        told.extend(stream.finish());
        let told = String::from_utf8_lossy(&told);
        prop_assert!(!told.contains(&value) && !told.contains(&other), "{told:?}");
        prop_assert_eq!(told, redactor.redact(&whole));
    }

    #[test]
    fn the_beginning_of_a_secret_at_the_end_is_not_told(value in "[A-Za-z0-9]{12,40}", kept in 5usize..11) {
        let redactor = knowing(&[&value]);
        let mut stream = redactor.stream();
        let mut told = stream.push(format!("x {}", &value[..kept]).as_bytes());
        told.extend(stream.finish());
        prop_assert_eq!(String::from_utf8(told).unwrap(), "x [redacted]");
    }
}

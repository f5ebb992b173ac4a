//! Names of tools: the canonical id, and the form that model providers accept.

use sha2::{Digest as _, Sha256};

/// What providers accept: `[A-Za-z0-9_-]`, at most this many bytes.
const LONGEST: usize = 64;
/// `_x` and thirteen characters of hash.
const SUFFIX: usize = 2 + HASH;
const HASH: usize = 13;
/// Five bits each; no capitals, so that names survive a provider that folds case.
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// The canonical id: `<prefix>.<tool>`, or the bare `<tool>` where the prefix is empty.
pub(super) fn tool_id(prefix: &str, tool: &str) -> String {
    if prefix.is_empty() { tool.to_owned() } else { format!("{prefix}.{tool}") }
}

/// A name that model providers accept: a function of prefix and tool alone, so that no neighbour
/// can change it, and never the same for two ids.
///
/// `git` and `status` give `git__status`. Whatever could be read in two ways that way, or does not
/// fit, gives a readable part and a hash of the canonical id (65 bits of SHA-256).
pub(super) fn llm_name(prefix: &str, tool: &str) -> String {
    plain(prefix, tool).unwrap_or_else(|| {
        let id = tool_id(prefix, tool);
        let mut name: String =
            id.chars().take(LONGEST - SUFFIX).map(|c| if is_safe(c) { c } else { '_' }).collect();
        name.push_str("_x");
        push_hash(&mut name, &id);
        name
    })
}

/// The readable form, if prefix and tool can be read back from it and it is no hashed form.
fn plain(prefix: &str, tool: &str) -> Option<String> {
    let (name, unambiguous) = if prefix.is_empty() {
        (tool.to_owned(), !tool.contains("__"))
    } else {
        (format!("{prefix}__{tool}"), !prefix.contains("__") && !prefix.ends_with('_'))
    };
    let fits = !tool.is_empty() && name.len() <= LONGEST && name.chars().all(is_safe);
    (unambiguous && fits && !looks_hashed(&name)).then_some(name)
}

fn is_safe(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

fn looks_hashed(name: &str) -> bool {
    name.len().checked_sub(SUFFIX).is_some_and(|at| {
        let (mark, hash) = name.as_bytes()[at..].split_at(2);
        mark == b"_x" && hash.iter().all(|b| DIGITS.contains(b))
    })
}

fn push_hash(name: &mut String, id: &str) {
    let digest = Sha256::digest(id.as_bytes());
    let mut bits = u128::from_be_bytes(std::array::from_fn(|at| digest[at]));
    for _ in 0..HASH {
        name.push(char::from(DIGITS[(bits >> 123) as usize]));
        bits <<= 5;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_names_stay_readable() {
        assert_eq!(llm_name("git", "status"), "git__status");
        assert_eq!(llm_name("", "status"), "status");
        assert_eq!(llm_name("a-b", "c_d__e"), "a-b__c_d__e");
    }

    #[test]
    fn names_that_could_be_mistaken_get_a_hash() {
        let tricky = [
            ("a", "_b"),
            ("a_", "b"),
            ("a_", "_b"),
            ("a__b", "c"),
            ("a", "b__c"),
            ("", "a__b"),
            ("", "a.b"),
            ("a", "b"),
            ("a", "b.c"),
            ("a", "b/c"),
            ("a", "b c"),
            ("a", ""),
        ];
        let names: HashMap<_, _> = tricky.iter().map(|(p, t)| (llm_name(p, t), (p, t))).collect();
        assert_eq!(names.len(), tricky.len(), "{names:?}");
        let hashed = llm_name("a", "b c");
        assert!(llm_name("", &hashed) != hashed, "a bare tool may be named like a hashed form");
    }

    fn part() -> impl Strategy<Value = String> {
        prop_oneof!["[a-b_]{0,6}", "[a-c_.x2-]{0,70}", "\\PC{0,80}", "[a-z]{0,4}_x[a-z2-7]{13}"]
    }

    fn prefix() -> impl Strategy<Value = String> {
        prop_oneof![Just(String::new()), "[a-b][a-b_-]{0,5}", "[A-Za-z][A-Za-z0-9_-]{0,63}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn every_name_is_one_that_providers_accept(prefix in prefix(), tool in part()) {
            let name = llm_name(&prefix, &tool);
            prop_assert!(!name.is_empty() && name.len() <= LONGEST, "{name}");
            prop_assert!(name.chars().all(is_safe), "{name}");
        }

        #[test]
        fn different_tools_have_different_names(a in (prefix(), part()), b in (prefix(), part())) {
            // Names are given to ids: two pairs with one id are one tool (or a collision).
            prop_assume!(tool_id(&a.0, &a.1) != tool_id(&b.0, &b.1));
            prop_assert_ne!(llm_name(&a.0, &a.1), llm_name(&b.0, &b.1));
        }
    }
}

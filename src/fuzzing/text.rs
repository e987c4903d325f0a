//! Text and JSON that a policy or a budget is held against, and names of files.

use crate::guard::policy::{TextAction, TextClass, TextPolicy};
use crate::guard::redact::secrets;
use crate::guard::sanitize::{Verdict, json, plain};
use crate::guard::text::Escaped;
use crate::protocol::envelope::{ParseLimits, parse};
use crate::protocol::exact::{Bounds, Flaw, look, scan};
use crate::root_dir::name::{Name, path_of_uri};
use serde_json::Value;
use serde_json::value::RawValue;
use std::path::Component;

const ACTIONS: [TextAction; 4] = [TextAction::Reject, TextAction::Strip, TextAction::Mark, TextAction::Allow];

/// What is let pass holds nothing that the policy does not let pass; a second look changes nothing; JSON is seen as what it says.
pub(super) fn sanitizer(bytes: &[u8]) {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let text = String::from_utf8_lossy(rest);
    let action = |shift: u8| ACTIONS.get(usize::from(choice >> shift & 3)).copied().unwrap_or(TextAction::Strip);
    let policy = TextPolicy::all(action(0))
        .with(TextClass::Direction, action(2))
        .with(TextClass::Tags, action(4))
        .with(TextClass::Invisible, action(6));
    let verdict = plain(&text, &policy);
    if let Verdict::Changed(clean, count) = &verdict {
        assert!(*count > 0 && *clean != text);
        assert_eq!(plain(clean, &policy), Verdict::Clean, "{text:?} became {clean:?}");
    }
    let refused = matches!(verdict, Verdict::Refused(_));
    assert_eq!(refused, matches!(plain(&text, &policy.strict()), Verdict::Refused(_)) && refused);
    assert!(!matches!(plain(&text, &policy.lenient()), Verdict::Refused(_)));
    // As serde_json writes it, and with everything escaped that can be.
    let written = serde_json::to_string(&text).unwrap();
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
    for written in [written, format!("\"{escaped}\"")] {
        match (&verdict, json(&written, &policy)) {
            (Verdict::Clean, Verdict::Clean) => {}
            (Verdict::Changed(clean, count), Verdict::Changed(read, again)) => {
                assert_eq!((serde_json::from_str::<String>(&read).unwrap(), again), (clean.clone(), *count));
            }
            (Verdict::Refused(plain), Verdict::Refused(read)) => assert_eq!(plain.letter, read.letter),
            (plain, read) => panic!("{text:?}: {plain:?}, and as JSON {read:?}"),
        }
    }
    let found = secrets(rest);
    assert!(found.iter().all(|secret| secret.start < secret.end && secret.end <= rest.len()));
    assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
    let shown = Escaped::new(rest, 100).to_string();
    assert!(matches!(plain(&shown, &TextPolicy::all(TextAction::Reject)), Verdict::Clean), "{shown:?}");
    assert!(!shown.contains(['\n', '\r', '\t', '\u{2028}']) && shown.chars().count() < 130);
}

/// The counts are those of what serde_json reads, and nothing passes that it does not read.
pub(super) fn budget(text: &str) {
    let limits = ParseLimits { max_depth: 12, max_nodes: 40, max_string: 60 };
    if parse(text, &limits).is_ok() {
        let Ok(facts) = scan(text, &Bounds::NONE) else { panic!("{text} has a flaw") };
        assert!(serde_json::from_str::<&RawValue>(text).is_ok(), "accepted what is no JSON: {text}");
        assert!(facts.depth <= 12 && facts.nodes <= 40, "{text}: {facts:?}");
    }
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let facts = match look(text, false) {
        Ok(facts) => facts,
        Err(Flaw::Twice(place)) => return assert!(value.pointer(&place).is_some(), "{place} is not in {text}"),
        Err(flaw) => panic!("{flaw:?} in {text}"),
    };
    let (nodes, depth, longest) = measured(&value);
    assert_eq!((facts.nodes, facts.depth), (nodes, depth), "{text}");
    let with = |nodes, depth, string_bytes| scan(text, &Bounds { nodes, depth, string_bytes, ..Bounds::NONE });
    assert!(with(nodes, depth, usize::MAX).is_ok());
    assert_eq!(with(nodes - 1, depth, usize::MAX), Err(Flaw::TooMany));
    if let Some(less) = depth.checked_sub(1) {
        assert_eq!(with(usize::MAX, less, usize::MAX), Err(Flaw::TooDeep));
    }
    // As it stands there, a string is no shorter than what it says; an escape of six bytes may say one.
    if let Some(less) = longest.checked_sub(1) {
        assert!(with(usize::MAX, usize::MAX, less).is_err());
    }
    assert!(with(usize::MAX, usize::MAX, longest.saturating_mul(6)).is_ok());
}

/// Values with names of members, depth, and bytes of the longest string.
fn measured(value: &Value) -> (usize, usize, usize) {
    let join = |(nodes, depth, longest): (usize, usize, usize), inner: &Value| {
        let (more, deep, long) = measured(inner);
        (nodes + more, depth.max(deep + 1), longest.max(long))
    };
    match value {
        Value::String(text) => (1, 0, text.len()),
        Value::Array(elements) => elements.iter().fold((1, 1, 0), join),
        Value::Object(members) => members.iter().fold((1, 1, 0), |(nodes, depth, longest), (name, value)| {
            join((nodes + 1, depth, longest.max(name.len())), value)
        }),
        _ => (1, 0, 0),
    }
}

/// A name leads nowhere but down, and an address says it in one way.
pub(super) fn path(text: &str) {
    if let Ok(name) = Name::of(text) {
        let path = name.as_path();
        assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{text:?}");
        assert_eq!(path.to_str(), Some(text));
        assert!(!text.contains('\0') && !text.is_empty());
    }
    if let Ok(path) = path_of_uri(text) {
        assert!(path.starts_with('/') && !path.contains('\0'), "{text:?}");
        assert!(path.split('/').all(|part| part != ".." && part != "."), "{text:?} names {path:?}");
        assert_eq!(path.split('/').count(), text.matches('/').count() - 1, "{text:?} names {path:?}");
        // Whoever resolves escapes again finds none.
        assert_eq!(crate::protocol::percent::decode(&path.replace('%', "%25"), |_| true).as_deref(), Some(&*path));
    }
}

//! A strict reader of Prometheus's text format 0.0.4: whatever it does not know, it refuses.

use std::collections::{BTreeMap, BTreeSet};

/// Labels in the order of their names.
pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Default)]
pub struct Metrics {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, Labels), f64>,
}

impl Metrics {
    /// Reads and checks a page.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let mut metrics = Self::default();
        let mut finished: BTreeSet<String> = BTreeSet::new();
        let mut family = String::new();
        let mut helped = String::new();
        assert!(text.ends_with('\n'), "the last line has to end");
        for line in text.strip_suffix('\n').expect("checked").split('\n') {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let (name, help) = help.split_once(' ').expect("a help text");
                assert!(!help.is_empty() && finished.insert(name.into()), "{line}: twice");
                helped = name.into();
            } else if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a kind");
                assert_eq!(name, helped, "TYPE follows HELP");
                assert!(is_name(name) && matches!(kind, "counter" | "gauge" | "histogram"), "{line}");
                assert_eq!(kind == "counter", name.ends_with("_total"), "{line}: counters end in _total");
                assert!(metrics.kinds.insert(name.into(), kind.into()).is_none());
                family = name.into();
            } else {
                metrics.sample(&family, line);
            }
        }
        metrics.check_histograms();
        metrics
    }

    #[track_caller]
    fn sample(&mut self, family: &str, line: &str) {
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("no value: {line:?}"));
        let (name, rest) = line.split_at(end);
        let suffixes: &[&str] = match self.kinds[family].as_str() {
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(suffixes.iter().any(|suffix| name == format!("{family}{suffix}")), "{line:?} is not of {family}");
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => labels(rest),
            None => (Labels::new(), rest),
        };
        let value = value.strip_prefix(' ').unwrap_or_else(|| panic!("no value: {line:?}"));
        let number: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line:?}"));
        assert!(number.is_finite() && number >= 0.0, "{line:?}");
        assert!(self.samples.insert((name.into(), labels), number).is_none(), "twice: {line:?}");
    }

    /// Buckets grow, the last is +Inf and equals the count.
    #[track_caller]
    fn check_histograms(&self) {
        let histograms = self.kinds.iter().filter(|(_, kind)| *kind == "histogram").map(|(name, _)| name);
        for name in histograms {
            let mut series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
            for ((_, labels), value) in self.samples.iter().filter(|((of, _), _)| *of == format!("{name}_bucket")) {
                let mut labels = labels.clone();
                let le = labels.remove("le").expect("an upper bound");
                let bound = if le == "+Inf" { f64::INFINITY } else { le.parse().expect("a bound") };
                series.entry(labels).or_default().push((bound, *value));
            }
            for (labels, mut buckets) in series {
                buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
                assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}: {buckets:?}");
                let (bound, count) = *buckets.last().expect("a bucket");
                assert_eq!(bound, f64::INFINITY);
                assert_eq!(self.samples[&(format!("{name}_count"), labels.clone())], count);
                assert!(self.samples.contains_key(&(format!("{name}_sum"), labels)));
            }
        }
    }

    pub fn kind(&self, name: &str) -> Option<&str> {
        self.kinds.get(name).map(String::as_str)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.kinds.keys().map(String::as_str)
    }

    /// The value with exactly these labels.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    #[track_caller]
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).unwrap_or_else(|| panic!("no {name} {labels:?}"))
    }

    /// All samples of that name with their labels.
    pub fn all(&self, name: &str) -> Vec<(&Labels, f64)> {
        self.samples.iter().filter(|((of, _), _)| of == name).map(|((_, labels), value)| (labels, *value)).collect()
    }
}

fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// Reads `name="value",…}`; returns what follows.
#[track_caller]
fn labels(mut rest: &str) -> (Labels, &str) {
    let mut labels = Labels::new();
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label");
        assert!(is_name(name), "{name:?}");
        let mut text = String::new();
        let mut letters = value.char_indices();
        let end = loop {
            match letters.next().expect("the end of a value") {
                (at, '"') => break at,
                (_, '\\') => match letters.next().expect("an escape").1 {
                    'n' => text.push('\n'),
                    letter @ ('\\' | '"') => text.push(letter),
                    letter => panic!("no such escape: {letter:?}"),
                },
                (_, letter) => text.push(letter),
            }
        };
        assert!(labels.insert(name.into(), text).is_none(), "{name} twice");
        rest = &value[end + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, rest.strip_prefix('}').expect("the end of the labels")),
        }
    }
}

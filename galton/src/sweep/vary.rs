//! What is varied, and what against: the lists of `--vary` and `--reference`.

/// A key and the values it takes, one after the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vary {
    pub(super) key: String,
    pub(super) values: Vec<String>,
}

/// Overrides that belong together.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reference(pub(super) Vec<(String, String)>);

/// Parses `KEY=V1,V2,…`.
pub(super) fn vary(text: &str) -> Result<Vary, String> {
    let (key, values) = text.split_once('=').ok_or("expected KEY=V1,V2,…, such as load_balancer.hosts=1,2,4")?;
    let values: Vec<String> = split(values).into_iter().map(str::to_owned).collect();
    if key.is_empty() {
        return Err("the key is empty".to_owned());
    }
    for (n, value) in values.iter().enumerate() {
        if value.is_empty() {
            return Err(format!("value {} of {} is empty", n + 1, values.len()));
        }
        if values[..n].contains(value) {
            return Err(format!("value {value} is there twice"));
        }
    }
    Ok(Vary { key: key.to_owned(), values })
}

/// Parses `KEY=VALUE[,KEY=VALUE…]`.
pub(super) fn reference(text: &str) -> Result<Reference, String> {
    let one = |part: &str| match part.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, such as load_balancer.architecture=least_conns".to_owned()),
    };
    split(text).into_iter().map(one).collect::<Result<_, String>>().map(Reference)
}

/// At commas, but for those within lists, objects and strings of JSON.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    text.split(|letter| {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0 && !quoted
    })
    .map(str::trim)
    .collect()
}

// === impl Reference ===

impl Reference {
    /// As it was given.
    pub(super) fn label(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(key, value)| format!("{key}={value}")).collect();
        pairs.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_split_at_commas_outside_of_json() {
        let of = |text| vary(text).unwrap().values;
        assert_eq!(of("a.b=0, 10,x"), ["0", "10", "x"]);
        assert_eq!(of(r#"a=[1,2],{"b":[3,4]},"5,\"6""#), ["[1,2]", r#"{"b":[3,4]}"#, r#""5,\"6""#]);
        assert_eq!(vary("a.b=c=d").unwrap(), Vary { key: "a.b".to_owned(), values: vec!["c=d".to_owned()] });
    }

    #[test]
    fn what_is_no_list_is_refused_with_the_place() {
        let why = |text| vary(text).unwrap_err();
        assert!(why("a.b").starts_with("expected KEY=V1,V2"));
        assert_eq!(why("=1"), "the key is empty");
        assert_eq!(why("a=1,,2"), "value 2 of 3 is empty");
        assert_eq!(why("a="), "value 1 of 1 is empty");
        assert_eq!(why("a=1,2,1"), "value 1 is there twice");
        assert!(reference("a=1,b").unwrap_err().starts_with("expected KEY=VALUE"));
    }

    #[test]
    fn a_reference_may_have_several_overrides() {
        let both = reference("a.b=lc,c=[1,2]").unwrap();
        assert_eq!(both.0.len(), 2);
        assert_eq!(both.label(), "a.b=lc, c=[1,2]");
    }
}

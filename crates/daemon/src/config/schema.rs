//! The JSON Schema of a configuration file, for editors and for those who make files by program. It is made of the types, so that it
//! cannot say anything else; what no schema can say, that two keys go together for example, is found when the file is loaded.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::{Config, EffectiveSetting};

/// Makes the schema: draft 2020-12, every default and every environment variable in its place.
#[must_use]
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<Config>().to_value();
    say_plainly(&mut schema);
    for EffectiveSetting { key, value, variable, .. } in Config::default().effective() {
        if let Some(property) = property(&mut schema, key) {
            property.insert("x-environment".to_owned(), json!(variable));
            if let Some(default) = default(property, &value) {
                property.insert("default".to_owned(), default);
            }
        }
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), json!("Configuration of Sandkasten"));
        root.insert("description".to_owned(), json!("A file such as /etc/sandkasten/sandkasten.yaml."));
    }
    schema
}

/// The property that a key such as `defaults.cpu_limit` is.
fn property<'a>(schema: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    key.split('.')
        .try_fold(schema, |schema, part| schema.get_mut("properties")?.get_mut(part))?
        .as_object_mut()
}

/// The default as JSON, where it is a single value; lists and maps that are empty are said to be so.
fn default(property: &Map<String, Value>, shown: &str) -> Option<Value> {
    let kinds = match property.get("type") {
        Some(Value::Array(kinds)) => kinds.clone(),
        Some(kind) => vec![kind.clone()],
        None => Vec::new(),
    };
    let is = |kind: &str| kinds.iter().any(|known| known == kind);
    match shown {
        shown if shown.starts_with('(') || shown.is_empty() => None,
        shown if is("integer") || is("number") || is("boolean") => serde_json::from_str(shown).ok(),
        shown if is("array") => Some(shown.split(',').map(str::to_owned).collect()),
        _ if is("object") => None,
        shown => Some(json!(shown)),
    }
}

/// Takes what is for readers of the sources out of descriptions: names of types in brackets.
fn say_plainly(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" => {
                        *text = text.replace("[`", "`").replace("`]", "`")
                    }
                    member => say_plainly(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(say_plainly),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{property, schema};
    use crate::config::Config;

    #[test]
    fn every_key_is_described_and_no_other_is_taken() {
        let mut schema = schema();
        for setting in Config::default().effective() {
            let property = property(&mut schema, setting.key).expect(setting.key);
            assert_eq!(property["x-environment"], json!(setting.variable), "{}", setting.key);
            assert!(property["description"].as_str().is_some_and(|text| !text.is_empty()), "{}", setting.key);
        }
        let sections = |value: &Value| value["properties"].as_object().expect("properties").clone();
        assert_eq!(schema["additionalProperties"], false);
        for (name, section) in
            sections(&schema).iter().filter(|(_, section)| section.get("properties").is_some())
        {
            assert_eq!(section["additionalProperties"], false, "{name}");
        }
        assert!(!schema.to_string().contains("$ref"), "editors need not look elsewhere");
    }

    #[test]
    fn bounds_words_and_defaults_are_those_of_the_types() {
        let schema = schema();
        let at = |pointer: &str| schema.pointer(&format!("/properties/{pointer}")).cloned();
        assert_eq!(at("db_max_open_conns/minimum"), Some(json!(1)));
        assert_eq!(at("db_max_open_conns/maximum"), Some(json!(64)));
        assert_eq!(at("db_max_open_conns/default"), Some(json!(4)));
        assert_eq!(at("listen/default"), Some(json!("127.0.0.1:8080")));
        assert_eq!(at("defaults/properties/mem_limit_mb/default"), Some(json!(512)));
        assert_eq!(at("defaults/properties/readonly_rootfs/default"), Some(json!(true)));
        let words = at("security/properties/seccomp").expect("a key").to_string();
        assert!(["off", "mvp", "strict"].iter().all(|word| words.contains(word)), "{words}");
        assert_eq!(at("api_key/default"), None);
    }
}

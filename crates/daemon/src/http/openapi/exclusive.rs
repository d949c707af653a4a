//! Fields of which a request gives exactly one. A derived schema cannot say so; the daemon refuses none and several.

use std::collections::BTreeMap;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};

/// Schemas, and their fields of which exactly one is given. `null` counts as not given.
const EXCLUSIVE: [(&str, [&str; 2]); 5] = [
    ("ExecRequest", ["cmd", "argv"]),
    ("ProcessRequest", ["cmd", "argv"]),
    ("WriteFileRequest", ["content_base64", "text"]),
    ("EditFileRequest", ["edits", "patch"]),
    ("SearchRequest", ["literal", "regex"]),
];

/// Makes each of these schemas a choice between two objects: one with the first field and one with the second.
pub(super) fn mark(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, [one, other]) in EXCLUSIVE {
        let Some(RefOr::T(Schema::Object(object))) = schemas.remove(name) else {
            panic!("{name} is the object that a route takes");
        };
        let description = object.description.clone();
        let choice = OneOfBuilder::new()
            .description(description)
            .item(only(object.clone(), one, other))
            .item(only(object, other, one));
        schemas.insert(name.to_owned(), RefOr::T(Schema::OneOf(choice.build())));
    }
}

/// A request with one of the fields.
fn only(mut object: Object, given: &str, absent: &str) -> Object {
    object.title = Some(format!("With {given}"));
    object.description = None;
    object.required.push(given.to_owned());
    if let Some(field) = object.properties.get_mut(given) {
        refuse_null(field);
    }
    let null = ObjectBuilder::new().schema_type(Type::Null).build();
    object.properties.insert(absent.to_owned(), RefOr::T(Schema::Object(null)));
    object
}

/// Takes `null` off what a field may be.
fn refuse_null(field: &mut RefOr<Schema>) {
    let not_null = |kind: &mut SchemaType| {
        if let SchemaType::Array(kinds) = kind {
            kinds.retain(|kind| *kind != Type::Null);
            if let [only] = kinds.as_slice() {
                *kind = SchemaType::Type(only.clone());
            }
        }
    };
    match field {
        RefOr::T(Schema::Object(object)) => not_null(&mut object.schema_type),
        RefOr::T(Schema::Array(array)) => not_null(&mut array.schema_type),
        RefOr::T(Schema::OneOf(choice)) => {
            let described = choice.items.iter().find(|item| matches!(item, RefOr::Ref(_))).cloned();
            if let Some(described) = described {
                *field = described;
            }
        }
        _ => {}
    }
}

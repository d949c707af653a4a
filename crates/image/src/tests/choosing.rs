//! Which image is taken of several, and of one for several machines.

use std::fs;

use serde_json::{Value, json};

use super::saved::{image, import_stream, refusal};
use super::saved_image::{Files, descriptor, pack, with_index};
use super::{Tarball, require_root};
use crate::source::documents::OCI_INDEX;
use crate::{ImportError, ReadImageError};

fn annotated(mut descriptor: Value, reference: &str) -> Value {
    descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": reference});
    descriptor
}

fn for_platform(mut descriptor: Value, os: &str, architecture: &str) -> Value {
    descriptor["platform"] = json!({"os": os, "architecture": architecture});
    descriptor
}

#[test]
fn one_of_several_images_is_taken_by_its_name() {
    require_root!();
    let mut files = Files::new();
    let one = annotated(image("one").put(&mut files), "app:1");
    let two = annotated(image("two").put(&mut files), "app:2");
    let layout = pack(&with_index(files, &[one.clone(), two]));
    let error = refusal(&layout, None);
    assert_eq!(error.to_string(), "there is more than one image: app:1, app:2");
    let error = refusal(&layout, Some("app:3"));
    assert_eq!(error.to_string(), "there is no image \"app:3\"; there is app:1, app:2");
    for reference in ["app:1", one["digest"].as_str().unwrap()] {
        let (fixture, report) = import_stream(&layout, Some(reference));
        let layer = report.unwrap().layers[1].diff_id.hexadecimal();
        let contents = fs::read_to_string(fixture.data_dir().join("layers").join(layer).join("f")).unwrap();
        assert_eq!(contents, "one");
    }

    let (one, two) =
        (image("one").docker_archive(&["app:1", "app:latest"]), image("two").docker_archive(&["app:2"]));
    let mut manifest: Vec<Value> = serde_json::from_slice(&one["manifest.json"]).unwrap();
    manifest.extend(serde_json::from_slice::<Vec<Value>>(&two["manifest.json"]).unwrap());
    let mut files: Files = one.into_iter().chain(two).collect();
    files.insert("manifest.json".to_owned(), json!(manifest).to_string().into_bytes());
    let error = refusal(&pack(&files), None);
    assert_eq!(error.to_string(), "there is more than one image: app:1, app:latest, app:2");
    let (fixture, report) = import_stream(&pack(&files), Some("app:2"));
    let layer = report.unwrap().layers[1].diff_id.hexadecimal();
    assert_eq!(fs::read_to_string(fixture.data_dir().join("layers").join(layer).join("f")).unwrap(), "two");
}

#[test]
fn a_name_asked_for_in_a_root_file_system_is_an_error() {
    require_root!();
    let (fixture, result) = import_stream(&Tarball::new().file("f", "").bytes(), Some("app:1"));
    assert!(matches!(result, Err(ImportError::NoReference { .. })));
    fixture.assert_untouched();
}

#[test]
fn of_images_for_several_machines_that_for_this_one_is_taken() {
    require_root!();
    let ours = if cfg!(target_arch = "x86_64") { "amd64" } else { "arm64" };
    let put = |machines: &[(&str, &str)], nested: bool| {
        let mut files = Files::new();
        let mut manifests: Vec<Value> = machines
            .iter()
            .map(|(os, architecture)| {
                for_platform(image(&format!("{os}/{architecture}")).put(&mut files), os, architecture)
            })
            .collect();
        // What builders say about the images beside them.
        let mut about = for_platform(image("attestation").put(&mut files), "unknown", "unknown");
        about["annotations"] = json!({"vnd.docker.reference.type": "attestation-manifest"});
        manifests.push(about);
        if nested {
            let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
            manifests = vec![descriptor(&mut files, OCI_INDEX, index.as_bytes())];
        }
        pack(&with_index(files, &manifests))
    };
    for nested in [true, false] {
        let (fixture, report) =
            import_stream(&put(&[("windows", ours), ("linux", "s390x"), ("linux", ours)], nested), None);
        let layer = report.unwrap().layers[1].diff_id.hexadecimal();
        let contents = fs::read_to_string(fixture.data_dir().join("layers").join(layer).join("f")).unwrap();
        assert_eq!(contents, format!("linux/{ours}"));
        let error = refusal(&put(&[("linux", "s390x"), ("linux", "riscv64x")], nested), None);
        assert_eq!(
            error.to_string(),
            format!("there is no image for linux/{ours}; there is one for linux/s390x, linux/riscv64x")
        );
    }
    let mut foreign = image("x");
    foreign.configuration["architecture"] = json!("s390x");
    for files in [foreign.layout(), foreign.docker_archive(&[])] {
        let error = refusal(&pack(&files), None);
        assert!(matches!(error, ReadImageError::Platform { .. }), "{error:?}");
    }
}

#[test]
fn indexes_that_lead_to_each_other_end() {
    require_root!();
    let mut files = Files::new();
    let mut manifest = image("x").put(&mut files);
    for _ in 0..6 {
        let index = json!({"schemaVersion": 2, "manifests": [manifest]}).to_string();
        manifest = descriptor(&mut files, OCI_INDEX, index.as_bytes());
    }
    assert!(matches!(refusal(&pack(&with_index(files, &[manifest])), None), ReadImageError::Nested));
}

//! What `docker login` leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::stored::CredentialStore;
use crate::{Credentials, Reference, Secret, StoredCredentialsError};

async fn find(
    directory: &Path,
    config: &str,
    reference: &str,
) -> Result<Credentials, StoredCredentialsError> {
    let file = directory.join("config.json");
    fs::write(&file, config).unwrap();
    let programs = format!("{}:/usr/bin:/bin", directory.display());
    let store = CredentialStore { file, programs: Some(programs.into()) };
    store.find(&reference.parse::<Reference>().unwrap()).await
}

fn me(password: &str) -> Credentials {
    Credentials::Password { user: "me".to_owned(), password: Secret::new(password) }
}

#[tokio::test]
async fn an_entry_is_of_one_registry_and_of_no_other() {
    let directory = tempfile::tempdir().unwrap();
    // me:hub, me:own:colon, me:port
    let config = r#"{"auths": {
        "https://index.docker.io/v1/": {"auth": "bWU6aHVi"},
        "r.example": {"auth": "bWU6b3duOmNvbG9u"},
        "r.example:5000": {"auth": "bWU6cG9ydA=="},
        "t.example": {"auth": "bWU6aHVi", "identitytoken": "tok"},
        "https://v.example/v2/": {"username": "me", "password": "plain"},
        "empty.example": {},
        "part.example/team": {"auth": "bWU6aHVi"}
    }, "credsStore": "", "HttpHeaders": {"X": "y"}}"#;
    for (reference, expected) in [
        ("python", me("hub")),
        ("docker.io/a/b", me("hub")),
        ("r.example/x", me("own:colon")),
        ("r.example:5000/x", me("port")),
        ("r.example:5001/x", Credentials::Anonymous),
        ("sub.r.example/x", Credentials::Anonymous),
        ("t.example/x", Credentials::IdentityToken(Secret::new("tok"))),
        ("v.example/x", me("plain")),
        ("empty.example/x", Credentials::Anonymous),
        ("part.example/team/x", Credentials::Anonymous),
    ] {
        assert_eq!(find(directory.path(), config, reference).await.unwrap(), expected, "{reference}");
    }
}

#[tokio::test]
async fn without_a_file_one_is_nobody_and_a_broken_one_is_named_without_its_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let store = CredentialStore { file: directory.path().join("none.json"), programs: None };
    assert_eq!(store.find(&"python".parse().unwrap()).await.unwrap(), Credentials::Anonymous);
    for config in [
        r#"{"auths": {"r.example": {"auth": "c2VjcmV0"}}}"#,
        r#"{"auths": {"r.example": {"auth": "s3cret!"}}}"#,
        r#"{"auths": {"r.example": {"registrytoken": "s3cret"}}}"#,
        r#"{"auths": {"r.example": "s3cret"}}"#,
        "s3cret",
        "",
    ] {
        let error = find(directory.path(), config, "r.example/x").await.unwrap_err();
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(inner) = cause {
            text += &inner.to_string();
            cause = inner.source();
        }
        assert!(text.contains("config.json") && !text.contains("s3cret") && !text.contains("c2Vj"), "{text}");
    }
}

#[tokio::test]
async fn a_helper_is_asked_for_its_registry_and_others_are_not() {
    let directory = tempfile::tempdir().unwrap();
    let helper = |name: &str, script: &str| {
        let path = directory.path().join(format!("docker-credential-{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    let answer = r#"read -r server; [ "$1" = get ] || exit 9
printf '{"ServerURL":"%s","Username":"me","Secret":"for %s"}' "$server" "$server""#;
    helper("own", answer);
    helper("all", "echo 'credentials not found in native keychain'; exit 1");
    helper("token", r#"echo '{"Username":"<token>","Secret":"tok"}'"#);
    helper("broken", "echo 'the keychain is locked'; exit 1");
    helper("silent", "exit 0");
    let config = r#"{"auths": {"all.example": {"auth": "bWU6aHVi"}}, "credsStore": "all", "credHelpers": {
        "own.example:5000": "own", "docker.io": "own", "token.example": "token", "broken.example": "broken",
        "silent.example": "silent", "missing.example": "missing", "path.example": "../x"}}"#;
    for (reference, expected) in [
        ("own.example:5000/x", me("for own.example:5000")),
        ("python", me("for https://index.docker.io/v1/")),
        ("all.example/x", Credentials::Anonymous),
        ("token.example/x", Credentials::IdentityToken(Secret::new("tok"))),
    ] {
        assert_eq!(find(directory.path(), config, reference).await.unwrap(), expected, "{reference}");
    }
    for reference in ["broken.example/x", "silent.example/x", "missing.example/x", "path.example/x"] {
        let error = find(directory.path(), config, reference).await.unwrap_err();
        assert!(matches!(error, StoredCredentialsError::Helper { .. }), "{error}");
    }
}

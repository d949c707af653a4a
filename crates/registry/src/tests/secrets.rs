//! Who learns which credentials: the registry they are for, whoever it names for tokens, and nobody else.

use axum::body::Body;
use axum::response::Response;

use super::server::{Asked, Server};
use super::{BASIC, TestImage, find, options, password, pull, redirect, status};
use crate::{Credentials, FetchError, Reference, Registry, RegistryOptions, Secret};

fn challenge(challenge: &str) -> Response {
    Response::builder().status(401).header("www-authenticate", challenge).body(Body::empty()).unwrap()
}

fn token_server(asked: &Asked) -> Response {
    assert_eq!(asked.path, "/token");
    Response::new(Body::from(r#"{"token": "", "access_token": "t0ken", "expires_in": 60}"#))
}

/// Wants a token, and answers then.
fn guarded(image: TestImage, realm: String) -> impl Fn(&Asked) -> Response {
    move |asked| match asked.authorization.as_deref() {
        Some("Bearer t0ken") => image.answer(asked),
        _ => challenge(&format!(r#"Bearer realm="{realm}",service="reg istry",scope="repository:x:push""#)),
    }
}

#[tokio::test]
async fn a_token_is_got_once_with_the_password_and_only_to_pull() {
    let tokens = Server::start(token_server).await;
    let server = Server::start(guarded(TestImage::new(&[b"1", b"2", b"3"]), tokens.url("/token"))).await;
    for credentials in [password(), Credentials::Anonymous] {
        let directory = tempfile::tempdir().unwrap();
        let known = !credentials.is_anonymous();
        let options = RegistryOptions { credentials, ..options(&[&server, &tokens]) };
        pull(&server, options, directory.path()).await.unwrap();
        let asked = tokens.asked();
        let last = asked.last().unwrap();
        assert_eq!(last.query, "service=reg+istry&scope=repository%3Aapp%3Apull");
        assert_eq!(last.authorization.as_deref(), known.then_some(BASIC));
    }
    assert_eq!(tokens.asked().len(), 2);
    let sent: Vec<String> = server.asked().into_iter().filter_map(|asked| asked.authorization).collect();
    assert!(sent.iter().all(|sent| sent == "Bearer t0ken") && !sent.is_empty(), "{sent:?}");
}

#[tokio::test]
async fn what_is_secret_shows_in_no_debug_output() {
    let tokens = Server::start(token_server).await;
    let server = Server::start(guarded(TestImage::new(&[]), tokens.url("/token"))).await;
    let reference: Reference = format!("{}/app:1", server.address).parse().unwrap();
    let refresh = Credentials::IdentityToken(Secret::new("re/fresh"));
    for credentials in [password(), refresh] {
        let known = RegistryOptions { credentials, ..options(&[&server, &tokens]) };
        let registry = Registry::new(&reference, known).unwrap();
        registry.find(&|_| {}).await.unwrap();
        let text = format!("{registry:?}");
        for secret in ["hunter2", &BASIC[6..], "t0ken", "re/fresh"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn an_identity_token_is_exchanged() {
    let tokens = Server::start(token_server).await;
    let server = Server::start(guarded(TestImage::new(&[b"1"]), tokens.url("/token"))).await;
    let credentials = Credentials::IdentityToken(Secret::new("re/fresh"));
    find(&server, RegistryOptions { credentials, ..options(&[&server, &tokens]) }).await.unwrap();
    let asked = tokens.asked();
    assert!(asked[0].body.contains("grant_type=refresh_token"), "{:?}", asked[0]);
    assert!(asked[0].body.contains("refresh_token=re%2Ffresh"), "{:?}", asked[0]);
    assert_eq!((asked[0].query.as_str(), asked[0].authorization.as_ref()), ("", None));
}

#[tokio::test]
async fn a_token_that_has_expired_is_got_anew() {
    let tokens =
        Server::start(|asked| Response::new(Body::from(format!(r#"{{"token": "t{}"}}"#, asked.before))))
            .await;
    let image = TestImage::new(&[b"1", b"2", b"3"]);
    let realm = tokens.url("/token");
    let server = Server::start(move |asked| {
        let wanted = if asked.path.contains("manifests") { "Bearer t0" } else { "Bearer t1" };
        match asked.authorization.as_deref() == Some(wanted) {
            true => image.answer(asked),
            false => challenge(&format!(r#"Bearer realm="{realm}""#)),
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    pull(&server, options(&[&server, &tokens]), directory.path()).await.unwrap();
    assert_eq!(tokens.asked().len(), 2);
}

#[tokio::test]
async fn nothing_is_sent_to_a_realm_without_tls_that_is_not_listed() {
    let tokens = Server::start(token_server).await;
    let server = Server::start(guarded(TestImage::new(&[]), tokens.url("/token"))).await;
    let options = RegistryOptions { credentials: password(), ..options(&[&server]) };
    let error = find(&server, options).await.unwrap_err();
    assert!(matches!(error, FetchError::PlainHttp { .. }), "{error}");
    assert!(tokens.asked().is_empty());
}

#[tokio::test]
async fn a_realm_does_not_send_credentials_further() {
    let elsewhere = Server::start(token_server).await;
    let to = elsewhere.url("/token");
    let tokens = Server::start(move |_| redirect(&to)).await;
    let server = Server::start(guarded(TestImage::new(&[]), tokens.url("/token"))).await;
    let options = RegistryOptions { credentials: password(), ..options(&[&server, &tokens, &elsewhere]) };
    let error = find(&server, options).await.unwrap_err();
    assert!(matches!(&error, FetchError::Status { status, .. } if status.as_u16() == 307), "{error}");
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_password_goes_to_the_registry_that_asks_for_it_and_not_where_it_redirects_to() {
    let image = TestImage::new(&[b"layer"]);
    let stored = image.clone();
    let storage = Server::start(move |asked| stored.answer(asked)).await;
    let (layer, to) = (image.layer_path(0), storage.url(&image.layer_path(0)));
    let server = Server::start(move |asked| match asked.authorization.as_deref() {
        Some(BASIC) if asked.path == layer => redirect(&format!("{to}?signature=secret")),
        Some(BASIC) => image.answer(asked),
        _ => challenge(r#"Basic realm="r""#),
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let options = RegistryOptions { credentials: password(), ..options(&[&server, &storage]) };
    pull(&server, options, directory.path()).await.unwrap();
    let asked = storage.asked();
    assert_eq!((asked.len(), asked[0].authorization.as_ref()), (1, None));
    // Not before it was asked for, and then with every request.
    let first: Vec<bool> = server.asked().iter().map(|asked| asked.authorization.is_some()).collect();
    assert_eq!(first, [false, true, true, true]);
}

#[tokio::test]
async fn another_host_that_asks_for_a_password_gets_none() {
    let thief = Server::start(|_| challenge("Basic")).await;
    let to = thief.url("/v2/app/manifests/1");
    let server = Server::start(move |_| redirect(&to)).await;
    let options = RegistryOptions { credentials: password(), ..options(&[&server, &thief]) };
    let error = find(&server, options).await.unwrap_err();
    assert!(matches!(error, FetchError::Denied { with_credentials: false, .. }), "{error}");
    assert!(thief.asked().iter().all(|asked| asked.authorization.is_none()));
}

#[tokio::test]
async fn a_wrong_password_and_none_at_all_are_told_apart() {
    for (credentials, named) in [(password(), true), (Credentials::Anonymous, false)] {
        let server = Server::start(|_| challenge("Basic")).await;
        let error = find(&server, RegistryOptions { credentials, ..options(&[&server]) }).await.unwrap_err();
        let FetchError::Denied { with_credentials, .. } = error else { panic!("{error}") };
        assert_eq!(with_credentials, named);
    }
}

#[tokio::test]
async fn tokens_that_are_none_and_unknown_kinds_of_authentication_are_named() {
    for answer in ["", "{}", r#"{"token": "a b"}"#, r#"{"token": "a\r\nX-Evil: 1"}"#, "[1]"] {
        let tokens = Server::start(move |_| Response::new(Body::from(answer))).await;
        let server = Server::start(guarded(TestImage::new(&[]), tokens.url("/token"))).await;
        let error = find(&server, options(&[&server, &tokens])).await.unwrap_err();
        assert!(matches!(error, FetchError::Token { .. }), "{error}");
    }
    for header in ["Negotiate", "Bearer service=x"] {
        let server = Server::start(move |_| challenge(header)).await;
        let error = find(&server, options(&[&server])).await.unwrap_err();
        assert!(matches!(error, FetchError::Challenge { .. }), "{error}");
    }
    let server = Server::start(|_| status(401)).await;
    let error = find(&server, options(&[&server])).await.unwrap_err();
    assert!(matches!(error, FetchError::Challenge { .. }), "{error}");
}

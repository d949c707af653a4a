//! `…/processes`: what runs beside the shell, and every exec.

mod control;
mod input;
mod listing;
mod logs;

use sandkasten_e2e::{TestDaemon, TestSession};
use serde_json::{Value, json};

/// A started process.
struct TestProcess<'a> {
    daemon: &'a TestDaemon,
    path: String,
}

impl<'a> TestProcess<'a> {
    async fn start(daemon: &'a TestDaemon, session: &TestSession, body: Value) -> Self {
        let path = format!("/v1/sessions/{}/processes", session.id);
        let started = daemon.raw().post(&path, &body).await.ok(201);
        let path = format!("{path}/{}", started["id"].as_str().expect("an id"));
        Self { daemon, path }
    }

    async fn show(&self) -> Value {
        self.daemon.raw().get(&self.path).await.ok(200)
    }

    async fn wait(&self) -> Value {
        let ended = self.daemon.raw().get(&format!("{}/wait?timeout_ms=60000", self.path)).await.ok(200);
        assert_eq!(ended["status"], "ended", "{ended}");
        ended
    }

    async fn logs(&self, since: u64) -> Value {
        self.daemon.raw().get(&format!("{}/logs?since={since}", self.path)).await.ok(200)
    }

    async fn signal(&self, signal: &str) {
        let path = format!("{}/signal", self.path);
        self.daemon.raw().post(&path, &json!({ "signal": signal })).await.ok(200);
    }

    async fn give(&self, body: Value) {
        self.daemon.raw().post(&format!("{}/stdin", self.path), &body).await.ok(200);
    }

    async fn end(&self) -> Value {
        self.daemon.raw().delete(&self.path).await.ok(200)
    }
}

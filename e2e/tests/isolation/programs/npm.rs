//! npm: packages from a file and from a directory, scripts; without any network.

use sandkasten_e2e::{TestSession, with_daemon};

use super::{has, put};

const GREETING: &str = r#"{
  "name": "greeting", "version": "1.0.0", "main": "index.js", "bin": {"greet": "greet.js"},
  "scripts": {"install": "node -e \"require('fs').writeFileSync('installed', '')\""}
}"#;

const APPLICATION: &str = r#"{
  "name": "application", "version": "1.0.0",
  "scripts": {"prestart": "echo before", "start": "node main.js", "both": "greet npm && npm run --silent start",
              "fails": "exit 3"}
}"#;

async fn write_packages(session: &TestSession) {
    for (path, text) in [
        ("greeting/package.json", GREETING),
        ("greeting/index.js", "module.exports = (name) => `hello, ${name}`;"),
        ("greeting/greet.js", "#!/usr/bin/env node\nconsole.log(require('./index.js')(process.argv[2]));"),
        ("application/package.json", APPLICATION),
        ("application/main.js", "console.log(require('greeting')('node'));"),
    ] {
        put(session, path, text).await;
    }
}

#[test]
fn npm_installs_local_packages_and_runs_scripts() {
    with_daemon(async |daemon| {
        let session = daemon.session().await;
        if !has(&session, &["node", "npm"]).await {
            return;
        }
        write_packages(&session).await;
        session.output("export npm_config_offline=true npm_config_audit=false npm_config_fund=false").await;
        assert_eq!(session.output("cd /workspace/greeting && npm pack --silent").await, "greeting-1.0.0.tgz");

        session.output("cd ../application && npm install ../greeting/greeting-1.0.0.tgz").await;
        assert_eq!(
            session.output("ls node_modules/greeting").await,
            "greet.js\nindex.js\ninstalled\npackage.json"
        );
        assert_eq!(session.output("npm run --silent both").await, "hello, npm\nbefore\nhello, node");
        assert_eq!(session.output("npx greet npx").await, "hello, npx");
        assert_eq!(session.exec("npm run --silent fails").await.exit_code, 3);

        session.output("npm uninstall greeting && npm install ../greeting && npm ls").await;
        assert_eq!(session.output("readlink node_modules/greeting").await, "../../greeting");
        assert_eq!(session.output("npm start --silent").await, "before\nhello, node");
    });
}

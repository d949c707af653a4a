//! The daemon is killed at a random moment of a random load, again and again. Whatever it had acknowledged holds, and nothing
//! is left of what it had not.
//!
//! `SANDKASTEN_E2E_FAULTS=N` makes N rounds; `SANDKASTEN_E2E_SEED=N` draws those of a seed, as far as the machine lets it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, RequestError};
use sandkasten_e2e::{Footprint, TestDaemon, TestSession, asked, patience, seed, surplus, with_config};

use crate::alone;
use crate::load::{Account, Owned, Worker};

const ROUNDS: u64 = 5;
const CLIENTS: usize = 4;
/// The longest that a load goes on before the kill.
const LOAD_MS: u64 = 400;
/// Sessions that live on into the next round.
const SURVIVORS: usize = 4;
/// A bound on how long it takes to clear away what a dead daemon left.
const CLEARED: Duration = Duration::from_secs(20);
/// Descriptors that come and go with connections and blocking work.
const SLACK: usize = 6;

#[test]
fn whatever_was_acknowledged_survives_kills_at_random_moments_and_nothing_is_left_of_the_rest() {
    let _alone = alone();
    with_config("session_ttl_seconds: 86400", async |daemon| {
        let (rounds, seed) = (asked("SANDKASTEN_E2E_FAULTS").unwrap_or(ROUNDS), seed());
        println!("{rounds} kills, seed {seed}");
        let mut random = Rng::with_seed(seed);
        let mut account = Account::default();
        let mut first: Option<Footprint> = None;
        let mut answered = 0;
        for round in 0..rounds {
            let told = |reason: String| format!("round {round} of seed {seed}: {reason}");
            account = one_round(daemon, account, &mut random)
                .await
                .map_err(told)
                .unwrap_or_else(|reason| panic!("{reason}"));
            answered += account.answered;
            account.answered = 0;
            // Sessions of one round after another would be too many, and their number has to be the same for the comparison.
            thin_out(daemon, &mut account).await;
            let footprint = assert_clean(daemon, &account, &format!("round {round} of seed {seed}")).await;
            let first = first.get_or_insert(footprint);
            assert!(
                footprint.descriptors <= first.descriptors + SLACK,
                "round {round} of seed {seed}: {footprint:?}, and in the first {first:?}"
            );
            if round % 20 == 19 {
                println!("round {round}: {answered} requests answered, {footprint:?}");
            }
        }
        println!("{rounds} kills survived, {answered} requests answered");
        for session in &account.sessions {
            daemon.client().destroy_session(&session.id).await.expect("destroyed");
        }
        account.sessions.clear();
        let footprint = assert_clean(daemon, &account, "the end").await;
        // One is for the next sandbox.
        assert_eq!((footprint.leases, footprint.namespaces), (1, 0), "{footprint:?}");
    });
}

/// Loads the daemon, kills it, starts it again, and compares.
async fn one_round(daemon: &TestDaemon, account: Account, random: &mut Rng) -> Result<Account, String> {
    let Account { mut sessions, destroyed, .. } = account;
    let mut workers = tokio::task::JoinSet::new();
    for number in 0..CLIENTS {
        let share = sessions.len().div_ceil(CLIENTS - number);
        let account = Account { sessions: sessions.drain(..share).collect(), ..Account::default() };
        workers.spawn(Worker { client: daemon.client(), random: random.fork(), account }.run());
    }
    // The moment is the point here: nothing is waited for.
    let moment = Duration::from_micros(random.u64(..LOAD_MS * 1_000));
    tokio::time::sleep(moment).await;
    daemon.kill();
    let mut account = Account { destroyed, ..Account::default() };
    for outcome in workers.join_all().await {
        let part = outcome.map_err(|reason| format!("before the kill: {reason}"))?;
        account.sessions.extend(part.sessions);
        account.destroyed.extend(part.destroyed);
        account.answered += part.answered;
    }
    daemon.start_again();
    compare(&daemon.client(), &mut account)
        .await
        .map_err(|reason| format!("killed after {moment:?}: {reason}"))?;
    Ok(account)
}

/// Holds the daemon to what was acknowledged. What it had not acknowledged is certain from then on.
async fn compare(client: &Client, account: &mut Account) -> Result<(), String> {
    let listed = client.list_sessions().await.map_err(|error| format!("no list: {error}"))?;
    let listed: BTreeSet<SessionId> = listed.into_iter().map(|session| session.id).collect();
    for id in &account.destroyed {
        let answer = client.exec(id, &request("true")).await;
        let refused = matches!(answer, Err(RequestError::Refused { status: 404 | 409, .. }));
        if listed.contains(id) || !refused {
            return Err(format!("{id} was destroyed, but: {answer:?}"));
        }
    }
    account.sessions.retain(|session| !session.may_be_gone || listed.contains(&session.id));
    for session in &mut account.sessions {
        if !listed.contains(&session.id) {
            return Err(format!("{} is gone", session.id));
        }
        compare_session(client, session).await.map_err(|reason| format!("{}: {reason}", session.id))?;
    }
    // What was made, but not answered: it has to be whole.
    for id in listed {
        if account.sessions.iter().all(|session| session.id != id) {
            let session = TestSession { id, client: client.clone() };
            let result = session.try_exec("echo usable", None).await.map_err(|error| error.to_string())?;
            if result.output != "usable\n" {
                return Err(format!("{} was made, but: {result:?}", session.id));
            }
            session.destroy().await;
        }
    }
    Ok(())
}

async fn compare_session(client: &Client, session: &mut Owned) -> Result<(), String> {
    let result = client.exec(&session.id, &request("echo ${count-0}")).await;
    let result = result.map_err(|error| format!("no exec: {error}"))?;
    let found = result.output.trim_end().parse().map_err(|_| format!("odd: {result:?}"))?;
    let promised = session.count.clone();
    if result.exit_code != 0 || !session.count.settle(&found) {
        return Err(format!("its variable is {found}, not {promised:?}"));
    }
    for (name, content) in &mut session.files {
        let found = match client.read_file(&session.id, name, None).await {
            Ok((found, false)) => Some(found),
            Err(RequestError::Refused { status: 404, .. }) => None,
            other => return Err(format!("{name}: {other:?}")),
        };
        if !content.settle(&found) {
            let length = found.map(|found| found.len());
            return Err(format!("{name} is {length:?} bytes, and not what was written"));
        }
    }
    session.may_be_gone = false;
    Ok(())
}

fn request(command: &str) -> sandkasten_api::exec::ExecRequest {
    sandkasten_api::exec::ExecRequest { cmd: Some(command.to_owned()), ..Default::default() }
}

/// Makes or destroys sessions until there are as many as after every other round.
async fn thin_out(daemon: &TestDaemon, account: &mut Account) {
    while account.sessions.len() > SURVIVORS {
        let session = account.sessions.remove(0);
        daemon.client().destroy_session(&session.id).await.expect("destroyed");
    }
    while account.sessions.len() < SURVIVORS {
        account.sessions.push(Owned::new(daemon.session().await.id));
    }
    account.destroyed.clear();
}

/// Waits until nothing is there but what the sessions need: sandboxes that nobody owned may still be on their way out.
async fn assert_clean(daemon: &TestDaemon, account: &Account, when: &str) -> Footprint {
    let sessions: Vec<String> = account.sessions.iter().map(|session| session.id.to_string()).collect();
    let deadline = Instant::now() + patience(CLEARED);
    let mut descriptors = 0;
    loop {
        let left = surplus(&daemon.data_dir(), daemon.pid(), &sessions);
        let footprint = Footprint::of(daemon.pid());
        // What a daemon has at rest can be compared: the place of its next sandbox is there, and has been made to its end.
        let is_at_rest = footprint.leases == 1 && footprint.descriptors == descriptors;
        if left.is_empty() && is_at_rest {
            return footprint;
        }
        descriptors = footprint.descriptors;
        assert!(Instant::now() < deadline, "{when}: {footprint:?}, {left:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

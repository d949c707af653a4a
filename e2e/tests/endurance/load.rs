//! A client that makes, uses and destroys sessions until its daemon is gone, and keeps account of what it was promised.

use std::collections::BTreeMap;

use fastrand::Rng;
use sandkasten_api::exec::ExecRequest;
use sandkasten_api::id::SessionId;
use sandkasten_client::{Client, ExecEvent, RequestError};

/// A value of which the last change may or may not have been carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promised<T> {
    /// What was acknowledged.
    pub(crate) certain: T,
    /// What was asked for when the daemon died.
    pub(crate) possible: Option<T>,
}

impl<T: PartialEq + Clone> Promised<T> {
    fn new(certain: T) -> Self {
        Self { certain, possible: None }
    }

    /// Whether what was found is one of the two; from then on it is certain.
    pub(crate) fn settle(&mut self, found: &T) -> bool {
        let holds = *found == self.certain || self.possible.as_ref() == Some(found);
        *self = Self::new(found.clone());
        holds
    }
}

/// A session, as far as its client can know it.
#[derive(Debug, Clone)]
pub(crate) struct Owned {
    pub(crate) id: SessionId,
    /// A variable of its shell.
    pub(crate) count: Promised<u64>,
    /// Its files; `None` is one that is not there.
    pub(crate) files: BTreeMap<String, Promised<Option<Vec<u8>>>>,
    /// Whether the daemon died while it destroyed the session.
    pub(crate) may_be_gone: bool,
}

impl Owned {
    /// One that was just made.
    pub(crate) fn new(id: SessionId) -> Self {
        Self { id, count: Promised::new(0), files: BTreeMap::new(), may_be_gone: false }
    }
}

/// What all clients know.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) sessions: Vec<Owned>,
    /// Those whose destruction was acknowledged.
    pub(crate) destroyed: Vec<SessionId>,
    /// Requests that were answered.
    pub(crate) answered: usize,
}

/// One client and its sessions.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) random: Rng,
    pub(crate) account: Account,
}

/// The most sessions that a client has at a time.
const SESSIONS: usize = 3;

impl Worker {
    /// Works until the daemon does not answer any more.
    ///
    /// # Errors
    /// What a living daemon refused or failed to do.
    pub(crate) async fn run(mut self) -> Result<Account, String> {
        loop {
            match self.step().await {
                Ok(()) => self.account.answered += 1,
                Err(RequestError::Refused { status, body }) => return Err(format!("{status}: {body:?}")),
                // The daemon was killed; how far it came is what is to be found out.
                Err(_) => return Ok(self.account),
            }
        }
    }

    async fn step(&mut self) -> Result<(), RequestError> {
        let count = self.account.sessions.len();
        let choice = self.random.u8(..100);
        if count == 0 || (count < SESSIONS && choice < 15) {
            let session = self.client.create_session(&Default::default()).await?;
            self.account.sessions.push(Owned::new(session.id));
            return Ok(());
        }
        let index = self.random.usize(..count);
        let session = &mut self.account.sessions[index];
        match choice {
            0..45 => exec(&self.client, session, self.random.bool()).await,
            45..65 => stream(&self.client, session).await,
            65..90 => write(&self.client, session, &mut self.random).await,
            _ => {
                session.may_be_gone = true;
                self.client.destroy_session(&session.id).await?;
                let gone = self.account.sessions.swap_remove(index);
                self.account.destroyed.push(gone.id);
                Ok(())
            }
        }
    }
}

fn request(cmd: String) -> ExecRequest {
    ExecRequest { cmd: Some(cmd), ..ExecRequest::default() }
}

async fn exec(client: &Client, session: &mut Owned, slowly: bool) -> Result<(), RequestError> {
    let next = session.count.certain + 1;
    session.count.possible = Some(next);
    let delay = if slowly { "sleep 0.02; " } else { "" };
    let result = client.exec(&session.id, &request(format!("{delay}count={next}; echo $count"))).await?;
    assert_eq!((result.exit_code, result.output), (0, format!("{next}\n")), "{}", session.id);
    session.count = Promised::new(next);
    Ok(())
}

async fn stream(client: &Client, session: &mut Owned) -> Result<(), RequestError> {
    let next = session.count.certain + 1;
    session.count.possible = Some(next);
    let command = request(format!("count={next}; seq 1 2000; echo $count"));
    let mut events = client.exec_stream(&session.id, &command).await?;
    let mut output = String::new();
    while let Some(event) = events.next().await {
        match event? {
            ExecEvent::Chunk(chunk) => output.push_str(&chunk.chunk),
            ExecEvent::Done(done) => assert_eq!(done.exit_code, 0, "{}", session.id),
            ExecEvent::Failed(failed) => panic!("{}: {failed:?}", session.id),
        }
    }
    assert!(output.ends_with(&format!("2000\n{next}\n")), "{}: {} bytes", session.id, output.len());
    session.count = Promised::new(next);
    Ok(())
}

async fn write(client: &Client, session: &mut Owned, random: &mut Rng) -> Result<(), RequestError> {
    let name = format!("directory/file-{}", random.u8(..4));
    let bound = [10, 5_000, 300_000][random.usize(..3)];
    let length = random.usize(..bound);
    let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
    let file = session.files.entry(name.clone()).or_insert_with(|| Promised::new(None));
    file.possible = Some(Some(content.clone()));
    client.write_file(&session.id, &name, &content).await?;
    *file = Promised::new(Some(content));
    Ok(())
}

// The daemon that the environment names. Without one, these tests have nothing to say, and fail.

import assert from "node:assert/strict";
import { SandboxClient, type Session } from "../../src/index.js";

/** Runs a test with a client and a session of its own. */
export async function withSession(body: (session: Session, client: SandboxClient) => Promise<void>): Promise<void> {
  await using client = realClient();
  await using session = await client.createSession({ image: "host", ttl_seconds: 600 });
  await body(session, client);
}

export function realClient(): SandboxClient {
  assert(process.env.SANDKASTEN_URL, "SANDKASTEN_URL and SANDKASTEN_API_KEY have to name a daemon for these tests");
  return new SandboxClient();
}

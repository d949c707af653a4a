// The same stranger, in Node.

import { SandboxClient } from "@sandkasten/client";
import { unixSocketFetch } from "@sandkasten/client/node";
import { WebSocket } from "ws";
import { sample } from "./sample.js";

const path = "/run/sandkasten.sock";
const client = new SandboxClient({
  baseUrl: `unix:${path}`,
  fetch: unixSocketFetch(path),
  WebSocket,
});
export const samples = [sample(WebSocket, AbortSignal.timeout(1)), client.health()];

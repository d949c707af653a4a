// The same stranger, in Node.

import { SandboxClient } from "@sandkasten/client";
import { unixSocketFetch } from "@sandkasten/client/node";
import { WebSocket } from "ws";
import { sample } from "./sample.js";

const client = new SandboxClient({
  baseUrl: "http://localhost",
  fetch: unixSocketFetch("/run/sandkasten.sock"),
  WebSocket,
});
export const samples = [sample(WebSocket, AbortSignal.timeout(1)), client.health()];

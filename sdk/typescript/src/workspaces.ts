// Directories that outlive sessions, and their files without a session.

import { Files } from "./files.js";
import type { RequestOptions } from "./options.js";
import type { Workspace, WorkspaceList } from "./schema.js";
import { segment, type Transport } from "./transport.js";

export class Workspaces {
  readonly #transport: Transport;

  /** @internal */
  constructor(transport: Transport) {
    this.#transport = transport;
  }

  /** All workspaces, by name, with size and number of files. */
  async list(options: RequestOptions = {}): Promise<Workspace[]> {
    const call = { method: "GET", path: "/v1/workspaces", repeatable: true, options } as const;
    return (await this.#transport.json<WorkspaceList>(call)).workspaces;
  }

  /** Makes an empty one. One that is there is a `WorkspaceExistsError`. */
  create(id: string, options: RequestOptions = {}): Promise<Workspace> {
    return this.#transport.json<Workspace>({ method: "POST", path: "/v1/workspaces", json: { id }, options });
  }

  /** Makes one with the files of another. */
  copy(id: string, to: string, options: RequestOptions = {}): Promise<Workspace> {
    return this.#transport.json<Workspace>({ method: "POST", path: `${path(id)}/copy`, json: { to }, options });
  }

  /** Gives one that nobody uses another name. */
  async rename(id: string, to: string, options: RequestOptions = {}): Promise<void> {
    await this.#transport.json({ method: "POST", path: `${path(id)}/rename`, json: { to }, options });
  }

  /** Removes one that nobody uses, with its files. */
  remove(id: string, options: RequestOptions = {}): Promise<void> {
    return this.#transport.remove({ method: "DELETE", path: path(id), options });
  }

  /** The files of one, no session needed. What writes makes the workspace where there is none. Nothing is asked of the daemon. */
  files(id: string): Files {
    return new Files(this.#transport, path(id));
  }
}

function path(id: string): string {
  return `/v1/workspaces/${segment(id)}`;
}
